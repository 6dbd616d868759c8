"""`stm-jax segment` from end to end, with a tiny network: results, bad inputs, going on."""

import dataclasses
import hashlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import weakref

import jax
import numpy as np
import pytest
from PIL import Image

import stm_jax.commands.segment as command
from stm_jax import files, weights
from stm_jax.cli import main
from stm_jax.data.masks import read_mask, write_mask
from stm_jax.data.video_files import open_frames
from stm_jax.infer.segmenter import Segmenter
from stm_jax.memory.rules.first import First
from stm_jax.reads.top_k import TopK
from stm_jax.results import video_writer
from stm_jax.results.video_writer import VideoWriter
from tests.lively import clip, lively_model

HEIGHT, WIDTH, COUNT = 32, 48, 8


FRAMES = clip(COUNT, HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> pathlib.Path:
    """A folder with video.mp4, frames/, mask.png (two objects) and tiny.safetensors."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "frames").mkdir()
    with VideoWriter(folder / "video.mp4", HEIGHT, WIDTH, 25) as video:
        for index in range(COUNT):
            video.write(FRAMES[index])
            Image.fromarray(FRAMES[index]).save(folder / "frames" / f"shot{index}.png")
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[8:20, 4:16] = 1
    mask[22:30, 30:44] = 4
    write_mask(folder / "mask.png", mask)
    weights.save(lively_model(), folder / "tiny.safetensors")
    return folder


@pytest.fixture
def inputs_copy(inputs, tmp_path) -> pathlib.Path:
    """The same, to be spoiled."""
    return shutil.copytree(inputs, tmp_path / "inputs")


def run(inputs: pathlib.Path, out: pathlib.Path, *more: str, video: str = "video.mp4") -> int:
    given = [str(inputs / video), "--mask", str(inputs / "mask.png"), "--out", str(out)]
    return main(["segment", *given, "--weights", str(inputs / "tiny.safetensors"), *more])


def masks_of(out: pathlib.Path) -> dict[str, str]:
    """The hash of every mask file."""
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in (out / "masks").iterdir()}


def error_line(capsys) -> str:
    """The one line that an error prints."""
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith("stm-jax: ")]
    assert len(lines) == 1
    return lines[0].removeprefix("stm-jax: ")


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory) -> pathlib.Path:
    """The results of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert run(inputs, out) == 0
    return out


def raise_at(monkeypatch, index: int, action) -> None:
    """Calls `action` in place of the `index`-th step of the segmenter."""
    step, calls = Segmenter.step, []

    def stepping(self, picture):
        calls.append(None)
        if len(calls) == index:
            action()
        return step(self, picture)

    monkeypatch.setattr(Segmenter, "step", stepping)


def stream(inputs: pathlib.Path, **options) -> list[np.ndarray]:
    """The masks that the segmenter itself gives."""
    segmenter = Segmenter(weights.load(inputs / "tiny.safetensors"), **options)
    frames = open_frames(inputs / "video.mp4").read()
    first = segmenter.start(next(frames), read_mask(inputs / "mask.png"), length=COUNT)
    return [first, *(segmenter.step(frame) for frame in frames)]


def test_results(inputs, whole):
    frames = list(open_frames(inputs / "video.mp4").read())
    expected = stream(inputs)
    # Otherwise every run would give the same masks, whatever it did.
    assert all(len(np.unique(mask)) > 1 for mask in expected)
    assert all((later != earlier).any() for earlier, later in itertools.pairwise(expected))
    assert sorted(masks_of(whole)) == [f"{i:05d}.png" for i in range(COUNT)]
    for index in range(COUNT):
        with Image.open(whole / "masks" / f"{index:05d}.png") as image:
            assert image.mode == "P"
            np.testing.assert_array_equal(np.array(image), expected[index])
    drawn = list(open_frames(whole / "overlay.mp4").read())
    assert len(drawn) == COUNT and drawn[0].shape == (HEIGHT, WIDTH, 3)
    assert np.abs(drawn[0].astype(int) - frames[0])[10:18, 6:14].mean() > 20
    marker = json.loads((whole / "segment.json").read_text())
    assert marker["frames"] == COUNT and marker["settings"]["memory"]["n"] == 5
    assert not (whole / ".resume").exists()


def test_folder_of_frames_gives_masks_of_their_names(inputs, tmp_path):
    assert run(inputs, tmp_path / "out", video="frames") == 0
    assert sorted(masks_of(tmp_path / "out")) == [f"shot{i}.png" for i in range(COUNT)]


def test_options_reach_the_segmenter(inputs, tmp_path):
    assert run(inputs, tmp_path / "out", "--size", "16", "--memorize-every", "2") == 0
    expected = stream(inputs, memorize_every=2, short_side=16)
    for index in range(COUNT):
        mask = read_mask(tmp_path / "out" / "masks" / f"{index:05d}.png")
        np.testing.assert_array_equal(mask, expected[index])


def test_memory_and_read_reach_the_segmenter(inputs, whole, tmp_path, capsys):
    out, given = tmp_path / "out", ("--memory", "first", "frames=1", "--read", "top-k", "k=2")
    assert run(inputs, out, *given) == 0
    expected = stream(inputs, memory=First(1), read=TopK(2))
    for index in range(COUNT):
        mask = read_mask(out / "masks" / f"{index:05d}.png")
        np.testing.assert_array_equal(mask, expected[index])
    assert masks_of(out) != masks_of(whole)
    assert run(inputs, out, *given[:-1], "k=3") == 2
    assert "(another read)" in error_line(capsys)


def test_says_that_it_compiles_and_how_far_it_is(inputs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("stm_jax.runtime.progress.SECONDS_BETWEEN_LINES", 0)
    assert run(inputs, tmp_path / "out") == 0
    told = capsys.readouterr()
    assert "compiling for 48x32, 2 objects" in told.err
    assert f"3 of {COUNT} frames" in told.err and "left" in told.err
    assert f"{COUNT} frames in" in told.out


def test_finished_run_is_left_alone(inputs, whole, capsys, monkeypatch):
    raise_at(monkeypatch, 1, pytest.fail)
    assert run(inputs, whole) == 0
    assert "is finished" in capsys.readouterr().out


@pytest.mark.parametrize("begun", ["finished", "stopped"])
def test_other_settings_need_overwrite(inputs, tmp_path, capsys, monkeypatch, begun):
    out, other = tmp_path / "out", ("--size", "16", "--memorize-every", "2")
    if begun == "stopped":
        raise_at(monkeypatch, 4, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert run(inputs, out) == (130 if begun == "stopped" else 0)
    before = masks_of(out)
    capsys.readouterr()
    assert run(inputs, out, *other) == 2
    line = error_line(capsys)
    assert str(out) in line and "(another memory, size)" in line and "--overwrite" in line
    assert masks_of(out) == before
    assert run(inputs, out, *other, "--overwrite") == 0
    assert json.loads((out / "segment.json").read_text())["settings"]["memory"]["n"] == 2


def test_other_mask_needs_overwrite(inputs_copy, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(inputs_copy, out) == 0
    write_mask(inputs_copy / "mask.png", np.eye(HEIGHT, WIDTH, dtype=np.uint8))
    capsys.readouterr()
    assert run(inputs_copy, out) == 2
    assert "(another mask)" in error_line(capsys)


def test_other_weights_need_overwrite(inputs_copy, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(inputs_copy, out) == 0
    model = lively_model()
    doubled = jax.tree.map(lambda leaf: np.asarray(leaf) * 2, model.variables)
    weights.save(dataclasses.replace(model, variables=doubled), inputs_copy / "tiny.safetensors")
    capsys.readouterr()
    assert run(inputs_copy, out) == 2
    assert "(another weights)" in error_line(capsys)


def test_masks_of_others_are_not_overwritten(inputs, tmp_path, capsys):
    (tmp_path / "out" / "masks").mkdir(parents=True)
    (tmp_path / "out" / "masks" / "00000.png").write_text("drawn by hand")
    assert run(inputs, tmp_path / "out") == 2
    assert "did not write" in error_line(capsys)
    assert run(inputs, tmp_path / "out", "--overwrite") == 2
    assert (tmp_path / "out" / "masks" / "00000.png").read_text() == "drawn by hand"


def test_inputs_are_not_overwritten(inputs_copy, capsys):
    (inputs_copy / "frames").rename(inputs_copy / "masks")
    assert run(inputs_copy, inputs_copy, "--overwrite", video="masks") == 2
    assert "lies where results would be written" in error_line(capsys)
    (inputs_copy / "video.mp4").rename(inputs_copy / "overlay.mp4")
    assert run(inputs_copy, inputs_copy, "--overwrite", video="overlay.mp4") == 2
    assert "lies where results would be written" in error_line(capsys)
    assert len(list((inputs_copy / "masks").iterdir())) == COUNT


def test_ctrl_c_keeps_what_is_done_and_the_next_run_goes_on(
    inputs, whole, tmp_path, capsys, monkeypatch
):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        raise_at(patch, 6, lambda: os.kill(os.getpid(), signal.SIGINT))
        assert run(inputs, out) == 130
    line = error_line(capsys)
    assert line.startswith("stopped: 7 frames are done") and "same command again" in line
    done = masks_of(out)
    assert len(done) == 7 and done.items() <= masks_of(whole).items()
    assert len(list(open_frames(out / "overlay.mp4").read())) == 7
    steps = []
    with monkeypatch.context() as patch:
        step = Segmenter.step
        patch.setattr(Segmenter, "step", lambda *a: steps.append(None) or step(*a))
        assert run(inputs, out) == 0
    assert len(steps) == 1  # the 7 done frames are not done again
    assert masks_of(out) == masks_of(whole)
    assert len(list(open_frames(out / "overlay.mp4").read())) == COUNT
    assert not (out / ".resume").exists()


@pytest.mark.parametrize("save_every_frame", [False, True])
def test_interrupted_inside_a_frame(inputs, whole, tmp_path, capsys, monkeypatch, save_every_frame):
    """A second Ctrl-C stops at once, wherever the program is: only the last saved state counts."""

    def interrupt():
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        if save_every_frame:
            patch.setattr(command, "_pause_after", lambda seconds: 0)
        raise_at(patch, 5, interrupt)
        assert run(inputs, out) == 130
    assert "same command again" in error_line(capsys)
    assert (out / ".resume" / "state.npz").exists() == save_every_frame
    assert run(inputs, out) == 0
    assert masks_of(out) == masks_of(whole)


def test_killed_run_goes_on(inputs, whole, tmp_path):
    """SIGKILL cannot be caught; it comes here between a frame's mask and its saved state."""
    out = tmp_path / "out"
    program = """
import os, signal, sys
import stm_jax.commands.segment as command
from stm_jax.cli import main
from stm_jax.commands.shared.segment_folder import SegmentFolder
command._pause_after = lambda seconds: 0
write = SegmentFolder.write_mask
def write_and_die(self, name, ids):
    write(self, name, ids)
    if name == "00005":
        os.kill(os.getpid(), signal.SIGKILL)
SegmentFolder.write_mask = write_and_die
main(sys.argv[1:])
"""
    given = [str(inputs / "video.mp4"), "--mask", str(inputs / "mask.png"), "--out", str(out)]
    given += ["--weights", str(inputs / "tiny.safetensors")]
    paths = [str(pathlib.Path(command.__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    cache = {"JAX_COMPILATION_CACHE_DIR": str(jax.config.jax_compilation_cache_dir)}
    killed = subprocess.run(
        [sys.executable, "-c", program, "segment", *given],
        env=os.environ | cache | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(masks_of(out)) == 6 and (out / ".resume" / "state.npz").exists()
    assert run(inputs, out) == 0
    assert masks_of(out) == masks_of(whole)
    there = [f.name for f in sorted(out.iterdir())]
    assert there == [".stm-jax", "masks", "overlay.mp4", "segment.json"]


@pytest.mark.parametrize("spoil", ["state", "mask"])
def test_spoiled_state_starts_anew(inputs, whole, tmp_path, monkeypatch, spoil):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        raise_at(patch, 4, lambda: os.kill(os.getpid(), signal.SIGINT))
        assert run(inputs, out) == 130
    if spoil == "state":
        state = out / ".resume" / "state.npz"
        state.write_bytes(state.read_bytes()[:-200])
    else:
        (out / "masks" / "00002.png").unlink()
    assert run(inputs, out) == 0
    assert masks_of(out) == masks_of(whole)


def test_state_is_no_pickle(inputs, tmp_path, monkeypatch):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        raise_at(patch, 4, lambda: os.kill(os.getpid(), signal.SIGINT))
        assert run(inputs, out, "--dtype", "bfloat16") == 130
    with np.load(out / ".resume" / "state.npz", allow_pickle=False) as state:
        assert all(state[name].dtype.kind in "biuf" for name in state)
    assert run(inputs, out, "--dtype", "bfloat16") == 0
    assert run(inputs, tmp_path / "whole", "--dtype", "bfloat16") == 0
    assert masks_of(out) == masks_of(tmp_path / "whole")


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="needs Linux's /dev/full")
@pytest.mark.parametrize(
    ("file", "done"),
    [("masks/00004.png", 4), ("overlay.mp4", COUNT), (".resume/state.npz", 1)],
)
def test_full_disk(inputs, whole, tmp_path, capsys, monkeypatch, file, done):
    """One of the files is on a device that is full, and the disk has room at the second run."""
    out, full = tmp_path / "out", tmp_path / "full"
    full.symlink_to("/dev/full")
    with monkeypatch.context() as patch:
        for place in (files, video_writer):
            usual = place.unfinished
            named = {out / file: full}
            patch.setattr(place, "unfinished", lambda p, u=usual, n=named: n.get(p) or u(p))
        patch.setattr(command, "_pause_after", lambda seconds: 0)
        assert run(inputs, out) == 2
    line = error_line(capsys)
    assert line.startswith("error: the disk is full") and "same command again" in line
    assert len(masks_of(out)) == done and masks_of(out).items() <= masks_of(whole).items()
    assert run(inputs, out) == 0
    assert masks_of(out) == masks_of(whole)
    assert len(list(open_frames(out / "overlay.mp4").read())) == COUNT


def test_saving_takes_a_small_share_of_the_time():
    assert command._pause_after(0.1) == 20
    assert command._pause_after(3) == 60


def test_damaged_frame_keeps_what_is_done_before_it(inputs_copy, tmp_path, capsys):
    out, bad = tmp_path / "out", inputs_copy / "frames" / "shot5.png"
    assert run(inputs_copy, tmp_path / "whole", video="frames") == 0
    good = bad.read_bytes()
    bad.write_bytes(good[: len(good) // 2])
    capsys.readouterr()
    assert run(inputs_copy, out, video="frames") == 2
    line = error_line(capsys)
    assert "shot5.png cannot be read" in line and "the masks of 5 frames are kept" in line
    assert len(masks_of(out)) == 5
    bad.write_bytes(good)
    assert run(inputs_copy, out, video="frames") == 0
    assert masks_of(out) == masks_of(tmp_path / "whole")


def test_frames_are_not_held(inputs, tmp_path, monkeypatch):
    """The command lets every frame go before it reads many more: a video may be of any length.

    How many it holds depends on how its threads meet: what is read ahead, the one at hand, and
    those that steps which are still computed read from.
    """
    alive, most = weakref.WeakSet(), []

    class Counted(np.ndarray):
        __hash__ = object.__hash__

    frames = open_frames(inputs / "video.mp4")

    class Long:
        height, width, rate, count = frames.height, frames.width, frames.rate, COUNT
        name_of = staticmethod(frames.name_of)

        @staticmethod
        def timed():
            for index in range(40):
                picture = FRAMES[index % COUNT].view(Counted)
                alive.add(picture)
                most.append(len(alive))
                yield picture, None
                del picture

    monkeypatch.setattr("stm_jax.commands.shared.options.open_frames", lambda path: Long)
    assert run(inputs, tmp_path / "out") == 0
    assert len(most) == 40 and max(most) <= 8
