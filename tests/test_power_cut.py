"""After a power cut, files are empty or cut off; and what changed since is never mixed in."""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import time

import numpy as np
import pytest
from PIL import Image

from stm_jax import files, weights
from stm_jax.cli import main
from stm_jax.data.masks import write_mask
from stm_jax.files import is_whole_png, write_whole
from stm_jax.infer.segmenter import Segmenter
from tests.benchmark_trees import davis2017
from tests.lively import clip, lively_model

COUNT = 6


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> pathlib.Path:
    """A folder with davis/, frames/, mask.png and tiny.safetensors."""
    folder = tmp_path_factory.mktemp("inputs")
    davis2017(folder / "davis", {"ant": (3, 32, 48, (2, 5)), "cat": (3, 32, 48, (1,))})
    (folder / "frames").mkdir()
    for index, frame in enumerate(clip(COUNT, 32, 48)):
        Image.fromarray(frame).save(folder / "frames" / f"{index}.bmp")
    mask = np.zeros((32, 48), np.uint8)
    mask[8:20, 4:16] = 1
    write_mask(folder / "mask.png", mask)
    weights.save(lively_model(), folder / "tiny.safetensors")
    return folder


def segment(inputs: pathlib.Path, out: pathlib.Path, *more: str) -> int:
    given = ["segment", str(inputs / "frames"), "--mask", str(inputs / "mask.png")]
    return main([*given, "--out", str(out), "--weights", str(inputs / "tiny.safetensors"), *more])


def benchmark(inputs: pathlib.Path, out: pathlib.Path) -> int:
    given = ["benchmark-dataset", str(inputs / "davis"), "--protocol", "davis2017"]
    return main([*given, "--out", str(out), "--weights", str(inputs / "tiny.safetensors")])


def masks_of(out: pathlib.Path) -> dict[str, str]:
    found = sorted((out / "masks").rglob("*.png"))
    return {str(f.relative_to(out)): hashlib.sha256(f.read_bytes()).hexdigest() for f in found}


def steps_of(monkeypatch) -> list[None]:
    """Notes each step of the segmenter."""
    steps, step = [], Segmenter.step
    monkeypatch.setattr(Segmenter, "step", lambda *a: steps.append(None) or step(*a))
    return steps


def stopped_at(monkeypatch, index: int, inputs: pathlib.Path, out: pathlib.Path) -> None:
    """Leaves a run that was stopped after its frame `index`."""
    step, calls = Segmenter.step, []

    def stepping(self, frame):
        calls.append(None)
        if len(calls) == index:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, frame)

    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "step", stepping)
        assert segment(inputs, out) == 130


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("whole") / "out"
    assert segment(inputs, out) == 0
    return out


@pytest.fixture(scope="module")
def scored(inputs, tmp_path_factory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("scored") / "out"
    assert benchmark(inputs, out) == 0
    return out


def cut(path: pathlib.Path, how: str) -> None:
    content = path.read_bytes()
    left = {"empty": b"", "tail": content[:-20], "zeros": bytes(len(content))}
    path.unlink() if how == "gone" else path.write_bytes(left[how])


HOW = ("empty", "tail", "zeros", "gone")


def test_a_file_is_on_the_disk_before_it_is_renamed(tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        call = getattr(os, name)
        note = lambda *a, c=call, n=name: done.append(n) or c(*a)  # noqa: E731
        monkeypatch.setattr(os, name, note)
    write_whole(tmp_path / "a", b"a")
    assert done == ["fsync", "replace", "fsync"]  # the file, and then its folder
    done.clear()
    write_mask(tmp_path / "b.png", np.zeros((4, 4), np.uint8), durable=False)
    assert done == ["replace"]
    files.flush([tmp_path / "a", tmp_path / "b.png"])
    assert done == ["replace", "fsync", "fsync", "fsync"]


@pytest.mark.parametrize("how", HOW)
def test_a_png_that_is_cut_is_seen(tmp_path, how):
    path = tmp_path / "a.png"
    write_mask(path, np.eye(40, dtype=np.uint8))
    assert is_whole_png(path)
    cut(path, how)
    assert not is_whole_png(path)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", ["masks/2.png", "overlay.mp4", "segment.json"])
def test_a_finished_run_is_looked_at(inputs, whole, tmp_path, capsys, monkeypatch, name, how):
    out = shutil.copytree(whole, tmp_path / "out")
    cut(out / name, how)
    if (name, how) == ("segment.json", "gone"):
        assert segment(inputs, out) == 2  # whose the masks are is not known
        return
    steps = steps_of(monkeypatch)
    capsys.readouterr()
    assert segment(inputs, out) == 0
    assert pathlib.Path(name).name in capsys.readouterr().err
    assert masks_of(out) == masks_of(whole)
    assert (out / "overlay.mp4").read_bytes() == (whole / "overlay.mp4").read_bytes()
    assert len(steps) == (0 if name == "overlay.mp4" else COUNT - 1)
    steps.clear()
    assert segment(inputs, out) == 0 and not steps
    assert "is finished" in capsys.readouterr().out


@pytest.mark.parametrize("how", HOW[:3])
@pytest.mark.parametrize("name", ["masks/2.png", ".resume/run.json", ".resume/state.npz"])
def test_a_stopped_run_is_looked_at(inputs, whole, tmp_path, capsys, monkeypatch, name, how):
    out = tmp_path / "out"
    stopped_at(monkeypatch, 3, inputs, out)
    cut(out / name, how)
    capsys.readouterr()
    assert segment(inputs, out) == 0
    assert pathlib.Path(name).name in capsys.readouterr().err
    assert masks_of(out) == masks_of(whole)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(
    "name", ["masks/ant/00001.png", "sequences/ant.json", "settings.json", "scores.json"]
)
def test_a_finished_benchmark_is_looked_at(
    inputs, scored, tmp_path, capsys, monkeypatch, name, how
):
    out = shutil.copytree(scored, tmp_path / "out")
    cut(out / name, how)
    steps = steps_of(monkeypatch)
    assert benchmark(inputs, out) == 0
    assert masks_of(out) == masks_of(scored)
    assert (out / "scores.json").read_bytes() == (scored / "scores.json").read_bytes()
    assert json.loads((out / "settings.json").read_text())["settings"]["split"] == "val"
    if name.startswith(("masks", "sequences")):
        assert len(steps) == 2  # of "ant" alone
    if name.startswith("masks"):
        assert "ant: what was done is missing or damaged" in capsys.readouterr().err


def as_before(path: pathlib.Path) -> None:
    """Changes what is in a picture, but neither its size nor its time."""
    content, then = bytearray(path.read_bytes()), path.stat()
    content[-40:-30] = bytes(10) if any(content[-40:-30]) else b"\xff" * 10
    path.write_bytes(content)
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))
    assert path.stat().st_size == then.st_size


def test_a_frame_that_changed_is_noticed_once_it_is_done(inputs, tmp_path, capsys, monkeypatch):
    copy, out = shutil.copytree(inputs, tmp_path / "in"), tmp_path / "out"
    stopped_at(monkeypatch, 3, copy, out)
    as_before(copy / "frames" / "5.bmp")  # not done yet
    stopped_at(monkeypatch, 1, copy, out)
    as_before(copy / "frames" / "1.bmp")
    before = masks_of(out)
    capsys.readouterr()
    assert segment(copy, out) == 2
    assert "frame 1, counted from 0, has changed" in capsys.readouterr().err
    assert masks_of(out) == before
    assert segment(copy, out, "--overwrite") == 0
    assert segment(copy, tmp_path / "anew") == 0
    assert masks_of(out) == masks_of(tmp_path / "anew")
    as_before(copy / "frames" / "5.bmp")
    assert segment(copy, out) == 2  # of a finished run, all are done


def test_frames_of_other_names_are_noticed(inputs, tmp_path, capsys, monkeypatch):
    copy, out = shutil.copytree(inputs, tmp_path / "in"), tmp_path / "out"
    stopped_at(monkeypatch, 3, copy, out)
    (copy / "frames" / "5.bmp").rename(copy / "frames" / "6.bmp")
    assert segment(copy, out) == 2
    assert "another names or content of the video" in capsys.readouterr().err


def test_a_benchmark_notices_frames_that_changed(inputs, scored, tmp_path, capsys):
    copy, out = shutil.copytree(inputs, tmp_path / "in"), tmp_path / "out"
    shutil.copytree(scored, out)
    assert benchmark(copy, out) == 0
    as_before(copy / "davis/JPEGImages/480p/cat/00001.png")
    assert benchmark(copy, out) == 2
    assert "(another data)" in capsys.readouterr().err


def main_times() -> None:
    """Prints what flushing costs: PYTHONPATH=. python tests/test_power_cut.py."""
    import tempfile

    ids = np.repeat(np.repeat(np.arange(48, dtype=np.uint8).reshape(6, 8) % 4, 80, 0), 107, 1)
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = pathlib.Path(name)
        for durable in (False, True, False, True):
            begun = time.perf_counter()
            paths = [folder / f"{durable}{index}.png" for index in range(100)]
            for path in paths:
                write_mask(path, ids, durable=durable)
            written = time.perf_counter()
            files.flush(paths)
            ended = time.perf_counter()
            told = f"{(written - begun) * 10:.2f} ms a mask, then {(ended - written) * 10:.2f} ms"
            print(f"durable={durable}: {told} a mask to flush")


if __name__ == "__main__":
    main_times()
