"""The page of a sweep: parsed as HTML, and slowly in Chromium."""

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
from sweeps import TWO, a_grid, a_run, changed, color_of, solid

from neural_style import sweep_page
from neural_style.sweep_page import write_page
from neural_style.sweep_results import SweepResults, write_summary
from neural_style.thumbnails import jpeg_within, read_thumbnail

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


def decoded(uri: str) -> np.ndarray:
    kind, _, data = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)[
        ..., ::-1
    ]


def test_page_is_whole_and_its_policy_admits_its_own_blocks_alone(tmp_path: Path) -> None:
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


def test_every_run_has_its_picture_a_link_to_the_full_one_and_its_sources(tmp_path: Path) -> None:
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


def test_failed_and_missing_runs_are_listed_with_their_error(tmp_path: Path) -> None:
    failed, missing = {"error": "needs 20 GB; has 8", "image": None}, {"image": None, "folder": ""}
    results = changed(a_grid(tmp_path, TWO), {}, failed, missing)
    page = page_of(tmp_path, results)
    text = " ".join(page.text().split())
    assert "6 runs 4 done 1 failed 1 without a picture 18.0 s in all" in text
    assert f"failed {results.runs[1].name} folder needs 20 GB; has 8 missing" in text
    assert "./0001-run" in {a["href"] for a in page.all("a")}
    assert len(page.all("img")) == 4
    none = SweepResults("none", (), (results.runs[1],))
    assert "needs 20 GB" in page_of(tmp_path, none).text()
    assert page_of(tmp_path, SweepResults("none", (), ())).open == []


@pytest.mark.parametrize(
    ("seconds", "told"), [(59, "59.0 s"), (125, "2 min 5 s"), (7384, "2 h 3 min")]
)
def test_durations_are_told_in_their_two_largest_units(
    tmp_path: Path, seconds: float, told: str
) -> None:
    run = a_run(tmp_path, 0, seconds=seconds)
    assert f"{told} in all" in page_of(tmp_path, SweepResults("", (), (run,))).text()


def test_hostile_names_are_text_everywhere(tmp_path: Path) -> None:
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


def test_data_holds_the_curves_thinned_with_both_ends(tmp_path: Path) -> None:
    curve = [float("inf"), *(1000.0 / (i + 1) for i in range(1, 1000))]
    runs = (a_run(tmp_path, 0, curve=curve), a_run(tmp_path, 1, curve=[]))
    data = page_of(tmp_path, SweepResults("", (), runs)).data()["runs"]
    found = data["0"]["curve"]
    assert data["0"]["iterates"] == 1000
    assert (len(found), found[0], found[-1]) == (160, None, 1.0)
    places = np.arange(160) * 999 / 159
    np.testing.assert_allclose(found[1:], (1000 / (places + 1))[1:], rtol=0.1)
    assert data["1"] == {"name": "run 1", "content": None, "iterates": 0, "curve": []}


def test_numbers_are_short_and_the_best_is_marked(tmp_path: Path) -> None:
    metrics = [
        {"content": 0.000123456, "ssim": 0.5, "grain": 3.0, "other": 1.0},
        {"content": 2.0, "ssim": 0.75, "grain": float("nan")},
    ]
    runs = tuple(a_run(tmp_path, i, metrics=m, seconds=None) for i, m in enumerate(metrics))
    page = page_of(tmp_path, SweepResults("", (), runs))
    assert re.findall(r"(\S+)  \(best\)", page.text()) == ["1.235e-4", "0.7500"]
    assert {"nan", "2.000", "1.000e6", "\N{EN DASH}"} <= {*page.text().split()}
    hints = {b["title"] for b in page.all("button") if "title" in b}
    assert {"lower is better", "higher is better"} <= hints
    other = replace(runs[1], content=tmp_path / "other.png")  # no longer comparable
    assert "(best)" not in page_of(tmp_path, SweepResults("", (), (runs[0], other))).text()


def test_links_lead_to_the_files_that_are_there(tmp_path: Path) -> None:
    results = a_grid(tmp_path, TWO)
    assert "./summary.csv" not in {a["href"] for a in page_of(tmp_path, results).all("a")}
    write_summary(tmp_path, results)
    links = {a["href"] for a in page_of(tmp_path, results).all("a")}
    assert "./summary.csv" in links
    assert "./trade_off.png" not in links


def test_pictures_shrink_until_the_page_is_within_its_bound(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Table and curves count in it."""
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


def test_thumbnails_are_fitted_and_transparency_is_white(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    cv2.imwrite(str(path), np.full((40, 80, 4), (10, 20, 30, 0), np.uint8))
    thumbnail = read_thumbnail(path, 20)
    assert thumbnail is not None
    assert thumbnail.shape == (10, 20, 3)
    assert (thumbnail == 255).all()
    assert read_thumbnail(tmp_path / "none.png", 20) is None
    assert jpeg_within(tmp_path / "none.png", 20, 1000) is None


# --- in Chromium ---


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium without a window and without any name to resolve."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("chromium or chromedriver is missing; apt-get install chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND")
    # Else a click is aimed at where the smooth scrolling has not yet come to.
    options.add_argument("--force-prefers-reduced-motion")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.chrome.service.Service(driver)
    chrome = webdriver.Chrome(options=options, service=service)
    yield chrome
    chrome.quit()


@pytest.fixture
def shown(browser: Any, tmp_path: Path) -> Any:
    """The browser with the page of a sweep whose third run lacks a metric and whose last failed."""
    changes: list[dict[str, Any]] = [
        {"metrics": {"style_held_out": value, "content": i + 1.0}}
        for i, value in enumerate([0.5, 12.0, None, 3.0, 100.0, 1.0])
    ]
    changes[5] |= {"error": "no memory", "image": None}
    path = write_page(tmp_path, changed(a_grid(tmp_path, TWO), *changes))
    for log in ("browser", "performance"):
        browser.get_log(log)
    set_width(browser, 1280)
    browser.get(path.as_uri())
    return browser


def set_width(browser: Any, width: int) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def find(browser: Any, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def find_all(browser: Any, selector: str) -> list[Any]:
    return browser.find_elements("css selector", selector)


def order(browser: Any) -> list[int]:
    """Numbers of the runs in the order of the rows that are seen."""
    rows = find_all(browser, "#table tbody tr")
    return [int(row.get_attribute("data-run")) for row in rows if row.is_displayed()]


def header(browser: Any, title: str) -> Any:
    return next(h for h in find_all(browser, "#table thead th") if h.text.strip() == title)


def pixel(browser: Any, share: float) -> np.ndarray:
    """Colour of the comparison at a share of its width, a quarter down, as the screen has it."""
    png = find(browser, "#stage").screenshot_as_png
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    return image[image.shape[0] // 4, int(share * image.shape[1]), ::-1].astype(int)


def wait(browser: Any, until: Callable[[Any], bool], told: str = "") -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 30).until(until, told)


def check_pixel(browser: Any, share: float, color: tuple[int, int, int]) -> None:
    """Check that a colour of the comparison comes up on the screen, which takes its time."""
    told = f"{color} at {share} of the width"
    wait(browser, lambda _: np.abs(pixel(browser, share) - color).max() <= 6, told)


def test_headers_sort_by_number_in_both_directions_with_missing_values_last(shown: Any) -> None:
    head = header(shown, "style_held_out")
    find(head, "button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert order(shown) == [0, 3, 1, 4, 2]
    find(head, "button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert order(shown) == [4, 1, 3, 0, 2]
    find(header(shown, "style.weight"), "button").click()
    assert head.get_attribute("aria-sort") == "none"
    assert order(shown) == [2, 3, 4, 0, 1]  # 5, 5, 20, 100, 100 and the sweep's order
    button = find(header(shown, "content"), "button")
    button.send_keys("\ue007")  # Enter
    button.send_keys(" ")
    assert header(shown, "content").get_attribute("aria-sort") == "descending"
    assert order(shown) == [4, 3, 2, 1, 0]


@pytest.mark.slow
def test_filter_choices_and_columns_narrow_the_table_and_can_be_cleared(shown: Any) -> None:
    find(shown, "#filter").send_keys("STYLE.weight=5 content.weight=3")
    assert order(shown) == [3]
    assert find(shown, "#shown").text == "1 of 5 shown"
    find(shown, "#filter").send_keys(" nonsense")
    assert order(shown) == []
    find(shown, "#clear").click()
    assert order(shown) == [0, 1, 2, 3, 4]
    find(shown, "select[data-axis='0']").send_keys("100")
    assert order(shown) == [0, 1]
    find(shown, "select[data-axis='1']").send_keys("3")
    assert order(shown) == [1]
    cell = find(shown, "tr[data-run='1'] td[data-label='loss/style/relu1_1']")
    assert not cell.is_displayed()
    find(shown, ".chooser summary").send_keys("\ue007")
    box = "//label[normalize-space()='loss/style/relu1_1']/input"
    shown.find_element("xpath", box).send_keys(" ")
    assert cell.is_displayed()
    assert header(shown, "loss/style/relu1_1").is_displayed()


@pytest.mark.slow
def test_slider_moves_by_arrow_keys_and_uncovers_the_other_picture(shown: Any) -> None:
    check_pixel(shown, 0.3, (200, 10, 90))  # the content image
    check_pixel(shown, 0.7, color_of(0))
    slider = find(shown, "#slider")
    before = find(shown, "#left-layer").value_of_css_property("clip-path")
    for _ in range(30):
        slider.send_keys("\ue012")  # arrow to the left
    assert slider.get_attribute("value") == "20"
    assert find(shown, "#left-layer").value_of_css_property("clip-path") != before
    check_pixel(shown, 0.3, color_of(0))
    check_pixel(shown, 0.1, (200, 10, 90))


@pytest.mark.slow
def test_ticked_runs_are_compared_and_their_curves_drawn_without_a_request(
    shown: Any, tmp_path: Path
) -> None:
    find(shown, "tr[data-run='3'] input").click()
    check_pixel(shown, 0.3, color_of(0))
    check_pixel(shown, 0.7, color_of(3))
    legend = [item.text for item in find_all(shown, "#legend li")]
    names = ["style.weight=100 content.weight=1", "style.weight=5 content.weight=3"]
    assert legend == names
    find(shown, "#swap").click()
    check_pixel(shown, 0.3, color_of(3))
    find(shown, "tr[data-run='4'] input").send_keys(" ")  # the third takes the oldest one's place
    assert len(find_all(shown, "tbody input:checked")) == 2
    find(shown, "#all-curves").click()
    assert len(find_all(shown, "#plot path")) == 5
    ends = [
        float(path.get_attribute("d").split()[-1])
        for run in range(5)
        for path in find_all(shown, f"#plot path[data-run='{run}']")
    ]
    assert ends == sorted(ends)  # the later the run, the lower it ends
    events = [json.loads(entry["message"])["message"] for entry in shown.get_log("performance")]
    urls = {
        event["params"]["request"]["url"].split(",")[0]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    page = (tmp_path / "index.html").as_uri()
    assert page in urls  # the log does record
    assert {url for url in urls if not url.startswith("data:")} == {page}
    entries = "return performance.getEntriesByType('resource').map(e => e.name.slice(0, 5))"
    assert set(shown.execute_script(entries)) <= {"data:"}
    assert shown.get_log("browser") == []


@pytest.mark.slow
def test_everything_can_be_reached_by_tab_and_shows_its_focus(shown: Any) -> None:
    seen = []
    for _ in range(60):
        shown.switch_to.active_element.send_keys("\ue004")
        focused = shown.switch_to.active_element
        seen.append(focused.get_attribute("id") or focused.tag_name)
        element = find(shown, "#stage") if seen[-1] == "slider" else focused
        if seen[-1] != "body":
            assert element.value_of_css_property("outline-style") != "none", seen[-1]
    wanted = {"left", "right", "slider", "all-curves", "filter", "summary", "button", "a"}
    assert wanted <= set(seen)


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1280])
def test_page_is_never_wider_than_the_screen(shown: Any, width: int) -> None:
    set_width(shown, width)
    shown.refresh()
    columns = "document.querySelectorAll('[data-column]:not(:checked)').forEach(c => c.click())"
    shown.execute_script(columns)  # more than fit
    size = "const e = document.documentElement; return [e.scrollWidth, e.clientWidth]"
    content, room = shown.execute_script(size)
    assert width - 20 < room <= width  # without the scroll bar
    assert content <= room
    rows = "return [...document.querySelectorAll('tbody td')].filter(c => !c.hidden)"
    edges = shown.execute_script(rows + ".map(c => c.getBoundingClientRect().right)")
    if width == 360:
        assert max(edges) <= 360


@pytest.mark.slow
def test_hostile_names_run_nothing_and_the_policy_stops_requests(
    browser: Any, tmp_path: Path
) -> None:
    run = a_run(tmp_path, 0, name=HOSTILE, values={"output.name": HOSTILE}, metrics={HOSTILE: 1.0})
    browser.get_log("browser")
    browser.get(write_page(tmp_path, SweepResults(HOSTILE, (), (run,))).as_uri())
    assert "alert(1)" in browser.title  # and no dialog, which would have stopped us
    assert browser.get_log("browser") == []
    browser.execute_script("fetch('https://example.org/').catch(() => {})")
    browser.execute_script("new Image().src = 'file:///usr/share/pixmaps/debian-logo.png'")
    complaints = []

    def told(_: Any) -> bool:
        complaints.extend(entry["message"] for entry in browser.get_log("browser"))
        return sum("Content Security Policy" in complaint for complaint in complaints) >= 2

    wait(browser, told)


@pytest.mark.slow
def test_a_thousand_runs_are_shown_and_sorted(browser: Any, tmp_path: Path) -> None:
    results = a_grid(tmp_path, {"init.seed": [str(i) for i in range(1000)]})
    path = write_page(tmp_path, results)
    assert path.stat().st_size < 50e6
    set_width(browser, 1280)
    browser.get(path.as_uri())
    # The table scrolls in its own box; what is unseen in it does not stretch the page.
    assert browser.execute_script("return document.documentElement.scrollHeight") < 4000
    sort = "document.querySelectorAll('#table thead th.measure button')[0].click();"
    browser.execute_script(sort)  # within the 30 seconds that it may take
    rows = "return [...document.querySelectorAll('#table tbody tr')].map(r => r.dataset.run)"
    found = [int(run) for run in browser.execute_script(rows)]
    assert found == sorted(range(1000), key=lambda i: results.runs[i].metrics["style_held_out"])
