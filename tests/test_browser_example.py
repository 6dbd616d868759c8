"""examples/browser: a clip followed in Chromium has the masks of the library."""

import base64
import json
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

import stm_jax
from tests.lively import lively_model
from tests.test_exported import clip
from tests.test_onnx import SIZE, exported

webdriver = pytest.importorskip("selenium.webdriver", reason="needs pip install '.[browser]'")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

EXAMPLE = pathlib.Path(__file__).resolve().parent.parent / "examples" / "browser"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
)

pytestmark = [
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="needs Chromium and chromedriver on the PATH"
    ),
    pytest.mark.skipif(
        not (EXAMPLE / "node_modules" / "onnxruntime-web").exists(),
        reason="needs npm install onnxruntime-web in examples/browser",
    ),
]


@pytest.fixture(scope="module", params=["float32", "float16"])
def address(request, tmp_path_factory) -> Iterator[str]:
    """Yields where the page is served, beside graphs of a tiny network."""
    folder = tmp_path_factory.mktemp("browser")
    for file in EXAMPLE.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    (folder / "node_modules").symlink_to(EXAMPLE / "node_modules")
    exported(folder, request.param)
    command = [sys.executable, folder / "serve.py", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def says(browser, beginning: str) -> None:
    output = browser.find_element(By.ID, "output")
    WebDriverWait(browser, 120).until(lambda _: output.text.startswith((beginning, "Not done")))
    assert output.text.startswith(beginning)


def results(browser) -> np.ndarray:
    """Returns the ids that the page found, [frames, height, width]."""
    encoded = browser.execute_async_script(
        "const done = arguments[0], text = (ids) => btoa(String.fromCharCode(...ids));"
        "import('/page.js').then((page) => done(page.results.map(text)))"
    )
    return np.stack([np.frombuffer(base64.b64decode(e), np.uint8).reshape(SIZE) for e in encoded])


def give_frames(browser, folder: pathlib.Path, frames: np.ndarray) -> None:
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{number}.png")
    files = (str(folder / f"{number}.png") for number in range(len(frames)))
    browser.find_element(By.ID, "files").send_keys("\n".join(files))
    says(browser, "Give or paint")


def test_a_clip_is_followed_as_the_library_does(address, browser, tmp_path):
    browser.get("about:blank")
    browser.get_log("performance")  # what other tests asked for is over
    browser.get(address)
    says(browser, "Choose")
    assert browser.execute_script("return crossOriginIsolated")
    frames, mask = clip(*SIZE)
    frames = np.concatenate([frames] * 6)  # so many that a slot gives way
    give_frames(browser, tmp_path, frames)
    mask = np.searchsorted([0, 3, 9], mask).astype(np.uint8)
    Image.fromarray(mask * 100).save(tmp_path / "mask.png")
    browser.find_element(By.ID, "maskFile").send_keys(str(tmp_path / "mask.png"))
    WebDriverWait(browser, 60).until(lambda _: browser.find_element(By.ID, "button").is_enabled())
    browser.find_element(By.ID, "button").click()
    says(browser, f"Done: {len(frames)} frames")
    segmenter = stm_jax.Segmenter(lively_model(), memorize_every=5, capacity=6)
    steps = [segmenter.start(frames[0], mask), *(segmenter.step(frame) for frame in frames[1:])]
    assert (results(browser) == np.stack(steps)).mean() >= 0.999

    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [e["params"]["request"] for e in sent if e["method"] == "Network.requestWillBeSent"]
    asked = {request["url"] for request in requests if not request["url"].startswith("data:")}
    assert all(url.startswith(address) for url in asked), asked  # nothing comes from elsewhere
    assert {request["method"] for request in requests} == {"GET"}  # nor is sent there


def test_a_mask_is_painted(address, browser, tmp_path):
    browser.get(address)
    says(browser, "Choose")
    browser.find_element(By.ID, "button").click()
    says(browser, "Not done: there is no object")
    give_frames(browser, tmp_path, clip(*SIZE)[0][:2])
    canvas = browser.find_element(By.ID, "canvas")
    browser.execute_script("arguments[0].scrollIntoView()", canvas)
    pen = webdriver.ActionChains(browser, duration=20).move_to_element_with_offset(canvas, -90, 0)
    pen.click_and_hold().move_by_offset(180, 0).release().perform()
    browser.find_element(By.ID, "button").click()
    says(browser, "Done: 2 frames")
    painted, followed = results(browser) == 1
    middle, width = SIZE[0] // 2, canvas.size["width"] / SIZE[1]
    reach = int(90 / width)  # columns of a frame
    assert painted[middle, SIZE[1] // 2 - reach : SIZE[1] // 2 + reach].all()
    assert not painted[0].any() and not painted[:, 0].any() and followed.any()


def test_a_video_needs_a_rate(address, browser, tmp_path):
    browser.get(address)
    says(browser, "Choose")
    browser.find_element(By.ID, "rate").clear()
    (tmp_path / "a.mp4").write_bytes(b"nothing of it is read")
    browser.find_element(By.ID, "files").send_keys(str(tmp_path / "a.mp4"))
    says(browser, "Not done: say how many frames a second")
