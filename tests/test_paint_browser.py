"""The page to paint on, in a real browser: what a person does, step by step."""

import base64
import io
import json
import pathlib
import shutil
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from stm_jax.data.truth_masks import read_truth
from tests.lively import clip
from tests.paint_server import make_video, painting

webdriver = pytest.importorskip("selenium.webdriver", reason="needs pip install '.[browser]'")
pytest.importorskip("uvicorn", reason="needs pip install '.[app]'")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
    " --window-size=1280,720"
)
HEIGHT, WIDTH, COUNT = 96, 128, 9
FRAMES = clip(COUNT, HEIGHT, WIDTH)
FRAMES[2, 20:60, 30:80] = (250, 250, 250)  # something that an assist finds
FRAMES[2, :20] = FRAMES[2, 60:] = FRAMES[2, :, :30] = FRAMES[2, :, 80:] = (20, 40, 90)

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs Chromium and chromedriver on the PATH"
)


class Page:
    """A page that is open in a browser of its own, and the folder of its session."""

    def __init__(self, address: str, folder: pathlib.Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in FLAGS.split():
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
        self.folder, self.address = folder, address
        self.run = self.driver.execute_script

    def open(self) -> None:
        self.driver.get(self.address)
        self.wait(lambda: self.run("return window.paint?.hub.state && true"))
        self.shown(0)

    def wait(self, condition, seconds: float = 60):
        return WebDriverWait(self.driver, seconds, poll_frequency=0.05).until(lambda _: condition())

    def find(self, selector: str):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def click(self, selector: str) -> None:
        self.find(selector).click()

    def shown(self, frame: int) -> None:
        picture = self.find("#picture")
        self.wait(lambda: picture.get_attribute("data-frame") == str(frame))

    def press(self, *keys: str) -> None:
        self.find("#stage").send_keys(*keys)

    def go(self, frame: int) -> None:
        self.press(Keys.HOME)
        self.shown(0)
        for each in range(frame):
            self.press(Keys.ARROW_RIGHT)
            self.shown(each + 1)

    def offset(self, x: float, y: float) -> tuple[int, int]:
        """Where a place of the frame is, from the middle of the stage."""
        return tuple(
            self.run(
                "const { view } = paint, stage = document.getElementById('stage');"
                "return [view.x + arguments[0] * view.scale - stage.clientWidth / 2,"
                " view.y + arguments[1] * view.scale - stage.clientHeight / 2].map(Math.round)",
                *(x, y),
            )
        )

    def draw(self, *places: tuple[float, float], shift: bool = False) -> None:
        """Puts the pen down at the first place, and lifts it at the last."""
        stage, pen = self.find("#stage"), webdriver.ActionChains(self.driver, duration=20)
        if shift:
            pen.key_down(Keys.SHIFT)
        pen.move_to_element_with_offset(stage, *self.offset(*places[0])).click_and_hold()
        for place in places[1:]:
            pen.move_to_element_with_offset(stage, *self.offset(*place))
        pen.release()
        if shift:
            pen.key_up(Keys.SHIFT)
        pen.perform()

    def ids(self) -> np.ndarray:
        """What the page shows of the frame."""
        content = self.run(
            "const text = []; for (const id of paint.mask.ids) text.push(String.fromCharCode(id));"
            "return btoa(text.join(''))"
        )
        return np.frombuffer(base64.b64decode(content), np.uint8).reshape(HEIGHT, WIDTH)

    def pixel(self, x: int, y: int) -> list[int]:
        """Red, green, blue and alpha of the masks' canvas, by a copy: to read it often is slow."""
        return self.run(
            "const copy = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });"
            "copy.drawImage(document.getElementById('masks'), -arguments[0], -arguments[1]);"
            "return [...copy.getImageData(0, 0, 1, 1).data]",
            *(x, y),
        )

    def alpha(self, x: int, y: int) -> int:
        """How opaque the masks' canvas is."""
        return self.pixel(x, y)[3]

    def saved(self) -> None:
        self.wait(lambda: "all saved" in self.find("#about").text)

    @property
    def states(self) -> str:
        return self.run("return paint.hub.state.states")

    def given(self, frame: int) -> np.ndarray:
        """What is on the disk."""
        self.saved()
        (file,) = (self.folder / "annotations").glob(f"{frame:03d}.*.png")
        return read_truth(file)

    def follow(self) -> None:
        self.click("#follow")
        time.sleep(0.3)  # it may have nothing to do, and end before anybody sees it
        self.wait(lambda: self.run("return paint.hub.state.progress") is None, 120)

    def size(self, size: int) -> None:
        self.run(
            "const input = document.getElementById('size'); input.value = arguments[0];"
            "input.dispatchEvent(new Event('input'))",
            size,
        )

    def close(self) -> None:
        """Ends the browser; what the page complained of, or asked of another host, is wrong."""
        said = self.driver.get_log("browser")
        requests = [
            json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")
        ]
        self.driver.quit()
        assert [each for each in said if "favicon" not in each["message"]] == []
        urls = {
            each["params"]["request"]["url"]
            for each in requests
            if each["method"] == "Network.requestWillBeSent"
        }
        assert not {url for url in urls if not url.startswith((self.address, "data:", "blob:"))}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    video = make_video(tmp_path_factory.mktemp("paint") / "video", FRAMES)
    with painting(video) as (address, _):
        yield address, video.with_name("video-painted")


@pytest.fixture(scope="module")
def opened(server):
    page = Page(*server)
    yield page
    page.close()


@pytest.fixture
def page(opened):
    """The page with nothing painted yet."""
    opened.open()
    opened.run(
        "for (const { id } of paint.hub.state.objects) fetch('do', { method: 'POST',"
        " body: JSON.stringify({ do: 'RemoveObject', object_id: id }) })"
    )
    opened.wait(lambda: opened.states == "n" * COUNT)
    opened.open()
    opened.size(6)
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


def test_following_is_shown_paused_and_gone_on_with(page):
    page.go(4)
    page.draw((40, 30), (60, 50))
    page.saved()
    page.click("#follow")
    page.wait(lambda: "d" in page.states, 120)
    page.click("#follow")
    page.wait(lambda: page.find("#follow").text == "Follow")
    paused = page.states
    time.sleep(0.5)
    assert page.states == paused and paused[4] == "a"
    page.follow()
    assert page.states == "dddda" + "d" * 4
    masks = sorted(file.name for file in (page.folder / "masks").glob("*.png"))
    assert len(masks) == COUNT
    page.go(6)
    np.testing.assert_array_equal(page.ids(), read_truth(page.folder / "masks" / "006.png"))


def test_a_correction_stays_and_what_follows_changes(page):
    page.draw((40, 30), (60, 50))
    page.saved()
    page.follow()
    assert page.states == "a" + "d" * (COUNT - 1)
    page.go(5)
    found = page.ids()
    page.draw((20, 80), (100, 80))
    page.saved()
    assert page.states[5] == "a"
    page.press(Keys.CONTROL, "z")
    page.wait(lambda: page.states == "a" + "d" * (COUNT - 1))  # as if nothing had been given
    np.testing.assert_array_equal(page.ids(), found)
    page.press("e")
    page.draw((5, 5), (120, 90))
    page.press("b")
    page.draw((90, 20))
    corrected = page.ids()
    np.testing.assert_array_equal(page.given(5), corrected)
    assert page.states == "a" + "ssss" + "a" + "sss"
    certainty = page.run("return paint.hub.state.certainty")
    assert len(certainty) == COUNT and max(certainty) <= 100
    Select(page.find("#range")).select_by_value("here")
    page.follow()
    assert page.states == "assssaddd"
    Select(page.find("#range")).select_by_value("all")
    page.follow()
    assert page.states == "addddaddd"
    page.go(5)
    np.testing.assert_array_equal(page.ids(), corrected)
    looked = page.run("return paint.hub.state.look")
    page.press("n")
    page.shown(looked[0])
    assert looked[0] not in (0, 5)


def test_another_direction_is_another_answer(page):
    page.go(4)
    page.draw((40, 30), (60, 50))
    page.saved()
    Select(page.find("#direction")).select_by_value("forward")
    page.wait(lambda: page.states[:5] == "nnnna")
    page.follow()
    assert page.states == "nnnnadddd"
    Select(page.find("#direction")).select_by_value("both")
    page.wait(lambda: page.states[4:] == "adddd" and set(page.states[:4]) <= {"t", "s"})


def test_where_a_pixel_looked(page):
    page.draw((40, 30), (60, 50))
    page.saved()
    page.follow()
    page.go(6)
    page.press("l")
    page.draw((50, 40))
    image = page.find("#looked img")
    page.wait(lambda: image.is_displayed() and image.get_property("naturalWidth") > 500)
    page.click("#looked button")
    page.press("b")


def test_results_are_made_and_fetched(page, tmp_path):
    page.draw((40, 30), (60, 50))
    page.saved()
    page.follow()
    page.press("t")
    kinds = ("overlay", "rgba", "coco", "report")
    for kind in kinds:
        page.click(f"#kinds input[value='{kind}']")
    page.click("#make")
    exported = page.folder / "export"
    links = "return [...document.querySelectorAll('#made a')].map((link) => link.textContent)"
    page.wait(lambda: page.find("#results").is_displayed())  # again, when all is made
    assert set(page.run(links)) == {"palette", *kinds}
    assert len(list((exported / "masks").glob("*.png"))) == COUNT
    assert len(list((exported / "rgba").glob("*.png"))) == COUNT
    assert (exported / "overlay.mp4").stat().st_size > 1000
    assert json.loads((exported / "coco.json").read_text())["annotations"]
    np.testing.assert_array_equal(read_truth(exported / "masks" / "000.png"), page.given(0))
    where = {"behavior": "allow", "downloadPath": str(tmp_path)}
    page.driver.execute_cdp_cmd("Browser.setDownloadBehavior", where)
    for kind, name in (("coco", "video-coco.json"), ("rgba", "video-rgba.zip")):
        page.click(f"#made a[href$='{kind}']")
        page.wait((tmp_path / name).exists)
    assert (tmp_path / "video-coco.json").read_bytes() == (exported / "coco.json").read_bytes()
    with zipfile.ZipFile(tmp_path / "video-rgba.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"rgba/{frame:03d}.png" for frame in range(COUNT)]
    page.click("#results form button")


def test_the_report_is_a_page_by_itself(page):
    page.draw((40, 30), (60, 50))
    page.saved()
    page.follow()
    page.press("t")
    page.click("#kinds input[value='report']")
    page.click("#make")
    page.wait(lambda: page.find("#results").is_displayed())
    page.click("#results form button")
    report = Page((page.folder / "export" / "report.html").as_uri(), page.folder)
    try:
        report.driver.get(report.address)
        canvas = report.find("#prediction")
        report.wait(lambda: canvas.get_attribute("data-frame") == "0")
        assert "1 frame given by hand" in report.find("#summary").text
        assert len(report.driver.find_elements(By.CSS_SELECTOR, ".plots path.curve")) == 2
        assert report.find("#readout").text == f"frame 0 of {COUNT}, given"
        report.find("#stage").send_keys(Keys.END)
        report.wait(lambda: canvas.get_attribute("data-frame") == str(COUNT - 1))
        assert "certainty" in report.find("#readout").text
        report.wait(lambda: report.driver.find_elements(By.CSS_SELECTOR, "#worst-here button"))
        report.click("#play")
        report.wait(lambda: canvas.get_attribute("data-frame") == "3")
    finally:
        report.close()


def test_two_tabs_see_the_same(page, server):
    other = Page(*server)
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
