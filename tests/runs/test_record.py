"""Run folder and record: against the json and hashlib modules and the kernel."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import pytest
from references import ROOT
from tables import refusal

from neural_style import __version__, project
from neural_style.errors import InputError
from neural_style.runs import record
from neural_style.runs.record import RecordError, check_output_folder, create_run_folder


def check_refused(folder, reason, check=check_output_folder):
    told = f"cannot write to the output folder {folder}: {reason}"
    advice = "set output.folder to a folder that can be written"
    assert refusal(RecordError, check, folder) == f"{told}; {advice}"


def test_output_folder_check_leaves_nothing_and_refuses_what_cannot_be(tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    for folder in ("", "one", "one/../two/three", "missing/../../elsewhere"):
        check_output_folder(here / folder)
        check_output_folder(Path(folder))
        assert list(tmp_path.rglob("*")) == [here]
    (tmp_path / "file").write_bytes(b"kept")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("file", "file/runs", "file/runs/deep"):
        check_refused(tmp_path / name, "Not a directory")
    check_refused(tmp_path / ("a" * 300), "File name too long")
    check_refused(tmp_path / "dangling", "No such file or directory")
    check_refused(tmp_path / "file", "File exists", lambda folder: create_run_folder(folder, "a"))
    with pytest.raises(RecordError, match=r"folder .*/a\\x00b: .*null"):
        check_output_folder(tmp_path / "a\0b")
    assert {path.name for path in tmp_path.iterdir()} == {"here", "file", "dangling"}
    assert (tmp_path / "file").read_bytes() == b"kept"
    monkeypatch.setattr(os, "mkdir", Mock(side_effect=PermissionError(13, "Permission denied")))
    check_refused(tmp_path / "runs", "Permission denied")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder nobody can write")
@pytest.mark.parametrize("folder", ["/proc", "/proc/runs", "/proc/self/fdinfo/runs"])
def test_output_folder_check_refuses_a_file_system_that_takes_no_files(folder):
    with pytest.raises(RecordError, match=f"^cannot write to the output folder {folder}: "):
        check_output_folder(Path(folder))


def test_run_folders_are_numbered_above_the_highest_and_share_none_if_made_at_once(tmp_path):
    runs = tmp_path / "deep" / "runs"
    for number in ("0001", "0002"):
        assert create_run_folder(runs, "first") == runs / f"{number}-first"
    for name in ("0041-kept", "notes-9999", "123-short"):
        (runs / name).mkdir()
    assert create_run_folder(runs, "next") == runs / "0042-next"
    (runs / "9999-kept").write_bytes(b"a file counts too")
    for number in ("10000", "10001"):
        assert create_run_folder(runs, "next") == runs / f"{number}-next"
    assert not list(runs.glob(".*"))
    (runs / ".10003").mkdir()  # claimed by a process that was killed
    assert create_run_folder(runs, "a") == runs / "10004-a"
    once = tmp_path / "once"
    names = [f"run{i % 3}" for i in range(64)]
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda name: create_run_folder(once, name), names))
    assert sorted(int(path.name.partition("-")[0]) for path in made) == list(range(1, 65))
    assert [path.name.partition("-")[2] for path in made] == names
    assert set(once.iterdir()) == set(made)


def test_latest_leads_to_the_run_that_began_last_and_replaces_only_a_link(tmp_path):
    """Also where many begin at once; the way is relative, so that the runs can be moved."""
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: create_run_folder(tmp_path / "runs", "a"), range(32)))
        list(pool.map(record.link_latest, made))
    link = tmp_path / "runs" / "latest"
    assert link.readlink() in {Path(path.name) for path in made}
    assert {path.name for path in link.parent.iterdir()} == {"latest", *(p.name for p in made)}
    record.link_latest(create_run_folder(tmp_path / "runs", "b"))
    assert link.readlink() == Path("0033-b")
    (tmp_path / "runs").rename(tmp_path / "moved")
    assert (tmp_path / "moved" / "latest").is_dir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "latest").write_text("a file of the user's own")
    record.link_latest(create_run_folder(tmp_path / "mine", "a"))
    assert (tmp_path / "mine" / "latest").read_text() == "a file of the user's own"


def test_without_links_there_is_no_latest(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "symlink_to", Mock(side_effect=PermissionError(1, "not permitted")))
    run = create_run_folder(tmp_path, "a")
    record.link_latest(run)
    assert list(tmp_path.iterdir()) == [run]


def test_run_folder_name_is_safe(tmp_path):
    names = {"größe 字": "größe 字", "../../etc/pass\\wd": "-..-etc-pass-wd", "..": "run"}
    names |= {"...hidden. ": "hidden", 'a\nb\x1b[31m:*?"<>|': "a-b-[31m-------", "\udcff": "-"}
    names |= {"x" * 79 + ".yz": "x" * 79, "字" * 100: "字" * 26, "": "run"}
    made = [create_run_folder(tmp_path, name) for name in names]
    expected = [tmp_path / f"{i:04}-{safe}" for i, safe in enumerate(names.values(), 1)]
    assert made == expected == sorted(tmp_path.iterdir())


def test_record_reads_back_in_order_and_has_no_numbers_that_json_lacks(tmp_path):
    for number in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            record.write_record(tmp_path, {"loss": number})
    assert list(tmp_path.iterdir()) == []
    told = {"seed": 7, "name": "größe", "losses": {"total": 1.5, "a": None}, "digests": ["ab"]}
    told["path"] = os.fsdecode(b"/no UTF-8\xff.png")
    record.write_record(tmp_path, told)
    text = (tmp_path / "record.json").read_bytes()
    assert re.fullmatch(b'{\n  "seed": 7,\n.*%b.*}\n' % "größe".encode(), text, flags=re.DOTALL)
    assert list(json.loads(text).items()) == list(told.items())


def test_environment_names_versions_and_hardware_and_imports_no_library(monkeypatch):
    found = record.environment()
    versions = found["versions"]
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    for name in ("numpy", "tensorflow"):
        assert versions[name] == importlib.metadata.version(name)
    assert versions["neural_style"] == __version__
    assert found["commit"] == project.commit()
    assert found["processor"]
    assert 1 <= found["usable_cpus"] <= (os.cpu_count() or 1)
    json.dumps(found)
    if hasattr(os, "sched_getaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 7})
        assert record.environment()["usable_cpus"] == 3
    heavy = "{'tensorflow', 'scipy', 'matplotlib'}"
    call = "from neural_style.runs.record import environment; environment()"
    code = f"import sys; {call}; print({heavy} & {{*sys.modules}})"
    command, root = [sys.executable, "-c", code], ROOT
    assert subprocess.check_output(command, cwd=root, text=True) == "set()\n"


def test_two_runs_are_not_made_in_one_folder_nor_in_a_sweep_at_work(tmp_path):
    run = tmp_path / "out" / "0001-x"
    run.mkdir(parents=True)
    (tmp_path / "out" / "config.yaml").write_text("style: {}\n")
    with record.at_work(run):
        assert "another process is at work in it" in refusal(
            InputError, record.at_work(run).__enter__
        )
        with record.at_work(run.parent):  # the folder of no sweep
            pass
    (tmp_path / "out" / "config.yaml").write_text("style: {}\nsweep: {}\n")
    with record.at_work(run.parent):
        assert str(run.parent) in refusal(InputError, record.at_work(run).__enter__)
    with record.at_work(run):
        refusal(InputError, record.at_work(run.parent).__enter__)
    assert {path.name for path in run.parent.iterdir()} == {"config.yaml", "0001-x"}
    assert not list(run.iterdir())
