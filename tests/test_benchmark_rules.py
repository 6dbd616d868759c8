"""MOSE, LVOS, VOST, BURST and Long-time Video: what is given, wanted, scored and handed in."""

import json
import math
import pathlib
import zipfile

import numpy as np
import pytest

from stm_jax import weights
from stm_jax.benchmark.folder import BenchmarkFolder
from stm_jax.cli import main
from stm_jax.data.benchmarks import benchmark_sequences
from stm_jax.data.protocols import RULES
from stm_jax.errors import InputError
from stm_jax.eval import lvos, vost
from stm_jax.eval.davis import ObjectScores
from stm_jax.eval.scores import read_scores, write_scores_json
from tests.benchmark_answers import CORNER, LOWER_LEFT, paint, score
from tests.benchmark_sets import WRITERS, answer, made
from tests.benchmark_trees import write_palette
from tests.lively import lively_model


@pytest.mark.parametrize("protocol", WRITERS)
def test_truth_against_itself_is_1(tmp_path, protocol):
    sequences = made(tmp_path / "data", protocol)
    answer(tmp_path / "masks", sequences)
    scores = score(tmp_path / "masks", sequences, protocol)
    total = scores.global_score
    assert (total.j_and_f, total.j.mean, total.f.mean) == (1.0, 1.0, 1.0)
    assert scores.problems == ()
    steady = {name: value for name, value in scores.ranked.items() if name.startswith("V")}
    assert set(steady.values()) == ({0.0} if protocol == "lvos" else set())
    assert {v for name, v in scores.ranked.items() if name not in steady} <= {1.0}
    write_scores_json(tmp_path / "scores.json", scores)
    assert read_scores(tmp_path / "scores.json") == scores
    content = json.loads((tmp_path / "scores.json").read_text())
    assert content.get(protocol, {}).keys() >= scores.ranked.keys()


@pytest.mark.parametrize(
    "protocol, video, given, scored",
    [
        ("mose", "fish", {0: (1,), 2: (2,)}, {1: ("00001", "00004", 4), 2: ("00003", "00004", 2)}),
        (
            "lvos",
            "odd",
            {0: (1,), 2: (2,)},
            {1: ("00000006", "00000031", 6), 2: ("00000016", "00000026", 3)},
        ),
        ("vost", "cut", {0: (1,)}, {1: ("frame00002", "frame00016", 8)}),
        ("long-video", "rat", {0: (1,)}, {1: ("00003", "00006", 2)}),
        (
            "burst",
            "HACS-run",
            {0: (3,), 4: (7,)},
            {3: ("frame0002", "frame0008", 4), 7: ("frame0006", "frame0008", 2)},
        ),
    ],
)
def test_what_is_given_and_in_which_frames_each_object_is_scored(
    tmp_path, protocol, video, given, scored
):
    sequences = made(tmp_path / "data", protocol)
    answer(tmp_path / "masks", sequences)
    scores = score(tmp_path / "masks", sequences, protocol)
    (sequence,) = (each for each in sequences if each.name == video)
    assert sequence.given == given
    for object_id, (first, last, count) in scored.items():
        names = scores.frames[video, object_id]
        assert (names[0], names[-1], len(names)) == (first, last, count)


@pytest.mark.parametrize(
    "protocol, wanted, frames",
    [("mose", 6, 6), ("lvos", 8, 8), ("vost", 10, 19), ("long-video", 4, 12), ("burst", 5, 9)],
)
def test_all_frames_are_segmented_and_those_with_masks_are_wanted(
    tmp_path, protocol, wanted, frames
):
    for sequence in made(tmp_path, protocol):
        assert (len(sequence.wanted), len(sequence.frames)) == (wanted, frames)


def test_frames_without_a_true_mask_are_not_scored(tmp_path):
    sequences = made(tmp_path / "data", "mose")
    (tmp_path / "data/train/Annotations/bird/00002.png").unlink()
    sequences = benchmark_sequences(tmp_path / "data", "mose", "train")
    answer(tmp_path / "masks", sequences)
    scores = score(tmp_path / "masks", sequences, "mose")
    assert scores.frames["bird", 1] == ("00001", "00003", "00004")


def test_mose_valid_has_first_masks_and_all_frames_are_handed_in(tmp_path):
    made(tmp_path, "mose")
    bird, fish = benchmark_sequences(tmp_path, "mose")
    assert (bird.given, fish.given) == ({0: (1, 2)}, {0: (1,)})
    assert bird.truths[1:] == (None,) * 5 and bird.wanted == tuple(range(6))
    assert bird.frames[0].parent == tmp_path / "valid/JPEGImages/bird"
    assert benchmark_sequences(tmp_path / "valid", "mose") == (bird, fish)
    with pytest.raises(InputError, match="no true masks but those that are given"):
        answer(tmp_path / "masks", [bird])
        score(tmp_path / "masks", [bird], "mose")


@pytest.mark.parametrize("protocol", ["mose", "lvos", "vost", "long-video"])
def test_void_is_background_where_the_evaluator_knows_none(tmp_path, protocol):
    sequences = made(tmp_path / "data", protocol)
    answer(tmp_path / "masks", sequences)
    (sequence, *_) = sequences
    index = sequence.wanted[1]
    truth = sequence.truths[index]
    assert isinstance(truth, pathlib.Path)
    ids = sequence.truth(index)
    ids[CORNER] = 255
    write_palette(truth, ids)
    name = f"{sequence.name}/{sequence.frames[index].stem}.png"
    paint(tmp_path / "masks", name, 1, CORNER)
    scores = score(tmp_path / "masks", sequences, protocol)
    # 16 wrong pixels beside the 36 of the square.
    assert scores.objects[sequence.name, 1].j[0] == pytest.approx(36 / 52)


def test_v_is_the_standard_deviation_of_j_and_f_rounded_as_the_evaluator_does():
    steady = ObjectScores(1, (0.5, 0.5, 0.5), (0.7, 0.7, 0.7))
    assert lvos.stability(steady) == 0.0
    j, f = (1.0, 0.25, 0.0, 0.5), (0.5, 0.75, 0.0, 0.5)
    variance = np.var((np.array(j) + f) / 2)
    assert lvos.stability(ObjectScores(1, j, f)) == math.sqrt(round(variance, 4)) > 0
    # J alone varies, J and F together do not.
    assert lvos.stability(ObjectScores(1, (1.0, 0.0), (0.0, 1.0))) == 0.0
    nearly = ObjectScores(1, (0.81, 0.80), (0.81, 0.80))
    assert lvos.stability(nearly) == 0.0  # a variance of 0.000025


def test_lvos_means_over_seen_and_unseen_videos(tmp_path):
    sequences = made(tmp_path / "data", "lvos")
    answer(tmp_path / "masks", sequences)
    paint(tmp_path / "masks", "odd/00000026.png", 0, LOWER_LEFT)  # object 2, in 1 of 3 frames
    scores = score(tmp_path / "masks", sequences, "lvos")
    assert scores.seen == {("calm", 1): True, ("odd", 1): False, ("odd", 2): False}
    ranked = scores.ranked
    unseen = (1 + 2 / 3) / 2
    v_unseen = math.sqrt(round(2 / 9, 4)) / 2
    assert ranked["J_unseen"] == pytest.approx(unseen) == pytest.approx(ranked["F_unseen"])
    assert (ranked["J_seen"], ranked["V_seen"]) == (1.0, 0.0)
    assert ranked["overall"] == pytest.approx((2 + 2 * unseen) / 4)
    assert ranked["V_unseen"] == pytest.approx(v_unseen)
    assert ranked["V"] == pytest.approx(v_unseen / 2)  # not the mean over three objects


def test_lvos_never_guesses_which_videos_are_unseen(tmp_path):
    sequences = made(tmp_path / "data", "lvos")
    answer(tmp_path / "masks", sequences)
    paint(tmp_path / "masks", "odd/00000026.png", 0, LOWER_LEFT)
    (tmp_path / "data/valid/unseen_videos.txt").unlink()
    scores = score(tmp_path / "masks", sequences, "lvos")
    assert scores.ranked.keys() == {"V"}
    assert scores.ranked["V"] == pytest.approx(math.sqrt(round(2 / 9, 4)) / 3)
    (line,) = scores.problems
    assert "seen and unseen are not told apart" in line


@pytest.mark.parametrize("name", ["val_meta.json", "meta.json"])
def test_lvos_is_read_by_either_spelling(tmp_path, name):
    sequences = made(tmp_path, "lvos")
    (tmp_path / "valid/valid_meta.json").rename(tmp_path / "valid" / name)
    (tmp_path / "valid").rename(tmp_path / "val")
    again = benchmark_sequences(tmp_path, "lvos")
    assert [each.scored for each in again] == [each.scored for each in sequences]
    (tmp_path / "val" / name).unlink()
    with pytest.raises(InputError, match=r"valid_meta\.json: no such file|val_meta\.json: no such"):
        benchmark_sequences(tmp_path, "lvos")


def test_lvos_meta_that_is_none_or_names_other_frames(tmp_path):
    made(tmp_path, "lvos")
    meta = tmp_path / "valid/valid_meta.json"
    text = meta.read_text()
    meta.write_text(text.replace("frame_range", "range"))
    with pytest.raises(InputError, match="is no list of videos with their objects, each with its"):
        benchmark_sequences(tmp_path, "lvos")
    meta.write_text(text.replace("00000011", "00000012"))
    with pytest.raises(InputError, match=r"odd has no frame 00000017, which .*valid_meta"):
        benchmark_sequences(tmp_path, "lvos")


@pytest.mark.parametrize("count, begin", [(8, 6), (9, 6), (10, 7), (11, 8), (3, 2), (1, 0)])
def test_j_after_transformation_is_of_the_last_quarter(count, begin):
    for frame in range(count):
        j = tuple(float(other == frame) for other in range(count))
        expected = 1 / (count - begin) if frame >= begin else 0.0
        assert vost.j_after_transformation(ObjectScores(1, j, j)) == pytest.approx(expected)


def test_vost_ranks_by_j_and_j_after_transformation(tmp_path):
    sequences = made(tmp_path / "data", "vost")
    answer(tmp_path / "masks", sequences)
    paint(tmp_path / "masks", "cut/frame00016.png", 0, (slice(None), slice(None)))
    scores = score(tmp_path / "masks", sequences, "vost")
    assert scores.ranked == {"J": 7 / 8, "J_tr": 1 / 2}


def test_vost_takes_the_frames_that_have_masks_if_there_are_no_others(tmp_path):
    (before,) = made(tmp_path, "vost")
    (tmp_path / "JPEGImages_10fps").rename(tmp_path / "gone")
    (cut,) = benchmark_sequences(tmp_path, "vost")
    assert len(cut.frames) == 10 < len(before.frames)
    names = [[each.frames[i].stem for i in each.wanted] for each in (cut, before)]
    assert names[0] == names[1]


def test_an_object_that_never_returns_is_scored_and_one_seen_once_is_left_out_of_j(tmp_path):
    sequences = made(tmp_path / "data", "long-video")
    for number in (3, 6, 9):
        write_palette(
            tmp_path / f"data/Annotations/rat/{number:05d}.png", np.zeros((24, 36), np.uint8)
        )
    answer(tmp_path / "masks", sequences)
    assert score(tmp_path / "masks", sequences, "long-video").objects["rat", 1].j == (1.0, 1.0)
    sequences = made(tmp_path / "burst", "burst")
    file = tmp_path / "burst/annotations/val/all_classes.json"
    content = json.loads(file.read_text())
    for shown in content["sequences"][1]["segmentations"][2:]:
        shown.pop("2", None)
    file.write_text(json.dumps(content))
    sequences = benchmark_sequences(tmp_path / "burst", "burst")
    answer(tmp_path / "more", sequences)
    scores = score(tmp_path / "more", sequences, "burst")
    assert ("AVA-sit", 2) not in scores.objects and "left out" in scores.problems[0]


LISTS = {
    "mose": ["bird/00000.png", "bird/00005.png", "fish/00000.png", "fish/00005.png"],
    "lvos": [
        *("Annotations/calm/00000001.png", "Annotations/calm/00000036.png"),
        *("Annotations/odd/00000001.png", "Annotations/odd/00000036.png"),
    ],
    "vost": ["cut/frame00000.png", "cut/frame00018.png"],
}


@pytest.mark.parametrize("protocol", LISTS)
def test_the_zip_is_as_the_server_asks(tmp_path, protocol):
    WRITERS[protocol](tmp_path / "data")
    sequences = benchmark_sequences(tmp_path / "data", protocol)
    folder = BenchmarkFolder(tmp_path / "out", {}, {})
    answer(folder.masks, sequences)
    assert folder.write_submission(sequences, protocol) == folder.submission
    with zipfile.ZipFile(folder.submission) as archive:
        names = archive.namelist()
        assert names == sorted(names) and len(names) == sum(len(s.wanted) for s in sequences)
        ends = [f(n for n in names if f"{s.name}/" in n) for s in sequences for f in (min, max)]
        assert ends == LISTS[protocol]
        name = names[0].removeprefix("Annotations/")
        assert archive.read(names[0]) == (folder.masks / name).read_bytes()
    assert folder.write_submission(sequences, protocol) is None  # it is there


def test_no_archive_is_made_where_no_server_asks_for_one(tmp_path):
    assert {p for p, rules in RULES.items() if rules.submission is None} == {
        *("davis2016", "davis2017", "long-video", "folder")
    }
    folder = BenchmarkFolder(tmp_path / "out", {}, {})
    sequences = made(tmp_path / "data", "long-video")
    assert folder.write_submission(sequences, "long-video") is None
    assert not folder.submission.exists()


@pytest.mark.parametrize("protocol", ["burst", "lvos"])
def test_a_network_is_measured_and_goes_on_where_it_was_stopped(tmp_path, protocol, capsys):
    made(tmp_path / "data", protocol)
    weights.save(lively_model(), tmp_path / "tiny.safetensors")
    given = ["benchmark-dataset", str(tmp_path / "data"), "--protocol", protocol]
    given += ["--weights", str(tmp_path / "tiny.safetensors")]
    assert main([*given, "--out", str(tmp_path / "out")]) == 0
    result = tmp_path / "out" / ("predictions.json" if protocol == "burst" else "submission.zip")
    first = result.read_bytes()
    assert f": {result}" in capsys.readouterr().out
    scores = read_scores(tmp_path / "out/scores.json")
    assert scores.protocol == protocol and scores.ranked
    result.unlink()
    spoilt = next((tmp_path / "out/masks").glob("*/*.png"))
    spoilt.write_bytes(b"")
    assert main([*given, "--out", str(tmp_path / "out")]) == 0
    assert result.read_bytes() == first and read_scores(tmp_path / "out/scores.json") == scores
