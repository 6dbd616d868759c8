"""Takes the picture of the page to paint on: docs/paint.jpg.

    python tools/picture_of_page.py docs/paint.jpg

In a headless Chromium of 1280x720 it paints the rabbit of the bundled clip with the tool Polygon in
three frames, corner by corner of the outlines that the clip's masks were made of, follows it, and
takes the picture on the way. Needs pip install 'stm_jax[app,browser]', Chromium and chromedriver.
"""

import dataclasses
import io
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import tyro
from PIL import Image
from selenium import webdriver

from stm_jax.commands.shared.demo_clip import CLIP

RUN = (sys.executable, "-c", "import sys; from stm_jax.cli import main; sys.exit(main())")
OUTLINES = pathlib.Path(__file__).with_name("bigbuckbunny_polygons.json")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--force-device-scale-factor=1")
SIZE = {"width": 1280, "height": 720, "deviceScaleFactor": 1, "mobile": False}
GIVEN = (0, 20, 40)
SHOWN_AT = 72  # frames that are done
CORNERS = """
const { view } = paint, stage = document.getElementById("stage");
const { left, top } = stage.getBoundingClientRect();
for (const [x, y] of arguments[0]) {
  for (const kind of ["pointermove", "pointerdown", "pointerup"]) {
    stage.dispatchEvent(new PointerEvent(kind, { pointerId: 1, button: 0, bubbles: true,
      clientX: left + view.x + x * view.scale, clientY: top + view.y + y * view.scale }));
  }
}
"""


@dataclasses.dataclass(frozen=True)
class Options:
    """Where it goes."""

    picture: tyro.conf.Positional[pathlib.Path]
    """A JPEG."""


def main(options: Options) -> None:
    """Takes the picture."""
    with tempfile.TemporaryDirectory() as name:
        session = ["--session", str(pathlib.Path(name) / "session"), "--no-browser"]
        command = [*RUN, "paint", str(CLIP), *session]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            words = process.stdout.readline().split()
            png = picture(next(word for word in words if word.startswith("http")))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()
    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").save(options.picture, quality=88, optimize=True)


def picture(address: str) -> bytes:
    """Returns what the page at an address looks like while it follows, as PNG."""
    chosen = webdriver.ChromeOptions()
    chosen.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for flag in FLAGS:
        chosen.add_argument(flag)
    driver = webdriver.Chrome(chosen, webdriver.ChromeService(shutil.which("chromedriver")))
    run = driver.execute_script
    try:
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", SIZE)
        driver.implicitly_wait(20)
        driver.get(address)
        driver.find_element("css selector", '#picture[data-frame="0"]')
        stage = driver.find_element("css selector", "#stage")
        outlines = json.loads(OUTLINES.read_text())
        for frame in GIVEN:
            run("return paint.frames.show(arguments[0])", frame)
            stage.send_keys("p")
            for outline in outlines[str(frame)]:
                if outline["kind"] == "fill":
                    run(CORNERS, outline["points"])
                    stage.send_keys("\ue007")
        stage.send_keys("b")
        until(lambda: run("return paint.hub.state.states").count("a") == len(GIVEN))
        text = driver.find_element("css selector", "#objects input[placeholder]")
        text.send_keys("rabbit\ue007")
        driver.find_element("css selector", "#follow").click()
        until(lambda: run("return paint.hub.state.progress?.done ?? 0") >= SHOWN_AT)
        return driver.get_screenshot_as_png()
    finally:
        driver.quit()


def until(condition: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("the page does not get there")
        time.sleep(0.05)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
