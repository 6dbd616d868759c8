"""The synthetic benchmark: exact truth, knobs that do what they say, files that are the same."""

import dataclasses
import hashlib
import pathlib
import signal
import subprocess
import sys
import time
import tracemalloc

import cv2
import numpy as np
import pytest
from PIL import Image

from stm_jax.cli import main
from stm_jax.data.benchmarks import benchmark_sequences
from stm_jax.data.image_files import read_rgb
from stm_jax.data.truth_masks import read_truth
from stm_jax.errors import InputError
from stm_jax.synthetic.config import RANGES, SyntheticConfig
from stm_jax.synthetic.folder import SyntheticFolder, write_set
from stm_jax.synthetic.motion import Passing
from stm_jax.synthetic.video import SyntheticVideo, synthetic_video
from tests.conftest import PROJECT

SMALL = SyntheticConfig(
    frames=60, height=48, width=80, seen=(8, 20), away=(5, 9), diameter=(0.2, 0.35)
)
PLAIN = dataclasses.replace(
    SMALL, objects=1, look_alikes=0, occluded_every=0, light=0.0, dust=0.0, blur=0.0, clutter=0
)
COMMAND = "import sys; from stm_jax.cli import main; sys.exit(main())"
KNOBS = {"frames": 12, "height": 32, "width": 48, "seen": (3, 5), "away": (2, 3)}
WORDS = ["--frames=12", "--height=32", "--width=48", "--seen", "3", "5", "--away", "2", "3"]


def flat(video: SyntheticVideo) -> tuple[SyntheticVideo, np.ndarray]:
    """Returns the video with every thing in a colour of its own, and the ids of the colours."""
    things, ids = [], np.zeros(256, np.uint8)
    for color, thing in enumerate(video.things, 1):
        picture = np.full_like(thing.layer[0], color)
        things.append(dataclasses.replace(thing, layer=(picture, thing.layer[1])))
        ids[color] = thing.object_id
    ground = np.zeros_like(video.ground)
    return dataclasses.replace(video, things=tuple(things), ground=ground), ids


def runs_of(away: list[bool]) -> list[int]:
    """Returns the lengths of the stretches in which it is true."""
    text = "".join("x" if each else " " for each in away)
    return [len(run) for run in text.split()]


def files_of(folder: pathlib.Path) -> dict[str, str]:
    """Returns a hash of every file of a set."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def synthetic(out: pathlib.Path, *words: str) -> int:
    return main(["synthetic", "--out", str(out), "--videos", "2", *WORDS, *words])


@pytest.mark.parametrize("leaving", [0.0, 1.0])
def test_a_pixel_belongs_to_what_is_seen_there(leaving):
    knobs = {"light": 0.0, "dust": 0.0, "blur": 0.0, "occluded_every": 12, "look_alikes": 2}
    config = dataclasses.replace(SMALL, leaving=leaving, **knobs)
    hidden = 0
    for index in range(3):
        video, ids_of_colors = flat(synthetic_video(config, 0, index))
        assert any(isinstance(thing.motion, Passing) for thing in video.things)
        for rgb, ids in video:
            np.testing.assert_array_equal(ids, ids_of_colors[rgb[..., 0]])
            hidden += len(np.unique(rgb)) - 1 > len(np.unique(ids))
    assert hidden > 20  # there was something to mistake


def test_look_alikes_are_background_and_look_alike():
    config = dataclasses.replace(PLAIN, objects=2, look_alikes=3, diameter=(0.15, 0.15))
    for index in range(3):
        video = synthetic_video(dataclasses.replace(config, likeness=1.0), 0, index)
        ids = video.frame(0).ids
        assert sorted(thing.object_id for thing in video.things) == [0] * 6 + [1, 2]
        for object_id in (1, 2):  # all begin apart, so a second part would be another thing's
            assert cv2.connectedComponents((ids == object_id).view(np.uint8))[0] == 2
        pictures = [thing.layer[0].tobytes() for thing in video.things]
        assert sorted(map(pictures.count, pictures)) == [4] * 8
    other = synthetic_video(dataclasses.replace(config, likeness=0.7), 0)
    assert len({thing.layer[0].tobytes() for thing in other.things}) == 4  # an object's are equal


@pytest.mark.parametrize("leaving", [0.0, 1.0])
def test_an_object_is_away_for_as_long_as_was_asked(leaving):
    lengths = []
    for index in range(6):
        config = dataclasses.replace(PLAIN, leaving=leaving, frames=150)
        shown = [bool(frame.ids.any()) for frame in synthetic_video(config, 1, index)]
        assert all(shown[: config.seen[0]]) and shown[-1]
        lengths += runs_of([not each for each in shown])
        stays = runs_of(shown)
        assert all(config.seen[0] <= each <= config.seen[1] for each in stays[:-1])
    assert len(lengths) > 20 and set(lengths) == {5, 6, 7, 8, 9}


def test_what_leaves_goes_over_an_edge_and_what_vanishes_does_not():
    def at_edge(leaving: float) -> list[bool]:
        video = synthetic_video(dataclasses.replace(PLAIN, leaving=leaving), 2)
        (thing,) = video.things
        last = [video.frame(absence.begin - 1).ids for absence in thing.motion.absences]
        return [
            bool(each[0].any() | each[-1].any() | each[:, 0].any() | each[:, -1].any())
            for each in last
        ]

    assert at_edge(1.0) == [True] * len(at_edge(1.0)) != []
    assert at_edge(0.0) == [False] * len(at_edge(0.0)) != []


def test_absences_go_up_to_500_frames_and_fit_in_the_video():
    long = dataclasses.replace(PLAIN, away=(5, 500), frames=20_000)
    (thing,) = synthetic_video(long, 0).things
    lengths = [absence.end - absence.begin for absence in thing.motion.absences]
    assert min(lengths) <= 6 and 450 < max(lengths) <= 500
    assert thing.motion.absences[-1].end <= long.frames
    never = dataclasses.replace(PLAIN, away=(0, 0))
    assert all(frame.ids.any() for frame in synthetic_video(never, 0))


def test_all_objects_are_wholly_in_sight_in_the_first_frame():
    for index in range(10):
        video = synthetic_video(dataclasses.replace(SMALL, occluded_every=5), 3, index)
        alone = dataclasses.replace(video, things=())
        ids = video.frame(0).ids
        for thing in video.things:
            if thing.object_id:
                own = dataclasses.replace(alone, things=(thing,)).frame(0).ids > 0
                np.testing.assert_array_equal(ids == thing.object_id, own)


CHANGED = {
    "frames": 61,
    "height": 50,
    "width": 82,
    "objects": 1,
    "diameter": (0.25, 0.25),
    "look_alikes": 2,
    "likeness": 0.2,
    "seen": (12, 12),
    "away": (15, 15),
    "leaving": 1.0,
    "occluded_every": 8,
    "cover": 2.0,
    "speed": 0.03,
    "scale": 2.0,
    "turn": 90.0,
    "bend": 0.0,
    "light": 0.8,
    "camera": 0.5,
    "blur": 0.2,
    "dust": 0.9,
    "clutter": 0,
}


@pytest.mark.parametrize("knob", [name for name, _, _ in RANGES])
def test_each_knob_does_something(knob):
    base = dataclasses.replace(SMALL, leaving=0.0, occluded_every=20)
    other = dataclasses.replace(base, **{knob: CHANGED[knob]})
    # What comes and goes does not come in every short video.
    assert any(differ(synthetic_video(base, 0, i), synthetic_video(other, 0, i)) for i in range(4))


def differ(one: SyntheticVideo, other: SyntheticVideo) -> bool:
    return len(one) != len(other) or any(
        not np.array_equal(a, b)
        for frame, its in zip(one, other, strict=True)
        for a, b in zip(frame, its, strict=True)
    )


def test_every_knob_has_a_range_and_is_told_when_it_is_out_of_it():
    assert [name for name, _, _ in RANGES] == [f.name for f in dataclasses.fields(SyntheticConfig)]
    assert CHANGED.keys() == {name for name, _, _ in RANGES}
    for change, told in (
        ({"frames": 1}, "--frames is 1: give a number 2 or more"),
        ({"look_alikes": -1}, "--look-alikes is -1"),
        ({"away": (9, 5)}, "--away is 9 5: give the least one first"),
        ({"away": (0, 5)}, "0 0 for never"),
        ({"diameter": (0.2, float("nan"))}, "--diameter is nan"),
        ({"objects": 40}, "do not fit beside each other in 80x48 pixels"),
    ):
        with pytest.raises(InputError, match=told):
            synthetic_video(dataclasses.replace(SMALL, **change), 0)


def test_light_scale_and_movement_are_as_far_as_was_asked():
    still = {"speed": 0.0, "bend": 0.0, "turn": 0.0, "camera": 0.0, "away": (0, 0), "frames": 300}
    config = dataclasses.replace(PLAIN, height=96, width=160, scale=1.5, **still)
    areas = [np.count_nonzero(frame.ids) for frame in synthetic_video(config, 0)]
    assert 1.5**2 < max(areas) / min(areas) < 1.05 * 1.5**4
    lit = dataclasses.replace(config, scale=1.0, light=0.3)
    changes = []
    for index in range(4):
        means = [frame.rgb.mean() for frame in list(synthetic_video(lit, 0, index))[::10]]
        changes.append(max(means) / min(means))
    assert 1.1 < max(changes) < (1.3 / 0.7) ** 2
    fixed = dataclasses.replace(config, scale=1.0)
    first, *rest = (frame.rgb for frame in synthetic_video(fixed, 0))
    assert all(np.array_equal(first, each) for each in rest)


def test_a_frame_is_the_same_whenever_it_is_asked_for_and_costs_no_memory():
    config = dataclasses.replace(SMALL, frames=99_999, seen=(30, 120), occluded_every=200)
    tracemalloc.start()
    video = synthetic_video(config, 0)
    late = video.frame(99_998)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6  # the frames alone would be 1.5e9
    video.frame(3)
    for again in (video.frame(99_998), synthetic_video(config, 0).frame(99_998)):
        np.testing.assert_array_equal(late.rgb, again.rgb)
        np.testing.assert_array_equal(late.ids, again.ids)
    assert not np.array_equal(late.rgb, synthetic_video(config, 1).frame(99_998).rgb)
    assert not np.array_equal(late.rgb, synthetic_video(config, 0, 1).frame(99_998).rgb)


def test_things_are_cut_out_of_photographs(tmp_path):
    photographs = tmp_path / "photographs"
    for folder in ("images", "masks"):
        (photographs / folder).mkdir(parents=True)
    picture, mask = np.zeros((60, 90, 3), np.uint8), np.zeros((60, 90), np.uint8)
    picture[10:40, 20:70], mask[10:40, 20:70] = (250, 10, 200), 255
    Image.fromarray(picture).save(photographs / "images" / "one.png")
    Image.fromarray(mask).save(photographs / "masks" / "one.png")
    out = tmp_path / "out"
    assert (
        synthetic(
            out, "--photographs", str(photographs), "--workers", "1", "--light", "0", "--dust", "0"
        )
        == 0
    )
    sequence = benchmark_sequences(out, "davis2017")[0]
    shown = read_truth(sequence.truths[0]) == 1
    inside = cv2.erode(shown.view(np.uint8), np.ones((3, 3), np.uint8)) > 0
    np.testing.assert_allclose(
        read_rgb(sequence.frames[0])[inside].mean(axis=0), (250, 10, 200), atol=12
    )


def test_the_set_is_read_as_davis_and_its_truth_is_that_of_the_video(tmp_path, capsys):
    assert synthetic(tmp_path / "set", "--workers", "1") == 0
    assert "24 frames of 48x32 drawn and written in" in capsys.readouterr().out
    config = SyntheticConfig(**KNOBS)
    for protocol in ("davis2017", "folder"):
        sequences = benchmark_sequences(tmp_path / "set", protocol)
        assert [each.name for each in sequences] == ["synthetic-0000", "synthetic-0001"]
        assert all(each.given == {0: (1, 2)} for each in sequences)
    for index, sequence in enumerate(sequences):
        for number, (rgb, ids) in enumerate(synthetic_video(config, 0, index)):
            np.testing.assert_array_equal(sequence.truth(number), ids)
            written = read_rgb(sequence.frames[number]).astype(int)
            assert np.abs(written - rgb).mean() < 4


def test_the_same_seed_gives_the_same_bytes_by_one_process_or_two(tmp_path):
    for name, words in {
        "one": ("--workers", "1"),
        "two": ("--workers", "2"),
        "other": ("--seed", "1", "--workers", "1"),
    }.items():
        assert synthetic(tmp_path / name, *words) == 0
    one, two, other = (files_of(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two and len(one) == 2 * 2 * 12 + 4
    assert one.keys() == other.keys()
    assert not [name for name in one if name.endswith(".jpg") and one[name] == other[name]]
    masks = [name for name in one if name.endswith(".png")]
    assert sum(one[name] != other[name] for name in masks) > len(masks) / 2


def test_a_set_that_was_stopped_or_damaged_goes_on_to_the_same_files(tmp_path, capsys):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert synthetic(whole, "--workers", "1") == 0
    config = SyntheticConfig(**KNOBS)
    folder = SyntheticFolder(stopped, config, 0)

    def stop(done: int) -> None:
        if done == 17:
            raise KeyboardInterrupt

    with folder.claimed():
        folder.begin(overwrite=False)
        with pytest.raises(KeyboardInterrupt):
            write_set(folder, 2, 1, stop)
    left = {name: of for name, of in files_of(stopped).items() if name.endswith((".jpg", ".png"))}
    assert len(left) == 24 and left.items() <= files_of(whole).items()
    with pytest.raises(InputError, match="no list of the split val"):
        benchmark_sequences(stopped, "davis2017")
    # As a kill leaves it: a video that is not whole, under a name that is passed over.
    half = stopped / "JPEGImages/480p/.synthetic-0001"
    half.mkdir()
    for name in ("00000.jpg", "00099.jpg", ".stm-jax-01234567.tmp"):
        (half / name).write_bytes(b"half")
    (stopped / "JPEGImages/480p/synthetic-0000/00003.jpg").unlink()
    assert synthetic(stopped, "--workers", "1") == 0
    assert "24 frames" in capsys.readouterr().out
    assert files_of(stopped) == files_of(whole)
    before = {path: path.stat().st_mtime_ns for path in stopped.rglob("*.jpg")}
    assert main(["synthetic", "--out", str(stopped), "--videos", "3", *WORDS]) == 0
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert len(benchmark_sequences(stopped, "davis2017")) == 3
    assert synthetic(tmp_path / "none", "--objects", "60") == 2  # and nothing is written
    assert not (tmp_path / "none").exists()
    assert synthetic(stopped, "--seed", "1") == 2
    assert "another run (another seed)" in capsys.readouterr().err


def test_ctrl_c_leaves_whole_videos_only(tmp_path):
    words = ["--videos", "3", "--workers", "2", "--height", "32", "--width", "48"]
    command = [sys.executable, "-c", COMMAND, "synthetic", "--out", str(tmp_path), *words]
    process = subprocess.Popen(
        [*command, "--frames", "30000"], cwd=PROJECT, stderr=subprocess.PIPE, text=True
    )
    while not any(tmp_path.glob("Annotations/480p/.synthetic-0001/*.png")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in said
    assert "give the same command again to go on" in said
    there = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert there == {".stm-jax", "synthetic.json"}
