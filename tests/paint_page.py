"""The page to paint on, open in a real browser: what a person does there, and what it shows."""

import base64
import contextlib
import json
import pathlib
import shutil
from collections.abc import Iterator

import numpy as np
import pytest

from stm_jax.data.truth_masks import read_truth
from tests.lively import clip
from tests.paint_server import make_video, painting

webdriver = pytest.importorskip("selenium.webdriver", reason="needs pip install '.[browser]'")
pytest.importorskip("uvicorn", reason="needs pip install '.[app]'")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

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

needs_browser = pytest.mark.skipif(
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

    def open_anew(self) -> None:
        """Opens it with nothing painted yet."""
        self.open()
        self.run(
            "for (const { id } of paint.hub.state.objects) fetch('do', { method: 'POST',"
            " body: JSON.stringify({ do: 'RemoveObject', object_id: id }) })"
        )
        self.wait(lambda: self.states == "n" * COUNT)
        self.open()
        self.size(6)

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

    def follow(self, states: str) -> None:
        """Follows until it has ended with these states of the frames."""
        self.click("#follow")
        self.wait(lambda: self.states == states, 120)
        self.wait(lambda: self.run("return paint.hub.state.progress") is None)

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


@contextlib.contextmanager
def served_page(folder: pathlib.Path) -> Iterator[Page]:
    """Yields the page of a server of its own, in a browser of its own."""
    video = make_video(folder / "video", FRAMES)
    with painting(video) as (address, _):
        page = Page(address, video.with_name("video-painted"))
        yield page
        page.close()
