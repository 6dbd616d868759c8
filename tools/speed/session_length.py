"""Peak host memory of a session over the length of the video: of the command, and of the page.

    python tools/speed/session_length.py --lengths 1000 5000 10000

Makes videos of noise, 160x90. `stm-jax segment` follows an object through each from both sides,
from masks of three frames, with the tests' network. The server of `stm-jax paint` does the same,
while a page listens and looks at every tenth frame; then a frame is painted anew, and results are
exported. Linux only.
"""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import zlib

import numpy as np
import tyro
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from stm_jax.config import TINY
from stm_jax.data.masks import write_mask
from stm_jax.nn.model import random_model
from stm_jax.results.video_writer import VideoWriter
from stm_jax.weights.files import save

HEIGHT, WIDTH = 90, 160
RUN = (sys.executable, "-c", "import sys; from stm_jax.cli import main; sys.exit(main())")
LOOKED_AT = 10  # every so many frames that are done


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured."""

    lengths: tuple[int, ...] = (1000, 5000, 10_000)
    """Frames of each video."""


def main(options: Options) -> None:
    """Prints two lines for each length."""
    background = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[30:60, 50:80] = 1
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_mask(folder / "mask.png", mask)
        save(random_model(TINY), folder / "tiny.safetensors")
        for length in options.lengths:
            video = folder / f"{length}.mp4"
            with VideoWriter(video, HEIGHT, WIDTH, 24) as writer:
                for t in range(length):
                    writer.write(np.roll(background, t, axis=1))
            given = [0, length // 3, 2 * length // 3]
            model = ["--weights", str(folder / "tiny.safetensors"), "--size", "32"]
            masks = [f"--mask={frame}={folder / 'mask.png'}" for frame in given]
            out = ["--out", str(folder / f"{length}-out")]
            begun = time.perf_counter()
            peak = of_command([*RUN, "segment", str(video), *masks, *out, *model])
            print(f"segment, {length} frames: peak {peak} MiB, {since(begun)}", flush=True)
            begun = time.perf_counter()
            said = of_page([*RUN, "paint", str(video), "--no-browser", *model], given, mask)
            print(f"paint, {length} frames: {said}, {since(begun)}", flush=True)


def of_command(command: list[str]) -> int:
    """Returns a command's peak in MiB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0
    return used.ru_maxrss // 2**10


def of_page(command: list[str], given: list[int], mask: np.ndarray) -> str:
    """Returns what to say of the server's peaks, and of what an edit has it send."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        words = process.stdout.readline().split()
        address = next(word for word in words if word.startswith("http"))
        origin, events = "/".join(address.split("/")[:3]), f"ws{address.removeprefix('http')}events"
        with connect(events, origin=Origin(origin), max_size=None) as socket:
            page = Page(address, origin, socket)
            for frame in given:
                page.paint(frame, mask)
            page.do("Follow", start=0, end=page.count - 1)
            page.listen()
            followed = peak_of(process)
            before = page.received
            page.paint(given[1], np.roll(mask, 5))
            page.listen()
            sent = page.received - before
            page.do("Export", kinds=["palette", "overlay", "coco"])
            page.listen()
        return f"peak {followed} MiB, {peak_of(process)} MiB with exports, an edit sends {sent} B"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


class Page:
    """What a page does, without a browser."""

    def __init__(self, address: str, origin: str, socket: ClientConnection) -> None:
        self.address, self.origin, self.socket = address, origin, socket
        self.received, self.progress = 0, None
        self.count = json.loads(self.socket.recv())["video"]["count"]

    def ask(self, tail: str, body: bytes | None = None) -> None:
        asked = urllib.request.Request(self.address + tail, body, {"Origin": self.origin})
        with urllib.request.urlopen(asked, timeout=600) as answer:
            answer.read()

    def do(self, name: str, **about: object) -> None:
        self.ask("do", json.dumps({"do": name, **about}).encode())

    def paint(self, frame: int, mask: np.ndarray) -> None:
        packer = zlib.compressobj(wbits=31)
        body = packer.compress(np.ascontiguousarray(mask).tobytes()) + packer.flush()
        self.ask(f"mask/{frame}?objects=1", body)

    def listen(self) -> None:
        """Hears what is told until nothing is for a second and nothing is being done."""
        timeout = None  # something is going to be told
        while True:
            try:
                message = self.socket.recv(timeout)
            except TimeoutError:
                return
            self.received += len(message)
            event = json.loads(message)
            self.progress = event.get("progress", self.progress)
            timeout = 1 if self.progress is None else None
            if event["kind"] == "done" and event["frame"] % LOOKED_AT == 0:
                for what in ("frame", "mask", "thumb"):
                    self.ask(f"{what}/{event['frame']}")


def peak_of(process: subprocess.Popen[str]) -> int:
    """Returns the largest resident memory of a process so far in MiB."""
    lines = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 2**10


def since(begun: float) -> str:
    return f"{time.perf_counter() - begun:.0f} s"


if __name__ == "__main__":
    main(tyro.cli(Options))
