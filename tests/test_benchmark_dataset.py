"""`stm-jax benchmark-dataset` from end to end, with a tiny network."""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import zipfile

import numpy as np
import pytest
from PIL import Image

from stm_jax import weights
from stm_jax.benchmark.folder import BenchmarkFolder
from stm_jax.cli import main
from stm_jax.data.benchmarks import BenchmarkSequence, benchmark_sequences
from stm_jax.data.image_files import read_rgb
from stm_jax.data.masks import read_mask
from stm_jax.infer.segmenter import Segmenter
from tests.benchmark_trees import davis2017, run_elsewhere, write_palette, youtube_vos
from tests.conftest import XLA_FLAGS
from tests.lively import lively_model

TIMES = ("seconds", "segment_seconds", "compile_seconds", "compiles")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> pathlib.Path:
    """A folder with davis/, youtube/ and tiny.safetensors."""
    folder = tmp_path_factory.mktemp("data")
    davis2017(folder / "davis", {"cat": (7, 32, 48, (1, 2, 4)), "ant": (6, 32, 48, (2, 5))})
    youtube_vos(folder / "youtube")
    weights.save(lively_model(), folder / "tiny.safetensors")
    return folder


def arguments(data: pathlib.Path, out: pathlib.Path, kind: str, *more: str) -> list[str]:
    protocol = {"davis": "davis2017", "youtube": "youtube-vos"}[kind]
    given = ["benchmark-dataset", str(data / kind), "--protocol", protocol, "--out", str(out)]
    return [*given, "--weights", str(data / "tiny.safetensors"), *more]


def run(data: pathlib.Path, out: pathlib.Path, kind: str, *more: str) -> int:
    return main(arguments(data, out, kind, *more))


def error_line(capsys) -> str:
    """The one line that an error prints."""
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith("stm-jax: ")]
    assert len(lines) == 1
    return lines[0].removeprefix("stm-jax: ")


def tree(out: pathlib.Path) -> dict[str, object]:
    """What every file holds, but for times and the page, which shows them."""
    found: dict[str, object] = {}
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        name = path.relative_to(out).as_posix()
        if path.parent.name == "sequences":
            summary = json.loads(path.read_text())
            assert all(summary.pop(key) >= 0 for key in TIMES)
            found[name] = summary
        else:
            content = b"" if name == "report.html" else path.read_bytes()
            found[name] = hashlib.sha256(content).hexdigest()
    return found


def count_calls(monkeypatch, *names: str) -> list[str]:
    """Notes each call of these methods of the segmenter."""
    calls = []

    def noting(name: str, method):
        def call(self, *given, **options):
            calls.append(name)
            return method(self, *given, **options)

        return call

    for name in names:
        monkeypatch.setattr(Segmenter, name, noting(name, getattr(Segmenter, name)))
    return calls


@pytest.fixture(scope="module")
def davis_run(data, tmp_path_factory) -> pathlib.Path:
    """A run over the DAVIS folder that nothing disturbed."""
    out = tmp_path_factory.mktemp("davis") / "out"
    assert run(data, out, "davis") == 0
    return out


@pytest.fixture(scope="module")
def youtube_run(data, tmp_path_factory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("youtube") / "out"
    assert run(data, out, "youtube") == 0
    return out


def alone(sequence: BenchmarkSequence, length: int, objects: int) -> dict[str, np.ndarray]:
    """The masks that a `Segmenter` gives by itself, by the frame's name."""
    segmenter, masks = Segmenter(lively_model()), {}
    for index, path in enumerate(sequence.frames):
        frame = read_rgb(path)
        if index < min(sequence.given):
            ids = np.zeros(frame.shape[:2], np.uint8)
        elif index == min(sequence.given):
            mask = sequence.given_mask(index)
            ids = segmenter.start(frame, mask, length=length, objects=objects)
        elif index in sequence.given:
            ids = segmenter.add_objects(frame, sequence.given_mask(index))
        else:
            ids = segmenter.step(frame)
        masks[path.stem] = ids
    return masks


def test_masks_are_those_of_the_segmenter(data, davis_run):
    for sequence in benchmark_sequences(data / "davis", "davis2017"):
        expected = alone(sequence, 7, 3)
        assert len({ids.tobytes() for ids in expected.values()}) > 3  # the answers differ
        files = sorted((davis_run / "masks" / sequence.name).iterdir())
        assert [file.stem for file in files] == sorted(expected)
        for file in files:
            with Image.open(file) as image:
                assert image.mode == "P"
                np.testing.assert_array_equal(np.array(image), expected[file.stem])


def test_scores_report_and_notes(davis_run, capsys):
    scores = json.loads((davis_run / "scores.json").read_text())
    assert {"global", "cat_1", "cat_4", "ant_2", "ant_5"} <= scores.keys() and scores[
        "problems"
    ] == []
    assert (davis_run / "scores.csv").read_text().count("\n") >= 3
    assert "<html" in (davis_run / "report.html").read_text()
    summary = json.loads((davis_run / "sequences" / "cat.json").read_text())
    assert {key: summary[key] for key in ("frames", "objects", "height", "width")} == {
        "frames": 7,
        "objects": [1, 2, 4],
        "height": 32,
        "width": 48,
    }
    assert summary["memorized"] == [0, 5] and summary["dropped"] == []
    noted = json.loads((davis_run / "settings.json").read_text())
    assert noted["settings"]["sequences"] == ["cat", "ant"] and "jax" in noted["versions"]


def test_a_finished_run_is_left_alone_and_scored_anew(data, davis_run, capsys, monkeypatch):
    calls, before = count_calls(monkeypatch, "start"), tree(davis_run)
    (davis_run / "scores.json").write_text("{}")  # never told from an older file
    assert run(data, davis_run, "davis") == 0
    told = capsys.readouterr().out
    assert "all 2 sequences are done" in told and "global: J&F" in told
    assert calls == [] and tree(davis_run) == before


SERVER_WANTS = [
    "Annotations/early/00000.png",
    "Annotations/early/00005.png",
    "Annotations/early/00010.png",
    "Annotations/early/00015.png",
    "Annotations/late/00010.png",
    "Annotations/late/00015.png",
    "Annotations/late/00020.png",
    "Annotations/late/00030.png",
]


def test_the_zip_has_what_the_server_wants(data, youtube_run):
    _, late = benchmark_sequences(data / "youtube", "youtube-vos")
    expected = alone(late, 6, 2)
    with zipfile.ZipFile(youtube_run / "submission.zip") as archive:
        assert archive.namelist() == SERVER_WANTS
        for name in SERVER_WANTS:
            with archive.open(name) as file, Image.open(file) as image:
                assert image.mode == "P" and image.size == (48, 32)
                if "late" in name:
                    stem = pathlib.PurePath(name).stem
                    np.testing.assert_array_equal(np.array(image), expected[stem])
    masks = sorted(p.relative_to(youtube_run / "masks") for p in youtube_run.glob("masks/*/*"))
    assert [f"Annotations/{path.as_posix()}" for path in masks] == SERVER_WANTS
    # Object 3 was given at frame 20, and is there from then on only.
    assert 3 not in expected["00015"]
    np.testing.assert_array_equal(expected["00020"] == 3, late.given_mask(3) == 3)
    assert not (youtube_run / "scores.json").exists()


def test_all_frames_are_segmented_and_only_wanted_ones_written(data, tmp_path, monkeypatch, capsys):
    calls = count_calls(monkeypatch, "step", "start", "add_objects")
    assert run(data, tmp_path / "out", "youtube", "--split", "valid_all_frames") == 0
    # "early" has 16 frames; "late" 22 from its first given mask on, one of them given again.
    assert calls.count("start") == 2 and calls.count("add_objects") == 1
    assert calls.count("step") == 15 + 21  # add_objects steps by itself
    with zipfile.ZipFile(tmp_path / "out" / "submission.zip") as archive:
        assert archive.namelist() == SERVER_WANTS
    summary = json.loads((tmp_path / "out/sequences/late.json").read_text())
    assert summary["memorized"] == [5, 10, 15, 20, 25]  # the first given mask is that of frame 5
    told = capsys.readouterr().out
    assert "no true masks but the given ones" in told and "submission.zip" in told
    assert "frames/s, without compilation and files" in told
    assert "programs compiled" in told and "peak memory" in told


KILLING = """
import os, signal, sys
from stm_jax.cli import main
from stm_jax.benchmark.folder import BenchmarkFolder
write = BenchmarkFolder.write_mask
def write_and_die(self, sequence, index, ids):
    write(self, sequence, index, ids)
    if sequence.name == "ant" and index == 3:
        open(self.masks / "ant" / ".stm-jax-0123abcd.tmp", "w").write("half of it")
        os.kill(os.getpid(), signal.SIGKILL)
BenchmarkFolder.write_mask = write_and_die
main(sys.argv[1:])
"""


def test_a_killed_run_goes_on(data, davis_run, tmp_path, monkeypatch):
    out = tmp_path / "out"
    killed = run_elsewhere(KILLING, arguments(data, out, "davis"))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (out / "masks/ant/00003.png").exists() and not (out / "sequences/ant.json").exists()
    assert (out / "sequences/cat.json").exists()
    (out / ".stm-jax-0123abcd.tmp").write_text("half of it")
    calls = count_calls(monkeypatch, "start", "step")
    assert run(data, out, "davis") == 0
    assert calls == ["start"] + 5 * ["step"]  # "ant" alone, from its first frame
    assert tree(out) == tree(davis_run)
    assert {path.name for path in out.iterdir()} == {path.name for path in davis_run.iterdir()}


def test_ctrl_c_keeps_whole_sequences(data, davis_run, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        start = Segmenter.start

        def start_and_interrupt(self, *given, **options):
            if (out / "sequences" / "cat.json").exists():
                os.kill(os.getpid(), signal.SIGTERM)
            return start(self, *given, **options)

        patch.setattr(Segmenter, "start", start_and_interrupt)
        assert run(data, out, "davis") == 130
    assert error_line(capsys).startswith("stopped: 1 of 2 sequences are done and kept")
    assert run(data, out, "davis") == 0
    assert tree(out) == tree(davis_run)


def test_a_missing_mask_is_made_again(data, davis_run, tmp_path):
    out = shutil.copytree(davis_run, tmp_path / "out")
    (out / "masks/cat/00003.png").unlink()
    assert run(data, out, "davis") == 0
    assert tree(out) == tree(davis_run)


def test_other_settings_need_overwrite(data, davis_run, tmp_path, capsys):
    out = shutil.copytree(davis_run, tmp_path / "out")
    assert run(data, out, "davis", "--memorize-every", "2", "--sequences", "ant") == 2
    line = error_line(capsys)
    assert str(out) in line and "(another sequences, data, memory)" in line
    assert tree(out) == tree(davis_run)
    assert run(data, out, "davis", "--memorize-every", "2", "--overwrite", "--no-score") == 0
    assert json.loads((out / "sequences/cat.json").read_text())["memorized"] == [0, 2, 4]
    assert not (out / "scores.json").exists()


def test_changed_data_and_masks_of_others_are_refused(data, davis_run, tmp_path, capsys):
    out = shutil.copytree(davis_run, tmp_path / "out")
    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    first = copy / "davis/Annotations/480p/ant/00000.png"
    write_palette(first, np.eye(32, 48, dtype=np.uint8))
    assert run(copy, out, "davis") == 2
    assert "(another data)" in error_line(capsys)
    (out / "settings.json").unlink()
    (out / ".stm-jax").unlink()
    assert run(data, out, "davis", "--overwrite") == 2
    assert "which `stm-jax benchmark-dataset` did not write" in error_line(capsys)
    assert (out / "masks/ant/00000.png").exists()


def test_two_devices_give_the_same_masks(data, davis_run, tmp_path):
    out = tmp_path / "out"
    program = "import sys; from stm_jax.cli import main; sys.exit(main())"
    flags = f"--xla_force_host_platform_device_count=2 {XLA_FLAGS}"
    given = arguments(data, out, "davis", "--devices", "2")
    done = run_elsewhere(program, given, XLA_FLAGS=flags)
    assert done.returncode == 0, done.stderr
    assert "frames/s a device" in done.stdout
    assert tree(out) == tree(davis_run)


def test_more_devices_than_there_are(data, tmp_path, capsys):
    assert run(data, tmp_path / "out", "davis", "--devices", "99") == 2
    assert "--devices is 99: there are" in error_line(capsys)


def test_a_damaged_frame_is_named_and_whole_sequences_are_kept(data, tmp_path, capsys):
    copy = shutil.copytree(data, tmp_path / "copy")
    bad = copy / "davis/JPEGImages/480p/ant/00003.png"
    bad.write_bytes(bad.read_bytes()[:300])
    assert run(copy, tmp_path / "out", "davis") == 2
    line = error_line(capsys)
    assert "ant/00003.png cannot be read" in line and "1 of 2 sequences are done and kept" in line
    assert sorted(p.name for p in (tmp_path / "out/sequences").iterdir()) == ["cat.json"]


def test_a_frame_of_another_size_is_named(data, tmp_path, capsys):
    copy = shutil.copytree(data, tmp_path / "copy")
    path = copy / "davis/JPEGImages/480p/cat/00002.png"
    Image.new("RGB", (40, 32)).save(path)
    assert run(copy, tmp_path / "out", "davis") == 2
    assert "cat/00002.png: a frame of 40x32 in a video of 48x32" in error_line(capsys)


@pytest.mark.parametrize(
    "more, message",
    [
        (["--scales", "1", "1"], "--scales is 1.0 1.0: give different positive numbers"),
        (["--scales", "0"], "--scales is 0.0"),
        (["--memorize-every", "0"], "--memorize-every is 0"),
        (["--size", "15"], "--size is 15"),
        (["--devices", "0"], "--devices is 0"),
        (["--split", "train"], "no list of the split train"),
        (["--sequences", "Cat"], "but cat, in another case"),
    ],
)
def test_options_that_make_no_sense(data, tmp_path, capsys, more, message):
    assert run(data, tmp_path / "out", "davis", *more) == 2
    assert message in error_line(capsys)
    assert not (tmp_path / "out").exists()


def test_a_bad_root_is_found_without_jax(data, tmp_path):
    """So the answer comes at once."""
    program = """
import pathlib, sys
from stm_jax.commands.benchmark_dataset import BenchmarkDataset
from stm_jax.commands.shared.options import BenchmarkOptions, ResultOptions
from stm_jax.errors import InputError
try:
    data = BenchmarkOptions(root=pathlib.Path(sys.argv[1]), protocol="folder")
    BenchmarkDataset(data, ResultOptions(pathlib.Path("out"))).run()
except InputError as error:
    print(error)
assert "jax" not in sys.modules
"""
    (tmp_path / "jpegimages").mkdir()
    done = run_elsewhere(program, [str(tmp_path)])
    assert done.returncode == 0, done.stderr
    assert "jpegimages, in another case" in done.stdout


def test_a_mask_of_another_size_is_found_before_anything_is_done(data, tmp_path, capsys):
    copy = shutil.copytree(data, tmp_path / "copy")
    write_palette(copy / "davis/Annotations/480p/ant/00000.png", np.eye(30, dtype=np.uint8))
    assert run(copy, tmp_path / "out", "davis") == 2
    assert "ant/00000.png is 30x30 but the frames are 48x32" in error_line(capsys)


def test_flip_and_scales_reach_the_segmenter(data, davis_run, tmp_path):
    out = tmp_path / "out"
    assert run(data, out, "davis", "--flip", "--scales", "0.5", "--sequences", "cat") == 0
    settings = json.loads((out / "settings.json").read_text())["settings"]
    assert settings["flip"] is True and settings["scales"] == [0.5]
    pairs = [(out / "masks/cat" / f"0000{t}.png", davis_run / "masks/cat") for t in range(1, 7)]
    assert any((read_mask(a) != read_mask(b / a.name)).any() for a, b in pairs)


def test_a_full_disk_is_told_and_the_run_goes_on(data, davis_run, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"

    def write(self, sequence, index, ids):
        if sequence.name == "ant":
            raise OSError(28, "No space left on device")
        return original(self, sequence, index, ids)

    original = BenchmarkFolder.write_mask
    with monkeypatch.context() as patch:
        patch.setattr(BenchmarkFolder, "write_mask", write)
        assert run(data, out, "davis") == 2
    assert error_line(capsys).startswith("error: the disk is full")
    assert run(data, out, "davis") == 0
    assert tree(out) == tree(davis_run)
