"""The page to paint on, in a real browser: what a person does, step by step."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tests.paint_page import (
    COUNT,
    FRAMES,
    HEIGHT,
    WIDTH,
    Page,
    needs_browser,
    served_page,
)
from tests.paint_server import make_video, painting

webdriver = pytest.importorskip("selenium.webdriver", reason="needs pip install '.[browser]'")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select  # noqa: E402

pytestmark = needs_browser


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    with served_page(tmp_path_factory.mktemp("paint")) as page:
        yield page


@pytest.fixture
def page(opened):
    opened.open_anew()
    return opened


def picture(page: Page) -> np.ndarray:
    url = page.run("return document.getElementById('picture').toDataURL()")
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        return np.array(image.convert("RGB")).astype(int)


def disc(x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def test_a_video_is_scrubbed_played_and_stepped(page):
    assert page.find("h1").text == "video"
    for keys, frame in (
        ([Keys.ARROW_RIGHT], 1),
        ([Keys.END], COUNT - 1),
        ([Keys.ARROW_LEFT], COUNT - 2),
        ([Keys.PAGE_UP], 0),
        ([Keys.ARROW_RIGHT], 1),
    ):
        page.press(*keys)
        page.shown(frame)
        assert np.abs(picture(page) - FRAMES[frame]).mean() < 12  # JPEG
    line = page.find("#line")
    seek = webdriver.ActionChains(page.driver)
    seek.move_to_element_with_offset(line, line.size["width"] // 2 - 5, 0).click().perform()
    page.shown(COUNT - 1)
    page.click("#first")
    page.shown(0)
    page.press(" ")
    assert page.find("#play").text == "Pause"
    page.shown(COUNT - 1)
    page.wait(lambda: page.find("#play").text == "Play")
    thumbs = "return [...document.querySelectorAll('#thumbs img')].map((i) => i.naturalHeight)"
    page.wait(lambda: len(page.run(thumbs)) > 5 and all(page.run(thumbs)))
    assert page.find("#line").get_attribute("aria-valuetext") == f"frame {COUNT - 1}, out of reach"


def test_brush_and_eraser_paint_what_is_on_the_disk(page):
    page.draw((40, 30))
    assert (page.ids() == disc(40, 30, 6)).mean() > 0.995
    page.draw((40, 30), (80, 60))
    painted = page.ids()
    assert painted[45, 60] == 1 and painted[30, 40] == 1 and painted[10, 10] == 0
    np.testing.assert_array_equal(page.given(0), painted)
    page.press("e")
    page.draw((80, 60))
    assert page.ids()[60, 80] == 0 and page.ids()[30, 40] == 1
    np.testing.assert_array_equal(page.given(0), page.ids())
    assert page.states[0] == "a" and set(page.states[1:]) == {"t"}
    assert page.pixel(40, 30) == [0xE6, 0x9F, 0x00, 255]
    assert page.pixel(80, 60) == [0, 0, 0, 0]
    page.click("#edges")
    page.wait(lambda: page.alpha(40, 30) == 0)
    page.click("#edges")


def test_objects_are_added_named_coloured_hidden_locked_merged_and_deleted(page):
    page.draw((40, 30))
    page.wait(lambda: len(page.driver.find_elements(By.CSS_SELECTOR, "#objects li")) == 1)
    page.click("#add")
    page.wait(lambda: page.run("return paint.hub.object") == 2)
    page.draw((50, 30))
    both = page.ids()
    assert both[30, 40] == 1 and both[30, 50] == 2 and both[30, 46] == 2
    name = page.find("#objects li:nth-child(2) input[placeholder]")
    name.send_keys("left hand", Keys.ENTER)
    page.wait(lambda: page.run("return paint.hub.state.objects[1].name") == "left hand")
    page.press("k")  # locks the second
    page.wait(lambda: page.run("return paint.hub.state.objects[1].locked"))
    page.draw((60, 60))
    assert page.ids()[60, 60] == 0 and "locked" in page.find("#said").text
    page.click("#objects li:first-child .pick")
    page.draw((30, 30), (60, 30))
    after = page.ids()
    np.testing.assert_array_equal(after == 2, both == 2)
    assert after[30, 32] == 1
    page.press("v")
    page.wait(lambda: page.run("return paint.hub.state.objects[0].hidden"))
    page.wait(lambda: page.alpha(32, 30) == 0)
    page.press("v")
    page.wait(lambda: not page.run("return paint.hub.state.objects[0].hidden"))
    page.saved()
    page.open()  # again: it is all there
    np.testing.assert_array_equal(page.ids(), after)
    objects = page.run("return paint.hub.state.objects")
    assert [(each["name"], each["locked"]) for each in objects] == [
        ("", False),
        ("left hand", True),
    ]
    assert len({each["colour"] for each in objects}) == 2
    Select(page.find("#objects li:first-child select")).select_by_value("2")
    page.wait(lambda: len(page.run("return paint.hub.state.objects")) == 1)
    page.wait(lambda: set(np.unique(page.ids())) == {0, 2})
    np.testing.assert_array_equal(page.ids() > 0, after > 0)
    page.click("#objects li .sign:last-child")
    page.wait(lambda: page.states == "n" * COUNT)
    page.wait(lambda: not page.ids().any())
    # Both are undone, with the objects' names and looks; and what was painted before them, too.
    page.press(Keys.CONTROL, "zz")
    page.wait(lambda: set(np.unique(page.ids())) == {0, 1, 2})
    np.testing.assert_array_equal(page.ids(), after)
    np.testing.assert_array_equal(page.given(0), after)
    assert page.run("return paint.hub.state.objects") == objects
    page.press(Keys.CONTROL, Keys.SHIFT, "z")
    page.wait(lambda: set(np.unique(page.ids())) == {0, 2})
    np.testing.assert_array_equal(page.given(0) > 0, after > 0)


def test_polygon_fill_grow_and_shrink(page):
    page.press("p")
    for corner in ((20, 20), (60, 20), (60, 50), (20, 50)):
        page.draw(corner)
    page.press(Keys.ENTER)
    square = page.ids() == 1
    expected = np.zeros_like(square)
    expected[20:50, 20:60] = True
    assert (square != expected).sum() < 150  # the pen is at whole pixels of the screen
    page.press("e")
    page.draw((40, 35))
    assert page.ids()[35, 40] == 0
    page.press("f")
    page.draw((40, 35))
    np.testing.assert_array_equal(page.ids() == 1, square)
    page.draw((100, 80))  # what reaches the border is no hole
    np.testing.assert_array_equal(page.ids() == 1, square)
    page.press("g")
    grown = page.ids() == 1
    assert grown.sum() > square.sum() and (grown & square).sum() == square.sum()
    page.press("G")
    np.testing.assert_array_equal(page.ids() == 1, square)
    np.testing.assert_array_equal(page.given(0), page.ids())


def test_a_hundred_steps_are_undone_and_done_again(page):
    page.size(2)
    seen = [page.ids()]
    for step in range(100):
        page.run(
            "const stage = document.getElementById('stage'), { view } = paint;"
            "const box = stage.getBoundingClientRect();"
            "for (const kind of ['pointerdown', 'pointerup']) stage.dispatchEvent("
            " new PointerEvent(kind, { pointerId: 1, button: 0, bubbles: true,"
            " clientX: box.left + view.x + arguments[0] * view.scale,"
            " clientY: box.top + view.y + arguments[1] * view.scale }))",
            *(5 + step, 10 + 7 * (step % 10)),
        )
        seen.append(page.ids())
    assert (seen[-1] > 0).sum() > 300
    for step in range(100, 0, -1):
        np.testing.assert_array_equal(page.ids(), seen[step])
        page.press(Keys.CONTROL, "z")
    page.wait(lambda: page.states == "t" * COUNT or page.states == "n" * COUNT)
    assert not page.ids().any()  # and nothing is given any more
    for _ in range(100):
        page.press(Keys.CONTROL, Keys.SHIFT, "z")
    np.testing.assert_array_equal(page.ids(), seen[-1])
    np.testing.assert_array_equal(page.given(0), seen[-1])


def test_zoom_pan_and_the_size_of_the_brush(page):
    stage, scale = page.find("#stage"), page.run("return paint.view.scale")
    wheel = webdriver.common.actions.wheel_input.ScrollOrigin.from_element(stage)
    webdriver.ActionChains(page.driver).scroll_from_origin(wheel, 0, -120).perform()
    page.wait(lambda: page.run("return paint.hub.size") > 6)
    page.press("+")
    page.press("+")
    assert page.run("return paint.view.scale") > 1.5 * scale
    page.size(4)
    page.draw((64, 48))  # still where the pen is
    assert (page.ids() == disc(64, 48, 4)).mean() > 0.995
    page.press("h")
    before = page.run("return paint.view.x")
    page.draw((64, 48), (70, 48))
    assert page.run("return paint.view.x") > before
    page.press("0")
    assert page.run("return paint.view.scale") == pytest.approx(scale)
    page.press("b")


def test_a_mask_is_loaded_and_the_frame_before_copied(page, tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:40, 10:50], mask[50:80, 60:90] = 1, 2
    file = tmp_path / "mask.png"
    image = Image.fromarray(mask)
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(file)
    page.find("#file").send_keys(str(file))
    page.wait(lambda: page.ids().any())
    np.testing.assert_array_equal(page.ids(), mask)
    np.testing.assert_array_equal(page.given(0), mask)
    page.press(Keys.ARROW_RIGHT)
    page.shown(1)
    assert not page.ids().any()
    page.press("c")
    page.wait(lambda: page.ids().any())
    np.testing.assert_array_equal(page.given(1), mask)
    Image.new("L", (20, 20), 255).save(file)
    page.find("#file").send_keys(str(file))
    page.wait(lambda: "20x20" in page.find("#said").text)
    page.driver.get_log("browser")  # of the answer 400
    np.testing.assert_array_equal(page.ids(), mask)


def overlap(found: np.ndarray) -> float:
    truth = np.zeros((HEIGHT, WIDTH), bool)
    truth[20:60, 30:80] = True
    return (found & truth).sum() / (found | truth).sum()


def test_an_assist_by_a_box_and_by_scribbles(page):
    page.go(2)
    page.press("x")
    page.draw((24, 14), (60, 40), (88, 68))
    page.wait(lambda: page.ids().any())
    assert overlap(page.ids() == 1) > 0.95
    page.press(Keys.CONTROL, "z")
    assert not page.ids().any()
    page.press("s")
    page.draw((40, 30), (70, 50))
    page.wait(lambda: page.ids().any())
    page.draw((25, 65), (85, 65), shift=True)
    page.wait(lambda: overlap(page.ids() == 1) > 0.9)
    page.saved()
    assert page.states[2] == "a"
    page.press("b")


def test_two_tabs_see_the_same(page):
    other = Page(page.address, page.folder)
    try:
        other.open()
        page.draw((40, 30))
        page.saved()
        other.wait(lambda: other.ids().any())
        np.testing.assert_array_equal(other.ids(), page.ids())
        other.size(9)
        other.draw((90, 60))
        other.saved()
        page.wait(lambda: page.ids()[60, 90] == 1)
        np.testing.assert_array_equal(other.ids(), page.ids())
        assert page.states == other.states
    finally:
        other.close()


def test_an_open_page_outlasts_its_server(tmp_path):
    video = make_video(tmp_path / "video", FRAMES)
    folder = video.with_name("video-painted")
    with painting(video) as (address, process):
        page = Page(address, folder)
        page.open()
        page.draw((40, 30))
        page.saved()
        process.kill()
        process.wait()
        page.draw((90, 60))
        assert "saving" in page.find("#about").text
    assert (folder / ".session" / "address.json").stat().st_mode & 0o077 == 0
    with painting(video) as (again, _):
        assert again == address
        page.saved()
        assert page.given(0)[60, 90] == 1 and page.given(0)[30, 40] == 1
        page.draw((20, 80))
        assert page.given(0)[80, 20] == 1
        page.driver.get_log("browser")  # of a server that did not answer
        page.close()


def test_the_pen_goes_by_keys(page):
    stage = page.find("#stage")
    webdriver.ActionChains(page.driver).move_to_element(stage).perform()
    page.press("d")
    for _ in range(5):
        page.press(Keys.SHIFT, Keys.ARROW_RIGHT)
    page.press("d")
    painted = page.ids()
    columns = np.flatnonzero(painted.any(axis=0))
    assert len(columns) > len(np.flatnonzero(painted.any(axis=1))) > 5
    page.press("?")
    assert page.find("#keys").is_displayed()
    page.click("#keys button")


def test_all_is_seen_at_1280_by_720(page):
    page.run("window.root = document.documentElement")
    assert page.run("return root.scrollWidth <= innerWidth && root.scrollHeight <= innerHeight")
    for selector in ("#follow", "#export", "#objects", "#line", "#play", "#tools :last-child"):
        box = page.find(selector).rect
        assert min(box["x"], box["y"]) >= 0 and box["x"] + box["width"] <= 1280
        assert box["y"] + box["height"] <= page.run("return innerHeight")
    assert page.find("#stage").size["height"] > 300
