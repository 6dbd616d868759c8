"""`stm-jax segment` given what it cannot use: one line on stderr and exit status 2."""

import os
import pathlib
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import stm_jax.commands.segment as command
from stm_jax.cli import main
from stm_jax.commands.shared.options import ModelOptions
from stm_jax.data.masks import write_mask
from tests.test_segment_command import (  # noqa: F401, inputs is a fixture
    HEIGHT,
    WIDTH,
    error_line,
    inputs,
)

BAD_INPUTS = {
    "no such video": ({"video": "nothing.mp4"}, "no such video"),
    "video is text": ({"video": "notes.mp4"}, "is no video"),
    "truncated video": ({"video": "cut.mp4"}, "cut off"),
    "empty folder": ({"video": "empty"}, "no frames"),
    "frames of two sizes": ({"video": "sizes"}, "is 20x16 but the first frame is 48x32"),
    "no such mask": ({"mask": "nothing.png"}, "no such file"),
    "mask is no picture": ({"mask": "notes.mp4"}, "is not a picture"),
    "mask is a photograph": ({"mask": "frames/shot0.png"}, "photograph"),
    "empty mask": ({"mask": "black.png"}, "is empty"),
    "mask of a later frame": (
        {"video": "frames", "mask": "shot2.png"},
        "shot2.png is named as frame shot2",
    ),
    "mask of another size": ({"mask": "small.png"}, "is 4x3 but the frames are 48x32"),
    "no such weights": ({"weights": "nothing.safetensors"}, "nothing.safetensors"),
    "weights are text": ({"weights": "notes.safetensors"}, "notes.safetensors"),
    "weights are a pickle": ({"weights": "evil.pth"}, "evil.pth"),
    "weights are a pickle by another name": ({"weights": "evil.safetensors"}, "evil.safetensors"),
    "out is a file": ({"out": "notes.mp4"}, "notes.mp4"),
    "memorize every 0": ({"memorize-every": "0"}, "--memorize-every is 0"),
    "size of -3": ({"size": "-3"}, "--size is -3"),
}


class Evil:
    """What a pickle of it does when it is loaded."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


@pytest.fixture(scope="module")
def bad(inputs, tmp_path_factory) -> pathlib.Path:  # noqa: F811
    folder = shutil.copytree(inputs, tmp_path_factory.mktemp("bad") / "inputs")
    (folder / "notes.mp4").write_text("hello world\n" * 50)
    (folder / "notes.safetensors").write_text("hello world\n" * 50)
    video = (folder / "video.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(video[: len(video) * 2 // 3])
    (folder / "empty").mkdir()
    shutil.copytree(folder / "frames", folder / "sizes")
    Image.fromarray(np.zeros((16, 20, 3), np.uint8)).save(folder / "sizes" / "shot1.png")
    shutil.copy(folder / "mask.png", folder / "shot2.png")
    write_mask(folder / "black.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    write_mask(folder / "small.png", np.ones((3, 4), np.uint8))
    for name in ("evil.pth", "evil.safetensors"):
        (folder / name).write_bytes(pickle.dumps({"w": Evil(folder / "hacked")}))
    return folder


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_input_is_one_line_and_status_2(bad, tmp_path, capsys, name):
    changes, expected = BAD_INPUTS[name]
    given = {"mask": "mask.png", "weights": "tiny.safetensors"} | changes
    video = given.pop("video", "video.mp4")
    options = {k: v if k in ("memorize-every", "size") else bad / v for k, v in given.items()}
    options = {"out": tmp_path / "out"} | options
    arguments = [part for k, v in options.items() for part in (f"--{k}", str(v))]
    assert main(["segment", str(bad / video), *arguments]) == 2
    line = error_line(capsys)
    assert line.startswith("error: ") and expected in line
    assert not (bad / "hacked").exists()


@pytest.mark.parametrize(
    "arguments", [[], ["dance"], ["segment", "video.mp4"], ["segment", "v", "--mask", "m", "--x"]]
)
def test_wrong_usage_is_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def test_help_does_not_wait_for_jax():
    program = """
import sys
from stm_jax.cli import main
try:
    main(["segment", "--help"])
except SystemExit:
    pass
assert "jax" not in sys.modules and "flax" not in sys.modules
"""
    paths = [str(pathlib.Path(command.__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    helped = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert helped.returncode == 0, helped.stderr
    assert "--memorize-every" in helped.stdout


def test_what_the_mask_was_taken_for_is_said(inputs, tmp_path, capsys):  # noqa: F811
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask[10:20, 10:20] = 0
    Image.fromarray(mask).save(tmp_path / "inverted.png")
    given = ["--weights", str(inputs / "tiny.safetensors"), "--out"]
    for path, line in (
        (inputs / "mask.png", "mask.png: palette picture, objects 1, 4\n"),
        (tmp_path / "inverted.png", "WARNING: the object covers most of the frame"),
    ):
        words = [str(inputs / "video.mp4"), "--mask", str(path), *given, str(tmp_path / path.stem)]
        assert main(["segment", *words]) == 0
        said = capsys.readouterr()
        assert line in (said.err if "inverted" in path.stem else said.out)


def test_says_where_another_size_would_pay(capsys):
    small = "320x240 is small: --size 480 enlarges the frames, which finds small objects better"
    large = "1920x1080 is large: --size 480, which the weights are made for, is about 5.1 times"
    for options, size, says in (
        (ModelOptions(), (240, 320), small),
        (ModelOptions(), (480, 854), ""),
        (ModelOptions(), (64, 96), ""),
        (ModelOptions(size=240), (240, 320), ""),
        (ModelOptions(zoom=True), (240, 320), ""),
        (ModelOptions(), (1080, 1920), large),
        (ModelOptions(zoom=True), (1080, 1920), large),
        (ModelOptions(size=1080), (1080, 1920), ""),
    ):
        options.say_if_small_or_large(*size)
        said = capsys.readouterr().out
        assert said.startswith(says) and bool(said) == bool(says), (options, size)
