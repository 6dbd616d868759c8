"""The report page in a real browser, opened from disk; skips where there is none to drive."""

import base64
import contextlib
import dataclasses
import io
import json
import pathlib
import re
import shutil
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from stm_jax.report.page_of_scores import write_report
from tests.report_data import HEIGHT, WIDTH, make_scores, make_sequence

webdriver = pytest.importorskip("selenium.webdriver", reason="needs pip install '.[browser]'")
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
    " --window-size=1280,900"
)
HOSTILE = "</script><img src=x onerror=\"document.title='run'\">"
CALLED = HOSTILE.replace("/", "")  # else it is no folder's name

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs Chromium and chromedriver on the PATH"
)


@pytest.fixture(scope="module")
def browser() -> Iterator:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.implicitly_wait(10)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> pathlib.Path:
    root = tmp_path_factory.mktemp("report")
    sequences = [
        make_sequence(root, "beta", "a"),
        make_sequence(root, "alpha", "b", objects=(1, 2, 7)),
        make_sequence(root, CALLED, "c", frames=6),
    ]
    (root / "predictions" / "beta" / "00000.png").unlink()
    Image.new("RGB", (90, 60), (200, 30, 30)).save(root / "looked.png")
    details = {
        "title": HOSTILE,
        "attention": {"beta": root / "looked.png"},
        "settings": {"memorize_every": 5},
        "sequences": {"beta": {"memorized": [0, 5, 10], "dropped": [[5, 10]]}},
    }
    path = root / "report.html"
    scores = make_scores(sequences, (HOSTILE,))
    write_report(path, scores, root / "predictions", sequences, details)
    return path


@pytest.fixture
def opened(browser, page):
    """Returns the browser with the page freshly opened; what it complained of fails the test."""
    scheme(browser, "light")
    browser.get_log("performance")
    browser.get(page.as_uri())
    shown(browser, 10)
    yield browser
    assert browser.get_log("browser") == []
    requests = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = {
        m["params"]["request"]["url"]
        for m in requests
        if m["method"] == "Network.requestWillBeSent"
    }
    own = ("data:image/", "blob:")  # in the page itself
    assert {url for url in urls if not url.startswith(own)} <= {page.as_uri()}


def scheme(browser, name: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": name}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def find(browser, selector: str):
    return browser.find_element("css selector", selector)


def shown(browser, frame: int) -> str:
    """Waits until both pictures show the frame; returns the pixels of the prediction."""
    for name in ("truth", "prediction"):
        find(browser, f'#{name}[data-frame="{frame}"]')
    return browser.execute_script("return document.getElementById('prediction').toDataURL()")


def names(browser) -> list[str]:
    cells = browser.find_elements("css selector", "#table tbody th")
    return [cell.text for cell in cells]


def column(browser, number: int) -> list[float]:
    cells = browser.find_elements("css selector", f"#table tbody tr > :nth-child({number})")
    return [float(cell.text) for cell in cells]


def heading(browser, name: str):
    buttons = browser.find_elements("css selector", "#table thead button")
    return next(button for button in buttons if button.text == name)


def sort_of(button) -> str | None:
    return button.find_element("xpath", "..").get_attribute("aria-sort")


def press(browser, *keys: str) -> None:
    browser.switch_to.active_element.send_keys(*keys)


def test_hostile_names_are_only_text(opened):
    assert opened.title == HOSTILE
    assert find(opened, "h1").text == find(opened, "#problems li").text == HOSTILE
    assert CALLED in names(opened)
    images = "return [...document.images].map((each) => each.parentElement.id)"
    assert opened.execute_script(images) == ["looked"]


def test_where_the_worst_frame_looked(opened):
    picture = find(opened, "#looked img")
    assert picture.get_attribute("alt").startswith("beta: the worst frame")
    assert until(lambda: picture.get_property("naturalWidth") == 90)
    assert find(opened, "#attention").is_displayed()
    find(opened, "#after").click()
    assert find(opened, "#viewer-title").text == "alpha"
    assert until(lambda: not find(opened, "#attention").is_displayed())
    assert opened.execute_script("return document.images.length") == 0


def test_every_column_sorts_by_click_and_by_keyboard(opened):
    assert names(opened) == [CALLED, "alpha", "beta"]
    assert sort_of(heading(opened, "Sequence")) == "ascending"
    heading(opened, "Sequence").click()
    assert names(opened) == ["beta", "alpha", CALLED]
    assert sort_of(heading(opened, "Sequence")) == "descending"
    headings = opened.find_elements("css selector", "#table thead button")
    for number, name in list(enumerate([each.text for each in headings], 1))[1:]:
        heading(opened, name).send_keys(Keys.ENTER)
        assert sort_of(heading(opened, name)) == "ascending"
        assert column(opened, number) == sorted(column(opened, number))
        press(opened, Keys.ENTER)  # the heading still has the focus
        assert column(opened, number) == sorted(column(opened, number), reverse=True)
    assert len(opened.find_elements("css selector", "[aria-sort]")) == 1


def test_table_of_objects(opened):
    opened.find_elements("css selector", "#rows button")[1].click()
    assert names(opened) == [CALLED, "alpha", "alpha", "alpha", "beta"]
    assert column(opened, 2) == [1, 1, 2, 7, 1]
    opened.find_elements("css selector", "#table tbody button")[3].click()
    assert find(opened, "#viewer-title").text == "alpha"
    pressed = opened.find_elements("css selector", "#objects [aria-pressed=true]")
    assert [each.text.split()[0] for each in pressed] == ["7"]
    assert len(opened.find_elements("css selector", "#plot-j .curve.faded")) == 2


def test_slider_and_keys_change_the_picture_and_the_cursor(opened):
    slider = find(opened, "#slider")
    assert slider.get_attribute("value") == "10"  # the worst frame first
    before = shown(opened, 10)
    cursor = float(find(opened, "#plot-j .cursor").get_attribute("x1"))
    slider.send_keys(Keys.ARROW_LEFT)
    assert shown(opened, 9) != before
    assert float(find(opened, "#plot-j .cursor").get_attribute("x1")) < cursor
    assert "frame 9 of 12" in find(opened, "#readout").text
    opened.execute_script(
        "const slider = document.getElementById('slider'); slider.value = 4;"
        "slider.dispatchEvent(new Event('input'))"
    )
    shown(opened, 4)
    find(opened, "#stage").click()
    press(opened, Keys.ARROW_RIGHT)
    shown(opened, 5)
    press(opened, Keys.SHIFT, Keys.ARROW_LEFT)
    shown(opened, 0)
    press(opened, Keys.END)
    shown(opened, 11)
    with_masks = shown(opened, 11)
    press(opened, "m")
    assert find(opened, "#masks").get_attribute("aria-pressed") == "false"
    assert until(lambda: shown(opened, 11) != with_masks)
    press(opened, "]")
    assert find(opened, "#viewer-title").text == "alpha"


def test_plot_and_player_move_together(opened):
    plot = find(opened, "#plot-f svg")
    webdriver.ActionChains(opened).move_to_element(plot).click().perform()
    middle = int(find(opened, "#slider").get_attribute("value"))
    assert middle in (5, 6)
    shown(opened, middle)


def pixels(browser, name: str) -> np.ndarray:
    """Returns what a canvas shows, (height, width, 3)."""
    url = browser.execute_script("return document.getElementById(arguments[0]).toDataURL()", name)
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        return np.array(image.convert("RGB")).astype(int)


def test_each_frame_is_its_own_with_its_own_masks(opened):
    """Whichever way it is come by: the film is sought, and seeks may overlap."""
    find(opened, "#stage").click()
    for keys, frame in [
        ((Keys.HOME,), 0),
        ((Keys.END,), 11),
        ((Keys.ARROW_LEFT,) * 8, 3),
        ((Keys.ARROW_RIGHT,), 4),
        ((Keys.HOME,), 0),
        ((Keys.ARROW_RIGHT,) * 7, 7),
    ]:
        for key in keys:
            webdriver.ActionChains(opened).send_keys(key).perform()
        shown(opened, frame)
        seen = pixels(opened, "truth")
        assert seen.shape == (HEIGHT, WIDTH, 3)
        assert abs(seen[30:, 50:].mean() - (60 + 10 * frame)) < 4
        left = 3 + 3 * frame  # the square of object 1, dark red in DAVIS, outlined brighter
        where = np.argwhere((seen[:20] == (255, 0, 0)).all(axis=-1))
        assert where.min(axis=0).tolist() == [4, left] and where.max(axis=0)[1] == left + 11
        inside = seen[7:9, left + 3 : left + 9]
        tinted = (200 * 140 + 128 * 115) / 255
        assert abs(inside[..., 0].mean() - tinted) < 8 and inside[..., 2].mean() < 60
        if frame:  # whose mask lags behind by a pixel, and frame 0 has none
            where = np.argwhere((pixels(opened, "prediction")[:20] == (255, 0, 0)).all(axis=-1))
            assert where.min(axis=0).tolist() == [4, left - 1]


def test_without_vp9_there_are_the_masks(browser, page, tmp_path):
    broken = tmp_path / "broken.html"
    broken.write_text(re.sub(r'"film":"[^"]*', '"film":"AAAA', page.read_text()))
    browser.get(broken.as_uri())
    shown(browser, 10)
    assert until(lambda: find(browser, "#no-film").is_displayed())
    assert (pixels(browser, "truth") == (255, 0, 0)).all(axis=-1).any()


def test_play_and_pause(opened):
    press(opened, Keys.ARROW_LEFT)
    shown(opened, 9)
    find(opened, "#stage").click()
    press(opened, " ")
    assert find(opened, "#play").text == "Pause"
    shown(opened, 11)
    assert until(lambda: find(opened, "#play").text == "Play")
    find(opened, "#play").click()  # from the beginning again
    assert until(lambda: find(opened, "#slider").get_attribute("value") in ("0", "1", "2", "3"))
    find(opened, "#play").click()
    assert find(opened, "#play").text == "Play"


def test_memory_marks_and_missing_masks(opened):
    assert find(opened, "#viewer-title").text == "beta"
    for kind, number in (("kept", 2), ("gone", 1), ("drop", 1), ("given", 1)):
        marks = opened.find_elements("css selector", f"#plot-j .{kind} title")
        assert len(marks) == number, kind
    titles = opened.execute_script(
        "return [...document.querySelectorAll('#plot-j .gone title')].map((t) => t.textContent)"
    )
    assert titles == ["memorised in frame 5, dropped in frame 10"]
    find(opened, "#stage").click()
    press(opened, Keys.HOME)
    shown(opened, 0)
    assert find(opened, "#prediction + p").text == "the mask is missing"
    assert not find(opened, "#truth + p").is_displayed()


def test_worst_frames_lead_to_their_place(opened):
    strip = opened.find_elements("css selector", "#worst button")
    assert strip[0].get_attribute("aria-label").startswith("alpha, frame 10, J 40.0")
    strip[0].click()
    assert find(opened, "#viewer-title").text == "alpha"
    shown(opened, 10)
    assert find(opened, "#worst-here [aria-current=true]").text.split() == ["frame", "10", "40.0"]


def test_dark_by_the_system_and_by_the_button(opened):
    def ground() -> str:
        return find(opened, "body").value_of_css_property("background-color")

    light = ground()
    scheme(opened, "dark")
    dark = ground()
    assert light != dark
    find(opened, "#theme").click()
    assert ground() == light
    scheme(opened, "light")
    find(opened, "#theme").click()
    assert ground() == dark


def test_narrow_screens_do_not_scroll_sideways(opened):
    size = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    with contextlib.ExitStack() as after:
        after.callback(opened.execute_cdp_cmd, "Emulation.clearDeviceMetricsOverride", {})
        assert opened.execute_script("return document.documentElement.scrollWidth") == 400
        truth, prediction = (find(opened, f"#{name}").rect for name in ("truth", "prediction"))
        assert prediction["y"] > truth["y"] + truth["height"]


def until(condition) -> bool:
    """Waits, ten seconds at most, until the condition holds."""
    return WebDriverWait(None, 10, 0.05).until(lambda _: condition())


@pytest.mark.parametrize(
    "protocol, tracking, said",
    [
        ("burst", {"HOTA_all": 0.5, "DetA_all": 0.25}, "BURST HOTA all 50.0 DetA all 25.0"),
        ("vost", {}, "VOST J tr 55.0 J 72.5"),
        ("lvos", {}, "LVOS V 7.2"),
    ],
)
def test_what_a_benchmark_ranks_by_has_a_tile(browser, tmp_path, protocol, tracking, said):
    sequences = [make_sequence(tmp_path, "beta", "a", objects=(1,))]
    scores = make_scores(sequences)
    scores = dataclasses.replace(scores, protocol=protocol, tracking=tracking)
    path = tmp_path / "report.html"
    write_report(path, scores, tmp_path / "predictions", sequences, {})
    browser.get(path.as_uri())
    tiles = [each.text.split() for each in browser.find_elements("css selector", "#tiles .tile")]
    assert len(tiles) == 4 and tiles[3] == said.split()
