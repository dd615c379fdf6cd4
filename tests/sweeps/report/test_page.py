"""The page of a sweep: parsed as HTML, and slowly in Chromium."""

import base64
import hashlib
import json
import re
import shutil
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
        [head] = self.all(f"#table th[data-title='{title}']")
        button = head.find_element("css selector", "button")
        button.send_keys(*keys) if keys else button.click()
        assert len(self.all("th[aria-sort=ascending], th[aria-sort=descending]")) == 1
        return head.get_attribute("aria-sort"), self.order()

    def press(self, *keys: str) -> str | None:
        """Type into the element that has the focus. Return the item that has it then."""
        self.chrome.switch_to.active_element.send_keys(*keys)
        return self.chrome.switch_to.active_element.get_attribute("data-item")

    def text(self, selector: str) -> str:
        """Return the text of an element."""
        [element] = self.all(selector)
        return element.text

    def be_a_phone(self) -> None:
        """Take the size of a phone, and touches in place of a pointer."""
        narrow = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        self.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", narrow)
        self.chrome.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})

    def tap(self, selector: str) -> None:
        """Touch the middle of an element."""
        script = """
            const element = document.querySelector(arguments[0]);
            element.scrollIntoView({block: "center", inline: "center"});
            const box = element.getBoundingClientRect();
            return [box.left + box.width / 2, box.top + box.height / 2];
        """
        x, y = self.chrome.execute_script(script, selector)
        for kind, points in (("touchStart", [{"x": x, "y": y}]), ("touchEnd", [])):
            touch = {"type": kind, "touchPoints": points}
            self.chrome.execute_cdp_cmd("Input.dispatchTouchEvent", touch)

    def check_pixels(self, *colors: tuple[float, tuple[int, int, int]]) -> None:
        """Check that the comparison shows colours at fractions of its width."""

        def seen(_: Any) -> bool:
            png = self.all("#stage")[0].screenshot_as_png
            image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
            row = image[len(image) // 4].astype(int)
            return all(np.abs(row[int(s * len(row))] - c).max() <= 6 for s, c in colors)

        self.wait(self.chrome, 30).until(seen, f"{colors}")

    def check_log(self, address: str) -> None:
        """Check that the page fetched nothing and complained of nothing."""
        log = [json.loads(entry["message"]) for entry in self.chrome.get_log("performance")]
        events = [entry["message"] for entry in log]
        sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
        urls = {told["request"]["url"] for told in sent if told["documentURL"] == address}
        assert {url for url in urls if not url.startswith("data:")} == {address}
        assert self.chrome.get_log("browser") == []


LEFT, RIGHT, DOWN = "\ue012", "\ue014", "\ue015"
ESCAPE, ENTER = "\ue00c", "\ue007"


@pytest.mark.slow
def test_the_grid_is_seen_first_and_a_click_compares_in_a_browser(tmp_path):
    """The last run failed, and the first two have an objective of their own."""
    changes: list[dict[str, Any]] = [{"objective": "a"}] * 2 + [{"objective": "b"}] * 4
    changes[5] = {"error": "no memory", "image": None}
    address = write_page(tmp_path, changed(a_grid(tmp_path, TWO, HOSTILE), *changes)).as_uri()
    browser = Browser(address)
    with browser.chrome as chrome:
        assert "alert(1)" in chrome.title  # and no dialog of the browser, which would stop us
        boxes = [tile.rect for tile in browser.all("#pictures .tile")]
        corners = [(box["x"], box["y"]) for box in boxes]
        assert corners == [(x, y) for y in sorted({y for _, y in corners}) for x in (
            corners[0][0], corners[1][0])][:5]  # fmt: skip
        assert max(box["y"] + box["height"] for box in boxes) < 900  # without scrolling
        assert browser.text("#pictures .blank") == "failed"

        browser.keys("#pictures .tile[data-item='0']")
        browser.check_pixels((0.3, (200, 10, 90)), (0.7, color_of(0)))  # the content image first
        browser.keys("#left", "style.png")
        browser.check_pixels((0.3, (10, 200, 90)), (0.7, color_of(0)))
        browser.keys("#swap")
        browser.check_pixels((0.3, color_of(0)), (0.7, (10, 200, 90)))
        browser.press(ESCAPE)
        assert not browser.all("#compare")[0].is_displayed()

        # The keyboard alone: the focus comes back, moves in the grid, and opens the next one.
        assert browser.press("") == "0"
        assert [browser.press(key) for key in (RIGHT, RIGHT, DOWN, LEFT)] == ["1", "1", "3", "2"]
        browser.press(ENTER)
        browser.press(LEFT * 30)  # the divider has the focus
        browser.check_pixels((0.1, color_of(0)), (0.3, color_of(2)))
        rows = [row.text.split("\n") for row in browser.all("#facts tbody tr")]
        assert rows[0] == ["style.weight 100 5"]
        note = browser.all("#curves-note")[0]
        assert note.is_displayed()  # objectives a and b
        assert "objectives differ" in browser.text("#facts")
        browser.keys("#forward")
        browser.check_pixels((0.1, color_of(0)), (0.3, color_of(3)))
        assert [item.text for item in browser.all("#legend li")] == [
            f"style.weight={style} content.weight={content}"
            for style, content in ((100, 1), (5, 3))
        ]
        browser.keys("#all-curves")
        curves = {p.get_attribute("data-run"): p for p in browser.all("#plot path")}
        assert set(curves) == {"0", "2", "3", "4"}  # of the right one's objective, and the left one
        ends = [float(curves[run].get_attribute("d").split()[-1]) for run in sorted(curves)]
        assert ends == sorted(ends)  # the later the run, the lower it ends
        browser.keys("#back")
        browser.keys("#left", "style.weight=5 content.weight=1")
        assert not note.is_displayed()
        assert "objectives differ" not in browser.text("#facts")
        browser.keys("#close")
        browser.check_log(address)


@pytest.mark.slow
def test_the_table_is_sorted_filtered_and_explained_in_a_browser(tmp_path):
    """The third run lacks a metric, and the last one failed."""
    held_out = 0.5, 12.0, None, 3.0, 100.0, 1.0
    metrics = [{"style_held_out": value, "content": i + 1.0} for i, value in enumerate(held_out)]
    changes: list[dict[str, Any]] = [{"metrics": each} for each in metrics]
    changes[5] |= {"error": "no memory", "image": None}
    address = write_page(tmp_path, changed(a_grid(tmp_path, TWO, HOSTILE), *changes)).as_uri()
    browser = Browser(address)
    with browser.chrome as chrome:
        # Missing values are the last in both directions, and equal ones in the sweep's order.
        assert browser.sort("style_held_out") == ("ascending", [0, 3, 1, 4, 2])
        assert browser.text("#help").startswith("style_held_out (↓ nearer the style): Gram loss")
        assert browser.sort("style_held_out", " ") == ("descending", [4, 1, 3, 0, 2])
        assert browser.sort("style.weight", ENTER) == ("ascending", [2, 3, 4, 0, 1])
        assert browser.sort("content") == ("ascending", [0, 1, 2, 3, 4])

        assert browser.keys("select[data-axis='0']", "100") == [0, 1]
        assert browser.keys("select[data-axis='1']", "3") == [1]
        [head] = browser.all("th[data-title='loss/style/relu1_1']")
        assert not head.is_displayed()
        browser.keys(".chooser summary", ENTER)
        box = "//label[normalize-space()='loss/style/relu1_1']/input"
        chrome.find_element("xpath", box).send_keys(" ")
        assert head.is_displayed()
        assert browser.keys("#filter", "nonsense") == []
        assert browser.keys("#clear") == [0, 1, 2, 3, 4]
        assert browser.keys("#filter", "STYLE.weight=5 content.weight=3") == [3]
        assert browser.text("#shown") == "1 of 5 shown"
        assert browser.keys("#filter", "\ue003" * 40) == [0, 1, 2, 3, 4]
        browser.keys("#table .tile[data-item='3']")
        browser.check_pixels((0.3, (200, 10, 90)), (0.7, color_of(3)))
        browser.check_log(address)

        # A phone: nine runs fit three screens, and a touch explains a measure.
        nine = {**TWO, "content.weight": ["1", "3", "a value that is rather long"]}
        browser.be_a_phone()
        chrome.get(write_page(tmp_path, a_grid(tmp_path, nine)).as_uri())
        size = "const page = document.documentElement; return [page.scrollWidth, page.scrollHeight]"
        width, height = chrome.execute_script(size)
        assert width <= 390
        assert height <= 3 * 844
        assert max(t.rect["x"] + t.rect["width"] for t in browser.all("#pictures .tile")) <= 390
        browser.tap("th[data-title='content'] button")
        browser.wait(chrome, 10).until(lambda _: "relu4_2" in browser.text("#help"))
        browser.tap("#pictures .tile[data-item='8']")
        browser.wait(chrome, 10).until(lambda _: browser.all("#compare")[0].is_displayed())
        browser.check_pixels((0.3, (200, 10, 90)), (0.7, color_of(8)))
        assert chrome.execute_script(size)[0] <= 390
        browser.tap("#facts tbody tr:nth-child(3) button")
        browser.wait(chrome, 10).until(lambda _: "style_held_out" in browser.text("#facts-help"))
        assert chrome.get_log("browser") == []
