"""`stm-jax paint` as a process of its own, for tests."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
from PIL import Image

from stm_jax.weights.files import save
from tests.lively import lively_model


def make_video(folder: pathlib.Path, frames: np.ndarray) -> pathlib.Path:
    folder.mkdir(parents=True)
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{index:03d}.png")
    return folder


def weights_in(folder: pathlib.Path) -> pathlib.Path:
    path = folder / "lively.safetensors"
    if not path.exists():
        save(lively_model(), path)
    return path


@contextlib.contextmanager
def painting(video: pathlib.Path, *options: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """Yields the page's address and the process, which is ended in good order."""
    run = "import sys; from stm_jax.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", run, "paint", str(video), "--no-browser"]
    model = ["--weights", str(weights_in(video.parent)), "--memorize-every", "3"]
    process = subprocess.Popen(
        [*command, *model, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if "http://" not in line:
            process.kill()
            raise AssertionError(process.communicate())
        yield next(word for word in line.split() if word.startswith("http")), process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
