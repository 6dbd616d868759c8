"""The page's server, killed in the middle of following, again and again: the same end."""

import http.client
import json
import pathlib
import time
import urllib.parse
import zlib

import pytest

from stm_jax.data.truth_masks import read_truth
from tests.lively import clip, first_mask
from tests.paint_server import make_video, painting

pytest.importorskip("uvicorn", reason="needs pip install '.[app]'")
COUNT = 24


def post(address: str, tail: str, body: bytes) -> int:
    url = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=60)
    try:
        connection.request("POST", url.path + tail, body, {"Origin": f"http://{url.netloc}"})
        return connection.getresponse().status
    finally:
        connection.close()


def follow(address: str) -> None:
    assert (
        post(address, "do", json.dumps({"do": "Follow", "start": 0, "end": COUNT - 1}).encode())
        == 200
    )


def give(address: str, frame: int) -> None:
    packer = zlib.compressobj(wbits=31)
    body = packer.compress(first_mask().tobytes()) + packer.flush()
    assert post(address, f"mask/{frame}?objects=1", body) == 200


def masks(folder: pathlib.Path) -> dict[str, bytes]:
    return {each.name: read_truth(each).tobytes() for each in (folder / "masks").glob("*.png")}


def counted(folder: pathlib.Path) -> int:
    """How many answers there are that count."""
    file = folder / ".session" / "frames.json"
    return len(json.loads(file.read_text())["frames"]) if file.exists() else 0


def end(address: str, folder: pathlib.Path) -> dict[str, bytes]:
    """Follows to the end, and returns all masks."""
    deadline = time.monotonic() + 120
    while counted(folder) < COUNT and time.monotonic() < deadline:
        time.sleep(0.2)
    return masks(folder)


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> tuple[pathlib.Path, dict[str, bytes]]:
    video = make_video(tmp_path_factory.mktemp("killed") / "video", clip(COUNT))
    with painting(video, "--session", str(video.parent / "whole")) as (address, _):
        give(address, 4)
        follow(address)
        return video, end(address, video.parent / "whole")


def test_killed_while_following(expected, request):
    video, whole = expected
    assert len(whole) == COUNT
    folder = video.parent / "killed"
    for kill in range(request.config.getoption("--kills")):
        with painting(video, "--session", str(folder)) as (address, process):
            if kill == 0:
                give(address, 4)
            follow(address)
            before = len(masks(folder))
            deadline = time.monotonic() + 60
            while (
                len(masks(folder)) <= min(before + kill, COUNT - 1) and time.monotonic() < deadline
            ):
                time.sleep(0.01)
            process.kill()
            process.wait()
    with painting(video, "--session", str(folder)) as (address, _):
        follow(address)
        assert end(address, folder) == whole
