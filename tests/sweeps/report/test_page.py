"""The page of a sweep: parsed as HTML, and slowly in Chromium."""

import base64
import hashlib
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
from sweep_folders import TWO, a_grid, a_run, changed, color_of, solid

from neural_style.sweeps.report import page as sweep_page
from neural_style.sweeps.report.page import write_page
from neural_style.sweeps.report.results import RunResult, SweepResults, write_summary
from neural_style.sweeps.report.thumbnails import jpeg_within, read_thumbnail

HOSTILE = (
    "\"><script>alert(1)</script><img src=x onerror=alert(2)> 'q' &amp; \x1b[31m \u202e \xe9\u3042"
)


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
    rows = [row for row in page.all("tr") if "data-run" in row]
    assert [row["data-place"] for row in rows] == ["0 0", "0 1", "1 0", "1 1", "2 0", "2 1"]
    assert rows[3]["data-text"].endswith(" 0003-run style.weight=5 content.weight=3")
    assert [s["data-axis"] for s in page.all("select") if "data-axis" in s] == ["0", "1"]
    assert {"100", "5", "20", "3"} <= {text for tag, text in page.texts if tag == "option"}
    rules = [text for tag, text in page.texts if tag == "style"][1]  # once for all runs
    colors = [decoded(uri).mean(axis=(0, 1)) for uri in re.findall(r'url\("([^"]*)', rules)]
    np.testing.assert_allclose(colors, [(200, 10, 90), (10, 200, 90)], atol=3)
    labels = [s["aria-label"] for s in page.all("span") if "source" in s.get("class", "").split()]
    assert labels == ["content: content.png", "style: style.png"] * 6
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
    assert len(page_of_runs(tmp_path, bare).all("th")) == 4  # its name, at the head and in the row
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
    (href,) = {a["href"] for a in page.all("a") if a.get("title")}
    assert not re.search(r"[#?<>\"' ]", href)
    assert (folder / unquote(href)).read_bytes() == picture.read_bytes()


def test_curves_are_thinned_to_both_ends_numbers_are_short_and_the_best_is_marked(tmp_path):
    curve = [float("inf"), *(1000.0 / (i + 1) for i in range(1, 1000))]
    page = page_of_runs(tmp_path, a_run(tmp_path, 0, curve=curve), a_run(tmp_path, 1, curve=[]))
    data = page.data()["runs"]
    found = data["0"]["curve"]
    assert data["0"]["iterates"] == 1000
    assert (len(found), found[0], found[-1]) == (160, None, 1.0)
    places = np.arange(160) * 999 / 159
    np.testing.assert_allclose(found[1:], (1000 / (places + 1))[1:], rtol=0.1)
    assert data["1"] == {"name": "run 1", "content": None, "iterates": 0, "curve": []}

    few = {"content": 0.000123456, "ssim": 0.5, "grain": 3.0, "other": 1.0}
    metrics = few, {"content": 2.0, "ssim": 0.75, "grain": float("nan")}
    runs = [a_run(tmp_path, i, metrics=each, seconds=None) for i, each in enumerate(metrics)]
    page = page_of_runs(tmp_path, *runs)
    assert re.findall(r"(\S+)  \(best\)", page.text()) == ["1.235e-4", "0.7500"]
    assert {"nan", "2.000", "1.000e6", "\N{EN DASH}"} <= {*page.text().split()}
    hints = {b["title"] for b in page.all("button") if "title" in b}
    assert {"lower is better", "higher is better"} <= hints
    other = replace(runs[1], content=tmp_path / "other.png")  # no longer comparable
    assert "(best)" not in page_of_runs(tmp_path, runs[0], other).text()


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


class Browser:
    """Debian's Chromium at a page, without a window; it resolves no names."""

    def __init__(self, address: str) -> None:
        webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
        self.wait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait
        programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
        if not all(programs):
            pytest.skip("chromium or chromedriver is missing; apt-get install chromium-driver")
        options = webdriver.ChromeOptions()
        options.binary_location = programs[0]
        for argument in (
            *("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1280,900"),
            "host-resolver-rules=MAP * ~NOTFOUND",
            # Else a click is aimed at where the smooth scrolling has not yet come to.
            "force-prefers-reduced-motion",
        ):
            options.add_argument(f"--{argument}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.chrome = webdriver.Chrome(options, webdriver.chrome.service.Service(programs[1]))
        self.chrome.get(address)

    def all(self, selector: str) -> list[Any]:
        return self.chrome.find_elements("css selector", selector)

    def order(self) -> list[int]:
        """Numbers of the runs in the order of the visible rows."""
        rows = self.all("#table tbody tr")
        return [int(row.get_attribute("data-run")) for row in rows if row.is_displayed()]

    def keys(self, selector: str, *keys: str) -> list[int]:
        """Type into an element, or click it. Return the order of the runs."""
        [element] = self.all(selector)
        element.send_keys(*keys) if keys else element.click()
        return self.order()

    def sort(self, title: str, *keys: str) -> tuple[str, list[int]]:
        """Press the button of a column. Return the direction, and the order of the runs."""
        head = next(h for h in self.all("#table thead th") if h.text.strip() == title)
        button = head.find_element("css selector", "button")
        button.send_keys(*keys) if keys else button.click()
        assert len(self.all("th[aria-sort=ascending], th[aria-sort=descending]")) == 1
        return head.get_attribute("aria-sort"), self.order()

    def check_pixels(self, *colors: tuple[float, tuple[int, int, int]]) -> None:
        """Check that the comparison shows colours at fractions of its width."""

        def seen(_: Any) -> bool:
            png = self.all("#stage")[0].screenshot_as_png
            image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
            row = image[len(image) // 4].astype(int)
            return all(np.abs(row[int(s * len(row))] - c).max() <= 6 for s, c in colors)

        self.wait(self.chrome, 30).until(seen, f"{colors}")


@pytest.mark.slow
def test_runs_are_sorted_filtered_compared_and_drawn_in_a_browser(tmp_path):
    """The third run lacks a metric, and the last one failed."""
    held_out = 0.5, 12.0, None, 3.0, 100.0, 1.0
    metrics = [{"style_held_out": value, "content": i + 1.0} for i, value in enumerate(held_out)]
    changes: list[dict[str, Any]] = [{"metrics": each} for each in metrics]
    changes[5] |= {"error": "no memory", "image": None}
    address = write_page(tmp_path, changed(a_grid(tmp_path, TWO, HOSTILE), *changes)).as_uri()
    browser = Browser(address)
    with browser.chrome as chrome:
        assert "alert(1)" in chrome.title  # and no dialog, which would stop us
        browser.check_pixels((0.3, (200, 10, 90)), (0.7, color_of(0)))  # the content image first
        # Missing values are the last in both directions, and equal ones in the sweep's order.
        assert browser.sort("style_held_out") == ("ascending", [0, 3, 1, 4, 2])
        assert browser.sort("style_held_out", " ") == ("descending", [4, 1, 3, 0, 2])
        assert browser.sort("style.weight", "\ue007") == ("ascending", [2, 3, 4, 0, 1])
        assert browser.sort("content") == ("ascending", [0, 1, 2, 3, 4])

        assert browser.keys("select[data-axis='0']", "100") == [0, 1]
        assert browser.keys("select[data-axis='1']", "3") == [1]
        [cell] = browser.all("tr[data-run='1'] td[data-label='loss/style/relu1_1']")
        assert not cell.is_displayed()
        browser.keys(".chooser summary", "\ue007")
        box = "//label[normalize-space()='loss/style/relu1_1']/input"
        chrome.find_element("xpath", box).send_keys(" ")
        assert cell.is_displayed()
        assert browser.keys("#filter", "nonsense") == []
        assert browser.keys("#clear") == [0, 1, 2, 3, 4]
        assert browser.keys("#filter", "STYLE.weight=5 content.weight=3") == [3]
        assert browser.all("#shown")[0].text == "1 of 5 shown"
        assert browser.keys("#filter", "\ue003" * 40) == [0, 1, 2, 3, 4]

        browser.keys("tr[data-run='3'] input")
        browser.check_pixels((0.3, color_of(0)), (0.7, color_of(3)))
        names = ["style.weight=100 content.weight=1", "style.weight=5 content.weight=3"]
        assert [item.text for item in browser.all("#legend li")] == names
        browser.keys("#swap")
        browser.keys("#slider", "\ue012" * 30)  # the arrow to the left
        browser.check_pixels((0.1, color_of(3)), (0.3, color_of(0)))
        browser.keys("tr[data-run='4'] input", " ")  # the third takes the oldest one's place
        assert len(browser.all("tbody input:checked")) == 2
        browser.keys("#all-curves")
        curves = [browser.all(f"#plot path[data-run='{run}']") for run in range(5)]
        ends = [float(path.get_attribute("d").split()[-1]) for [path] in curves]
        assert ends == sorted(ends)  # the later the run, the lower it ends

        narrow = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", narrow)
        width = "return document.documentElement.scrollWidth"
        assert chrome.execute_script(width) <= 360

        log = [json.loads(entry["message"]) for entry in chrome.get_log("performance")]
        events = [entry["message"] for entry in log]
        sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
        urls = {told["request"]["url"] for told in sent if told["documentURL"] == address}
        assert {url for url in urls if not url.startswith("data:")} == {address}
        assert chrome.get_log("browser") == []
