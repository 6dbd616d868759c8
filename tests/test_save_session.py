"""`stm-jax segment --save` with masks of several frames: of the frames that were followed."""

import json
import os
import pathlib

import av
import numpy as np
import pytest

from stm_jax.cli import main
from stm_jax.data.benchmarks import benchmark_sequences
from stm_jax.data.masks import read_mask, write_mask
from stm_jax.results.alpha import read_cut_out, read_matte
from stm_jax.results.alpha_video import read_alpha_video
from stm_jax.results.make import PLACES
from stm_jax.results.probabilities import ids_of, read_probabilities
from tests.test_results import TIMES, write_source
from tests.test_save import COUNT, inputs, masks, run  # noqa: F401, inputs is a fixture

SOME = ["00000", "00002", "00003"]
RANGE = ("--end", "3", "--step", "2")


@pytest.fixture(scope="module")
def late(inputs) -> str:  # noqa: F811
    """--mask of frame 3."""
    write_mask(inputs / "late.png", np.roll(read_mask(inputs / "mask.png"), 5, axis=1))
    return f"3={inputs / 'late.png'}"


def state_of(out: pathlib.Path) -> dict[str, tuple[int, bytes]]:
    """What the results are, and when they were written."""
    files = [f for name in PLACES.values() for f in (out / name, *(out / name).rglob("*"))]
    return {
        os.fspath(f.relative_to(out)): (f.stat().st_mtime_ns, f.read_bytes())
        for f in files
        if f.is_file()
    }


def test_every_kind_of_a_range_of_frames(inputs, late, tmp_path):  # noqa: F811
    out = tmp_path / "out"
    run(inputs, out, "--mask", late, "--save", "palette")  # all frames
    assert not (out / "overlay.mp4").exists() and not (out / "probabilities").exists()
    run(inputs, out, "--mask", late, *RANGE, "--save", "npz", *PLACES)
    assert len(masks(out)) == COUNT  # those of other frames are left
    found = {name: read_mask(out / "masks" / f"{name}.png") for name in SOME}
    np.testing.assert_array_equal(found["00003"], read_mask(inputs / "late.png"))
    videos = [list(read_alpha_video(out / PLACES[k])) for k in ("prores4444", "vp9-alpha")]
    for index, (name, ids) in enumerate(found.items()):
        soft, object_ids = read_probabilities(out / "probabilities" / f"{name}.npz")
        np.testing.assert_array_equal(ids_of(soft, object_ids), ids)
        assert (len(np.unique(soft)) > 50) == (name == "00002")
        alpha = 1 - soft[0].astype(np.float32)
        for kind, steps in (("alpha", 255), ("alpha16", 65535)):
            matte = read_matte(out / kind / f"{name}.png")
            assert np.abs(matte - alpha).max() <= 0.51 / steps
        eight = np.rint(alpha * 255)
        np.testing.assert_array_equal(read_cut_out(out / "rgba" / f"{name}.png")[..., 3], eight)
        for frames in videos:
            np.testing.assert_array_equal(frames[index][..., 3], eight)
    for kind in ("alpha", "alpha16", "rgba"):
        assert sorted(file.stem for file in (out / kind).iterdir()) == SOME
    assert [len(frames) for frames in videos] == [3, 3]
    with av.open(str(out / "overlay.mp4")) as container:
        times = [frame.pts * frame.time_base * 25 for frame in container.decode(video=0)]
    assert times == [0, 2, 3]
    (entry,) = json.loads((out / "coco.json").read_text())["videos"]
    assert entry["file_names"] == [f"video/{name}.jpg" for name in SOME]
    (sequence,) = benchmark_sequences(out / "davis", "davis2017", "train")
    assert [file.stem for file in sequence.frames] == SOME
    np.testing.assert_array_equal(sequence.truth(1), found["00002"])


def test_results_are_made_again_when_masks_change_and_only_then(
    inputs,  # noqa: F811
    late,
    tmp_path,
    capsys,
):
    out, every = tmp_path / "out", ("--save", "overlay", "alpha", "coco")
    run(inputs, out, "--mask", late, *every)
    before, first_masks = state_of(out), masks(out)
    capsys.readouterr()
    run(inputs, out, "--mask", late, *every)
    assert state_of(out) == before
    assert "is finished: nothing to do" in capsys.readouterr().out
    more = late.replace("3=", "2=")
    run(inputs, out, "--mask", late, "--mask", more, "--save", "coco", "overlay")
    said, after = capsys.readouterr().err, state_of(out)
    assert f"{out / 'alpha'} is of other masks: --save alpha makes it again" in said
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"overlay.mp4", "coco.json"}
    run(inputs, out, "--mask", late, *every)
    assert masks(out) == first_masks
    again = state_of(out)
    assert all(again[name][1] == before[name][1] for name in before)


def test_probabilities_alone_may_change(inputs, late, tmp_path):  # noqa: F811
    """An answer that is given as the mask of its frame: the masks stay, its edges are hard now."""
    out, every = tmp_path / "out", ("--save", "coco", "alpha", "npz")
    run(inputs, out, "--mask", late, *every)
    own = read_mask(out / "masks" / "00004.png")
    write_mask(tmp_path / "own.png", own)
    run(
        inputs,
        out,
        "--mask",
        late,
        "--mask",
        f"4={tmp_path / 'own.png'}",
        "--gone",
        "4=1,4",
        *every,
    )
    assert (read_mask(out / "masks" / "00004.png") == own).all()
    matte = read_matte(out / "alpha" / "00004.png")
    assert set(np.unique(matte)) <= {0, 1}


def test_the_overlay_of_a_session_has_times_and_sound(inputs, tmp_path):  # noqa: F811
    write_source(tmp_path / "uneven.mkv")
    mask = np.zeros((37, 51), np.uint8)
    mask[8:20, 4:16] = 1
    write_mask(tmp_path / "a.png", mask)
    out = tmp_path / "out"
    given = ["--mask", f"2={tmp_path / 'a.png'}", "--start", "1", "--out", str(out)]
    words = ["segment", str(tmp_path / "uneven.mkv"), *given]
    assert main([*words, "--weights", str(inputs / "tiny.safetensors")]) == 0
    with av.open(str(out / "overlay.mp4")) as container:
        times = [frame.pts * frame.time_base for frame in container.decode(video=0)]
        assert len(container.streams.audio) == 1
    assert times == [time - TIMES[1] for time in TIMES[1:]]


@pytest.mark.parametrize("name", ["alpha/a.png", "probabilities/a.png", ".session/a.png"])
def test_no_mask_lies_where_results_go(inputs, late, tmp_path, capsys, name):  # noqa: F811
    file = tmp_path / "out" / name
    file.parent.mkdir(parents=True)
    write_mask(file, read_mask(inputs / "mask.png"))
    given = ["--mask", late, "--mask", f"2={file}", "--out", str(tmp_path / "out")]
    assert main(["segment", str(inputs / "video.mp4"), *given]) == 2
    assert "lies where results would be written" in capsys.readouterr().err


def test_a_range_that_no_mask_reaches_is_one_line(inputs, late, tmp_path, capsys):  # noqa: F811
    given = ["--mask", late, "--start", "0", "--end", "2", "--direction", "forward"]
    words = ["segment", str(inputs / "video.mp4"), *given, "--out", str(tmp_path / "out")]
    assert main([*words, "--weights", str(inputs / "tiny.safetensors")]) == 2
    assert "no mask reaches any of these frames" in capsys.readouterr().err
