"""The page of a sweep as Chromium shows it."""

import json
import shutil
from typing import Any

import cv2
import numpy as np
import pytest
from sweep_folders import HOSTILE, TWO, a_grid, changed, color_of

from neural_style.sweeps.report.page import write_page

LEFT, RIGHT, DOWN = "\ue012", "\ue014", "\ue015"
ESCAPE, ENTER = "\ue00c", "\ue007"


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
