"""The command line: what its arguments mean, and what is said of those that are wrong."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from tables import cases, refusal

from neural_style import command_line
from neural_style.project import SHIPPED

MISTAKES = """
 => nothing to do; give --config ...
-q => nothing to do; give --config ...
--config a.yaml image.size=64 => found image.size=64 without --set; write --set image.size=64
a.yaml => found a.yaml; a file of settings follows --config, a setting follows --set
--config a.yaml --sett a=1 => found --sett, which is no option; see --help
--config a.yaml -q --set => argument --set: expected at least one argument
"""


@pytest.mark.parametrize(("written", "message"), cases(MISTAKES))
def test_wrong_arguments_print_usage_and_one_line_to_standard_error_and_end_with_2(
    written, message, capsys
):
    assert refusal(SystemExit, command_line.parse, shlex.split(written)) == "2"
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: style_transfer.py [-h] [--config FILE]")
    told = err.splitlines()[-1].removeprefix("style_transfer.py: error: ")
    assert told.startswith(message.removesuffix("..."))
    assert message.endswith("...") or told == message


def test_settings_follow_one_set_or_several_in_order():
    words = "--set a=1 b=[2] -q --config c.yaml --set a=3 --set d=x=y"
    options = command_line.parse(shlex.split(words))
    assert options.set == ["a=1", "b=[2]", "a=3", "d=x=y"]
    assert (options.config, options.quiet) == (Path("c.yaml"), True)
    assert command_line.parse(["--set=a=1"]).set == ["a=1"]


def test_help_has_two_examples_that_parse_and_says_where_the_keys_are(capsys):
    assert refusal(SystemExit, command_line.parse, ["--help"]) == "0"
    out, err = capsys.readouterr()
    assert err == ""
    assert str(SHIPPED / "config.yaml") in out.splitlines()
    start = "  python style_transfer.py "
    examples = [line.removeprefix(start) for line in out.splitlines() if line.startswith(start)]
    assert len(examples) == 2
    for example in examples:
        command_line.parse(example.split())


def test_the_folder_to_resume_is_the_one_to_which_a_link_leads(tmp_path, monkeypatch):
    (tmp_path / "runs" / "0001-a").mkdir(parents=True)
    (tmp_path / "runs" / "latest").symlink_to("0001-a")
    (tmp_path / "elsewhere").symlink_to(tmp_path / "runs" / "0001-a")
    monkeypatch.chdir(tmp_path)
    for given, meant in (
        ("runs/latest", "runs/0001-a"),
        ("runs/latest/", "runs/0001-a"),
        ("elsewhere", tmp_path / "runs" / "0001-a"),
        ("runs/0001-a", "runs/0001-a"),
        ("gone", "gone"),
    ):
        assert command_line.parse(["--resume", given]).resume == Path(meant)
