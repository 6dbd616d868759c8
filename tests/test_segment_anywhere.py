"""`stm-jax segment` with masks of any frames, and `stm-jax frame`, from end to end."""

import hashlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from PIL import Image

from stm_jax import weights
from stm_jax.annotate.annotator import Annotator, Way
from stm_jax.cli import main
from stm_jax.data.masks import read_mask, write_mask
from stm_jax.data.video_files import open_frames
from tests.conftest import PROJECT
from tests.test_segment_command import (  # noqa: F401, inputs is a fixture
    COUNT,
    FRAMES,
    HEIGHT,
    WIDTH,
    error_line,
    inputs,
)

COMMAND = "import sys; from stm_jax.cli import main; sys.exit(main())"


@pytest.fixture(scope="module")
def given(inputs) -> pathlib.Path:  # noqa: F811
    """The same folder, with a mask of frame 5, and a folder of both masks."""
    (inputs / "masks").mkdir()
    mask = read_mask(inputs / "mask.png")
    write_mask(inputs / "late.png", np.roll(mask, 3, axis=1))
    write_mask(inputs / "masks" / "0.png", mask)
    write_mask(inputs / "masks" / "shot5.png", np.roll(mask, 3, axis=1))
    return inputs


def words(given: pathlib.Path, out: pathlib.Path, *more: str) -> list[str]:
    found = [str(given / word[1:]) if word.startswith("@") else word for word in more]
    found = [
        f"{word.partition('=@')[0]}={given / word.partition('=@')[2]}" if "=@" in word else word
        for word in found
    ]
    weight = ["--weights", str(given / "tiny.safetensors")]
    return ["segment", str(given / "frames"), *found, "--out", str(out), *weight]


def run(given: pathlib.Path, out: pathlib.Path, *more: str) -> int:
    return main(words(given, out, *more))


TWO = ("--mask", "0=@mask.png", "--mask", "shot5=@late.png")


def masks_of(out: pathlib.Path) -> dict[str, str]:
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in (out / "masks").iterdir()}


@pytest.fixture(scope="module")
def whole(given, tmp_path_factory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("whole") / "out"
    assert run(given, out, *TWO) == 0
    return out


def test_masks_of_two_frames_are_a_session(given, whole, tmp_path, capsys):
    model = weights.load(given / "tiny.safetensors")
    with Annotator(model, given / "frames", tmp_path / "session") as session:
        for frame, name in ((0, "mask.png"), (5, "late.png")):
            mask = read_mask(given / name)
            session.annotate(frame, mask, np.unique(mask[mask > 0]).tolist())
        list(session.propagate())
        for frame in range(COUNT):
            found = read_mask(whole / "masks" / f"shot{frame}.png")
            np.testing.assert_array_equal(found, session.mask(frame))
    np.testing.assert_array_equal(
        read_mask(whole / "masks" / "shot5.png"), read_mask(given / "late.png")
    )
    assert len(list(open_frames(whole / "overlay.mp4").read())) == COUNT
    assert run(given, whole, *TWO) == 0
    assert "is finished: nothing to do" in capsys.readouterr().out


def test_a_folder_of_masks_by_number_or_name_is_the_same(given, whole, tmp_path):
    assert run(given, tmp_path / "out", "--masks", "@masks") == 0
    assert masks_of(tmp_path / "out") == masks_of(whole)


def test_one_mask_more_does_only_what_changes(given, whole, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(given, out, *TWO) == 0
    before = {f.name: f.stat().st_mtime_ns for f in (out / "masks").iterdir()}
    assert run(given, out, *TWO, "--mask", "2=@late.png") == 0
    after = {f.name: f.stat().st_mtime_ns for f in (out / "masks").iterdir()}
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {f"shot{i}.png" for i in (1, 2, 3, 4, 6, 7)}
    assert "6 frames in" in capsys.readouterr().out
    assert run(given, out, *TWO) == 0  # and less again
    assert masks_of(out) == masks_of(whole)


def test_a_run_with_one_mask_is_gone_on_with(given, whole, tmp_path):
    out = tmp_path / "out"
    assert run(given, out, "--mask", "@mask.png") == 0
    alone = masks_of(out)
    assert run(given, out, *TWO) == 0
    assert masks_of(out) == masks_of(whole) != alone
    assert run(given, out, "--mask", "@mask.png") == 0
    assert masks_of(out) == alone
    assert run(given, out, *TWO, "--overwrite") == 0
    assert masks_of(out) == masks_of(whole)


def test_range_step_direction_and_gone(given, tmp_path, capsys):
    out = tmp_path / "out"
    more = ("--direction", "forward", "--start", "2", "--end", "6", "--step", "2")
    assert run(given, out, "--mask", "@late.png", "--gone", "4=1,4", *more) == 0
    assert sorted(masks_of(out)) == ["shot2.png", "shot4.png", "shot6.png"]
    assert not read_mask(out / "masks" / "shot4.png").any()
    model = weights.load(given / "tiny.safetensors")
    with Annotator(model, given / "frames", tmp_path / "session") as session:
        session.annotate(2, read_mask(given / "late.png"))
        session.annotate(4, np.zeros((HEIGHT, WIDTH), np.uint8), [1, 4])
        list(session.propagate(Way("forward", 2, 6, 2)))
        np.testing.assert_array_equal(read_mask(out / "masks" / "shot6.png"), session.mask(6))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("--mask", "8=@mask.png"), "the video has no frame 8; its frames are 0 to 7"),
        (("--mask", "shot9=@mask.png"), "the video has no frame shot9"),
        ((*TWO, "--mask", "5=@mask.png"), "are both of frame 5"),
        (("--masks", "@video.mp4"), "cannot be listed"),
        (("--masks", "@masks", "--start", "6", "--end", "3"), "no frames are from 6 to 3"),
        (("--masks", "@masks", "--gone", "3"), "--gone is 3: give FRAME=ID"),
        (("--gone", "3=1"), "no mask is given"),
        ((), "no mask is given"),
    ],
)
def test_what_makes_no_sense_is_one_line(given, tmp_path, capsys, more, expected):
    assert run(given, tmp_path / "out", *more) == 2
    assert expected in error_line(capsys)


def test_ctrl_c_keeps_what_is_done(given, whole, tmp_path, capsys, monkeypatch):
    from stm_jax.infer.segmenter import Segmenter

    out, step, calls = tmp_path / "out", Segmenter.step, []

    def stepping(self, frame, **options):
        calls.append(None)
        if len(calls) == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, frame, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "step", stepping)
        assert run(given, out, *TWO) == 130
    assert "same command again" in error_line(capsys)
    calls.clear()
    monkeypatch.setattr(Segmenter, "step", stepping)
    assert run(given, out, *TWO) == 0
    assert len(calls) == 4 + 4 + 2 - 6
    assert masks_of(out) == masks_of(whole)


def test_killed_again_and_again_it_ends_with_the_same_masks(given, whole, tmp_path, request):
    out, rng = tmp_path / "out", random.Random(0)
    environment = os.environ | {
        "PYTHONPATH": str(PROJECT),
        "JAX_PLATFORMS": "cpu",
        "JAX_DEFAULT_MATMUL_PRECISION": "highest",
        "JAX_COMPILATION_CACHE_DIR": str(jax.config.jax_compilation_cache_dir),
    }
    program = "import stm_jax.annotate.propagation as p; p.SAVE_EVERY = 0.0; " + COMMAND
    killed = 0
    for _ in range(request.config.getoption("--kills")):
        process = subprocess.Popen(
            [sys.executable, "-c", program, *words(given, out, *TWO)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        before = written(out)
        while process.poll() is None and written(out) == before:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        killed += process.wait() == -signal.SIGKILL
    assert killed
    assert run(given, out, *TWO) == 0
    assert masks_of(out) == masks_of(whole)


def written(out: pathlib.Path) -> list[tuple[str, int]]:
    """What is in the folders that frames are written to."""
    files = [*out.glob("masks/*.png"), *out.glob(".session/**/*.npz")]
    found = []
    for file in sorted(files):
        try:
            found.append((file.name, file.stat().st_mtime_ns))
        except FileNotFoundError:
            continue
    return found


def test_a_frame_to_draw_on(given, tmp_path, capsys):
    for name in ("3", "shot3"):
        assert main(["frame", str(given / "frames"), name, "--out", str(tmp_path / "f.png")]) == 0
        with Image.open(tmp_path / "f.png") as picture:
            np.testing.assert_array_equal(np.array(picture), FRAMES[3])
    capsys.readouterr()
    assert main(["frame", str(given / "frames"), "8", "--out", str(tmp_path / "f.png")]) == 2
    assert "has no frame 8" in error_line(capsys)
    assert main(["frame", str(given / "frames"), "3", "--out", str(tmp_path / "f.jpg")]) == 2
    assert "give the name of a .png" in error_line(capsys)
