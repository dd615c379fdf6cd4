"""The page of a sweep, parsed as HTML."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import cv2
import numpy as np
from sweep_folders import HOSTILE, TWO, a_grid, a_run, changed, color_of, solid

from neural_style.sweeps.report import page as sweep_page
from neural_style.sweeps.report.page import write_page
from neural_style.sweeps.report.results import RunResult, SweepResults, write_summary
from neural_style.sweeps.report.thumbnails import jpeg_within, read_thumbnail


class Page(HTMLParser):
    """Elements with their attributes, and text by the element that holds it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in ("meta", "link", "img", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self) -> str:
        return " ".join(text for tag, text in self.texts if tag not in ("script", "style"))

    def data(self) -> dict[str, Any]:
        scripts = [text for tag, text in self.texts if tag == "script"]
        return json.loads(scripts[0])


def page_of(folder: Path, results: SweepResults) -> Page:
    return Page(write_page(folder, results))


def page_of_runs(folder: Path, *runs: RunResult) -> Page:
    return page_of(folder, SweepResults("", (), runs))


def decoded(uri: str) -> np.ndarray:
    kind, _, data = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    picture = np.frombuffer(base64.b64decode(data), np.uint8)
    return cv2.imdecode(picture, cv2.IMREAD_COLOR)[..., ::-1]


def test_page_is_whole_and_its_policy_admits_its_own_blocks_alone(tmp_path):
    results = a_grid(tmp_path, TWO)
    page = page_of(tmp_path, results)
    assert page.open == []
    data = (tmp_path / "index.html").read_bytes()
    assert write_page(tmp_path, results).read_bytes() == data
    assert not re.search(rb"https?://(?!www\.w3\.org/2000/svg)", data)  # a name, not an address
    assert all(url.startswith((b"data:", b'"data:')) for url in re.findall(rb"url\(([^)]*)", data))
    for tag, attributes in page.elements:
        assert attributes.get("src", "data:").startswith("data:")
        assert not {"srcset", "action", "background", "poster", "style"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
        assert tag not in ("iframe", "object", "embed", "base", "form")
        assert attributes.get("href", "#").startswith(("./", "#", "data:,"))
    (policy,) = (m["content"] for m in page.all("meta") if m.get("http-equiv"))
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";")}
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == ["'none'"]
    assert rules["img-src"] == ["data:"]
    for tag, blocks in (("style", 2), ("script", 1)):
        found = [text for name, text in page.texts if name == tag][-blocks:]
        hashes = [base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in found]
        assert rules[f"{tag}-src"] == [f"'sha256-{digest}'" for digest in hashes]


def test_every_run_has_its_picture_a_link_to_the_full_one_and_its_sources(tmp_path):
    results = a_grid(tmp_path, TWO)
    page = page_of(tmp_path, results)
    for number, (image, run) in enumerate(zip(page.all("img"), results.runs, strict=True)):
        rgb = decoded(image["src"])
        assert (str(rgb.shape[1]), str(rgb.shape[0])) == (image["width"], image["height"])
        np.testing.assert_allclose(rgb.mean(axis=(0, 1)), color_of(number), atol=3)
        links = {unquote(a["href"]) for a in page.all("a") if a.get("title") == run.name}
        assert [(tmp_path / link).resolve() for link in links] == [run.image]
    tiles = [b for b in page.all("button") if b.get("class") == "tile"]
    assert [t["data-item"] for t in tiles] == ["s0", "s1", *map(str, range(6))]
    assert tiles[5]["aria-label"] == f"Compare {results.runs[3].name}"
    rows = [row for row in page.all("tr") if "data-run" in row]
    assert [row["data-place"] for row in rows] == ["0 0", "0 1", "1 0", "1 1", "2 0", "2 1"]
    assert rows[3]["data-text"].endswith(" 0003-run style.weight=5 content.weight=3")
    assert [s["data-axis"] for s in page.all("select") if "data-axis" in s] == ["0", "1"]
    assert {"100", "5", "20", "3"} <= {text for tag, text in page.texts if tag == "option"}
    rules = [text for tag, text in page.texts if tag == "style"][1]  # once for all runs
    colors = [decoded(uri).mean(axis=(0, 1)) for uri in re.findall(r'url\("([^"]*)', rules)]
    np.testing.assert_allclose(colors, [(200, 10, 90), (10, 200, 90)], atol=3)
    sources = [s["class"] for s in page.all("span") if "source" in s.get("class", "").split()]
    assert sources == ["source source-0", "source source-1"]  # which all runs share
    assert [text for tag, text in page.texts if tag == "figcaption"] == ["content", "style"]
    named = [(s["kind"], s["name"]) for s in page.data()["sources"]]
    assert named == [("content", "content.png"), ("style", "style.png")]
    assert "./summary.csv" not in {a["href"] for a in page.all("a")}  # which is not there yet
    write_summary(tmp_path, results)
    links = {a["href"] for a in page_of(tmp_path, results).all("a")}
    assert {"./summary.csv", "./trade_off.png"} & links == {"./summary.csv"}


def test_failed_and_missing_runs_are_listed_with_their_error(tmp_path):
    failed, missing = {"error": "needs 20 GB; has 8", "image": None}, {"image": None, "folder": ""}
    results = changed(a_grid(tmp_path, TWO), {}, failed, missing)
    page = page_of(tmp_path, results)
    text = " ".join(page.text().split())
    assert "6 runs 4 done 1 failed 1 without a picture 18.0 s in total" in text
    assert f"failed {results.runs[1].name} folder needs 20 GB; has 8 missing" in text
    assert "./0001-run" in {a["href"] for a in page.all("a")}
    assert len(page.all("img")) == 4
    assert "needs 20 GB" in page_of_runs(tmp_path, results.runs[1]).text()
    assert page_of_runs(tmp_path).open == []
    bare = a_run(tmp_path, 0, terms={}, metrics={}, seconds=None)
    assert len(page_of_runs(tmp_path, bare).all("th")) == 4  # run, its number, and the two sides
    for seconds, told in ((59, "59.0 s"), (125, "2 min 5 s"), (7384, "2 h 3 min")):
        run = a_run(tmp_path, 0, seconds=seconds)
        assert f"{told} in total" in page_of_runs(tmp_path, run).text()


def test_hostile_names_are_text_everywhere(tmp_path):
    folder = tmp_path / "a #1% ?b"
    source = solid(folder / "</style><b>'\"\\.png", (1, 2, 3))
    fields: dict[str, Any] = {"name": HOSTILE, "values": {HOSTILE: HOSTILE}}
    fields |= {"metrics": {HOSTILE: 1.0}, "terms": {HOSTILE: 2.0}, "place": ()}
    fields |= {"content": source, "styles": (source,)}
    picture = folder / "0001-</script>\u3042" / "p#?.png"
    good = a_run(folder, 0, image=picture, **fields)
    bad = a_run(folder, 1, image=None, error=HOSTILE, **fields)
    page = page_of(folder, SweepResults(HOSTILE, (), (good, bad)))
    assert len(page.all("script")) == 2
    assert len(page.all("img")) == 1
    assert not any("onerror" in attributes for _, attributes in page.elements)
    shown = HOSTILE.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    assert page.text().count(shown) >= 5  # title, heading, option, column, value, error
    assert page.data()["runs"]["0"]["name"] == shown
    assert "\x1b" not in (folder / "index.html").read_text(encoding="utf-8")
    (href,) = {a["href"] for a in page.all("a") if a.get("title")} - {"#failures"}
    assert not re.search(r"[#?<>\"' ]", href)
    assert (folder / unquote(href)).read_bytes() == picture.read_bytes()


def test_curves_are_thinned_to_both_ends_and_numbers_are_short(tmp_path):
    curve = [float("inf"), *(1000.0 / (i + 1) for i in range(1, 1000))]
    page = page_of_runs(tmp_path, a_run(tmp_path, 0, curve=curve), a_run(tmp_path, 1, curve=[]))
    data = page.data()["runs"]
    found = data["0"]["curve"]
    assert data["0"]["iterates"] == 1000
    assert (len(found), found[0], found[-1]) == (160, None, 1.0)
    places = np.arange(160) * 999 / 159
    np.testing.assert_allclose(found[1:], (1000 / (places + 1))[1:], rtol=0.1)
    rest = {"content": None, "iterates": 0, "curve": [], "objective": 1}
    assert data["1"] == {"name": "run 1", **rest}

    few = {"content": 0.000123456, "ssim": 0.5, "grain": 3.0, "other": 1.0}
    metrics = few, {"content": 2.0, "ssim": 0.75, "grain": float("nan")}
    runs = [a_run(tmp_path, i, metrics=each, seconds=None) for i, each in enumerate(metrics)]
    page = page_of_runs(tmp_path, *runs)
    assert {"1.235e-4", "0.7500", "nan", "2.000", "1.000e6", "\N{EN DASH}"} <= {
        *page.text().split()
    }


def test_measures_tell_their_direction_and_meaning_and_none_is_the_best(tmp_path):
    """The photograph itself has the best self-similarity, so the best of a measure is no result."""
    metrics = {"style_held_out": 1.0, "self_similarity": 0.0, "ssim": 1.0, "unheard_of": 1.0}
    unpainted, painted = metrics, {**metrics, "style_held_out": 0.5, "self_similarity": 0.2}
    runs = [a_run(tmp_path, i, metrics=each) for i, each in enumerate((unpainted, painted))]
    page = page_of_runs(tmp_path, *runs)
    assert "best" not in page.text().lower().replace("better", "")
    told = [text for tag, text in page.texts if tag == "span" and text.startswith(("↓", "↑"))]
    assert told[:3] == ["↓ nearer the style", "↓ nearer the content", "↑ nearer the content"]
    described = [b["aria-describedby"] for b in page.all("button") if "aria-describedby" in b]
    assert set(described) == {d["id"] for d in page.all("dd")}
    assert len(described) == 6  # three of the four, two losses and the seconds


def test_losses_of_different_objectives_and_measures_of_different_pictures_are_told(tmp_path):
    def page_with(*changes: dict[str, Any]) -> Page:
        return page_of(tmp_path, changed(a_grid(tmp_path, {"a.x": ["1", "2", "3"]}), *changes))

    page = page_with()
    assert "These runs" not in page.text()
    assert "objective" not in {h.get("data-title") for h in page.all("th")}
    page = page_with({"objective": "a"}, {"objective": "b"}, {"objective": "a"})
    assert "These runs minimise 2 different objectives." in page.text()
    assert [run["objective"] for run in page.data()["runs"].values()] == [1, 2, 1]
    assert "objective" in {h.get("data-title") for h in page.all("th")}
    mixed = [h["data-title"] for h in page.all("th") if "mixed" in h["class"].split()]
    assert mixed == ["loss/total", "loss/style/relu1_1"]
    assert page.text().count("objectives differ") == 2
    for change in ({"filters": "b"}, {"content": tmp_path / "style.png"}):
        text = page_with(change).text()
        assert "These runs have different pictures or filters." in text


def test_pictures_that_runs_do_not_share_stand_at_their_rows_or_under_their_runs(tmp_path):
    contents = [solid(tmp_path / f"{i}.png", (9, 99, 50 * i)) for i in range(2)]
    for second, places in (({"a.x": ["1", "2"]}, ["source-0", "source-2"]), ({}, None)):
        results = a_grid(tmp_path, {"content.image": ["c", "d"], **second})
        size = len(results.runs) // 2
        results = changed(results, *({"content": c} for c in contents for _ in range(size)))
        page = page_of(tmp_path, results)
        spans = [s["class"].split() for s in page.all("span") if "class" in s]
        found = [classes[1] for classes in spans if classes[0] == "source"]
        # The style, which is shared; then the contents, at their rows or under each picture.
        assert found == ["source-1", *(places or ["source-0", "source-2"])]
        assert [text for tag, text in page.texts if tag == "figcaption"] == ["style"]


def test_pictures_shrink_until_the_page_is_within_its_bound(tmp_path, rng, monkeypatch):
    """The bound includes the table and the curves."""
    curve, terms = rng.uniform(1e6, 2e6, 200), {f"style/relu{i}": float(i) for i in range(400)}
    large = changed(a_grid(tmp_path, TWO), *[{"curve": curve.tolist(), "terms": terms}] * 6)
    noise = rng.integers(0, 256, (700, 900, 3), dtype=np.uint8)  # the worst a JPEG can get
    for run in large.runs:
        cv2.imwrite(str(run.image), noise)
    page = page_of(tmp_path, large)
    assert {image["width"] for image in page.all("img")} == {"640"}
    monkeypatch.setattr(sweep_page, "_PAGE_BYTES", 700_000)
    page = page_of(tmp_path, large)
    assert 500_000 < (tmp_path / "index.html").stat().st_size <= 700_000
    assert 100 < int(page.all("img")[0]["width"]) < 300
    clear = tmp_path / "p.png"  # which is shown on white
    cv2.imwrite(str(clear), np.full((40, 80, 4), (10, 20, 30, 0), np.uint8))
    np.testing.assert_array_equal(read_thumbnail(clear, (20, 20)), np.full((10, 20, 3), 255))
    assert read_thumbnail(tmp_path / "none.png", (20, 20)) is None
    assert jpeg_within(tmp_path / "none.png", 20, 1000) is None
