"""Scoring a folder of PNGs: what counts, and what is said of masks that are wrong."""

import functools
import json

import numpy as np
import pytest
from PIL import Image

from stm_jax.data.benchmarks import benchmark_sequences
from stm_jax.errors import InputError
from stm_jax.eval import scoring
from stm_jax.eval.scores import (
    read_scores,
    scores_from_json,
    scores_to_json,
    write_scores_csv,
    write_scores_json,
)
from tests.benchmark_trees import write_palette
from tests.scored_trees import davis, moving, write_davis, write_masks, write_youtube_vos

score = functools.partial(scoring.score_predictions, strict=False, workers=1)


@pytest.fixture
def walk(tmp_path):
    """Returns the sequence "walk" of six frames with objects 1 and 2, predicted without a fault."""
    sequences = davis(tmp_path / "data", {"walk": moving(6)})
    write_masks(tmp_path / "masks/walk", moving(6))
    return sequences


def test_what_is_right_scores_1_in_every_frame_but_the_first_and_the_last(walk, tmp_path):
    for given in ("00000", "00005"):
        (tmp_path / f"masks/walk/{given}.png").unlink()
    scores = score(tmp_path / "masks", walk, "davis2017")
    assert list(scores.objects) == [("walk", 1), ("walk", 2)]
    for key, each in scores.objects.items():
        assert each.j == each.f == (1.0,) * 4
        assert scores.frames[key] == ("00001", "00002", "00003", "00004")
    assert scores.problems == ()
    assert scores.global_score.j_and_f == 1.0


def test_void_is_left_out_of_j_and_f(tmp_path):
    truth, prediction = moving(5, (1,)), moving(5, (1,))
    truth[:, :, 30:] = 255
    prediction[:, 5:15, 31:] = 1
    prediction[:, 0, 35] = 9  # nor is an unknown id there counted
    sequences = davis(tmp_path / "data", {"walk": truth})
    write_masks(tmp_path / "masks/walk", prediction)
    scores = score(tmp_path / "masks", sequences, "davis2017")
    assert scores.objects["walk", 1].j == scores.objects["walk", 1].f == (1.0,) * 3
    assert scores.problems == ()


def test_davis_2016_takes_all_objects_for_one(tmp_path):
    write_davis(tmp_path / "data", {"walk": moving(5)})
    for frame, ids in enumerate(moving(5)):
        # Whatever the ids are, and black and white as well.
        ids = np.where(ids > 0, 255, 0).astype(np.uint8) if frame == 2 else 3 * ids
        path = tmp_path / f"masks/walk/{frame:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(ids).save(path)
    sequences = benchmark_sequences(tmp_path / "data", "davis2016")
    scores = score(tmp_path / "masks", sequences, "davis2016")
    assert list(scores.objects) == [("walk", 1)]
    assert scores.objects["walk", 1].j == (1.0,) * 3
    assert scores.problems == ()


def test_black_and_white_is_the_only_object_there_is(tmp_path):
    sequences = davis(tmp_path / "data", {"walk": moving(4, (7,))})
    masks = np.where(moving(4, (7,)) > 0, 255, 0).astype(np.uint8)
    write_masks(tmp_path / "masks/walk", masks)
    scores = score(tmp_path / "masks", sequences, "davis2017")
    assert scores.objects["walk", 7].j == (1.0, 1.0)
    assert scores.problems == ()


def test_ids_that_are_none_of_the_objects_are_counted_and_are_background(walk, tmp_path):
    for frame in (2, 3):
        ids = moving(6)[frame]
        ids[20:, :frame] = 9
        write_palette(tmp_path / f"masks/walk/{frame:05d}.png", ids)
    scores = score(tmp_path / "masks", walk, "davis2017")
    assert scores.global_score.j_and_f == 1.0
    (line,) = scores.problems
    assert "00002.png, 00003.png: 20 pixels of 9, none of the objects (1, 2)" in line
    with pytest.raises(InputError, match=r"00002\.png.* of 9, none of the objects"):
        score(tmp_path / "masks", walk, "davis2017", strict=True)


def in_colours(path):
    Image.open(path).convert("RGB").save(path)


def half_as_large(path):
    Image.open(path).resize((18, 12), Image.Resampling.NEAREST).save(path)


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-40])


def in_capitals(path):
    path.rename(path.with_suffix(".PNG"))


def gone(path):
    path.unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (in_colours, "has colours, not ids"),
        (half_as_large, r"is 18x12, the truth 36x24 \(width x height\)"),
        (cut_off, "cut off or damaged"),
        (in_capitals, r"is missing; there is 00003\.PNG, in another case"),
        (gone, "is missing"),
    ],
)
def test_a_mask_that_cannot_be_used_is_named_and_scores_0(walk, tmp_path, spoil, said):
    spoil(tmp_path / "masks/walk/00003.png")
    scores = score(tmp_path / "masks", walk, "davis2017")
    for each in scores.objects.values():
        assert each.j == each.f == (1.0, 1.0, 0.0, 1.0)
    (line,) = scores.problems
    assert line.startswith(str(tmp_path / "masks/walk/00003.png"))
    assert line.endswith("; scored 0")
    with pytest.raises(InputError, match=rf"walk/00003\.png: .*{said}"):
        score(tmp_path / "masks", walk, "davis2017", strict=True)


@pytest.mark.parametrize("name", [None, "Walk"])
def test_a_sequence_that_is_missing_is_named_and_scores_0(tmp_path, name):
    sequences = davis(tmp_path / "data", {"stay": moving(4), "walk": moving(4)})
    write_masks(tmp_path / "masks/stay", moving(4))
    if name:
        write_masks(tmp_path / "masks" / name, moving(4))
    scores = score(tmp_path / "masks", sequences, "davis2017")
    assert scores.sequences["stay"].j_and_f == 1.0
    assert scores.sequences["walk"].j_and_f == 0.0
    (line,) = scores.problems
    assert line.startswith(f"{tmp_path / 'masks/walk'}: is missing")
    assert ("there is Walk, in another case" in line) == bool(name)
    with pytest.raises(InputError, match="walk: is missing"):
        score(tmp_path / "masks", sequences, "davis2017", strict=True)


def test_a_sequence_without_truth_scores_0_and_a_data_set_without_is_refused(tmp_path):
    write_davis(tmp_path / "data", {"stay": moving(4), "walk": moving(4)})
    for frame in (1, 2, 3):
        (tmp_path / f"data/Annotations/480p/walk/{frame:05d}.png").unlink()
    sequences = benchmark_sequences(tmp_path / "data", "davis2017")
    for name in ("stay", "walk"):
        write_masks(tmp_path / "masks" / name, moving(4))
    scores = score(tmp_path / "masks", sequences, "davis2017")
    assert [each.j_and_f for each in scores.sequences.values()] == [1.0, 0.0]
    assert "walk/00001.jpg, 00002.jpg: has no true mask" in scores.problems[0]
    with pytest.raises(InputError, match="has no true mask"):
        score(tmp_path / "masks", sequences, "davis2017", strict=True)
    with pytest.raises(InputError, match="no true masks but those that are given"):
        score(tmp_path / "masks", sequences[1:], "davis2017")


def test_a_truth_that_is_empty_everywhere_is_refused(tmp_path):
    truth = moving(5)
    truth[1:][truth[1:] == 2] = 0
    sequences = davis(tmp_path / "data", {"walk": truth})
    write_masks(tmp_path / "masks/walk", moving(5))
    with pytest.raises(InputError, match="walk: object 2 is in none of the true masks"):
        score(tmp_path / "masks", sequences, "davis2017")


def test_other_folders_are_refused(walk, tmp_path):
    with pytest.raises(InputError, match="holds none of the sequences"):
        score(tmp_path / "masks/walk", walk, "davis2017")
    with pytest.raises(InputError, match="no such folder"):
        score(tmp_path / "nowhere", walk, "davis2017")


def test_decay_is_right_beyond_256_frames(tmp_path):
    truth = moving(302, (1,))
    prediction = truth.copy()
    prediction[225:] = 0  # the last 76 of the 300 that count, and one more
    sequences = davis(tmp_path / "data", {"long": truth})
    write_masks(tmp_path / "masks/long", prediction)
    values = scores_to_json(score(tmp_path / "masks", sequences, "davis2017"))["long_1"]
    assert values["J_decay"] == values["F_decay"] == 1.0
    assert values["J_mean"] == pytest.approx(224 / 300)


def test_several_processes_find_the_same(tmp_path):
    truths = {"long": moving(40), "short": moving(5)}
    sequences = davis(tmp_path / "data", truths)
    for name, masks in truths.items():
        write_masks(tmp_path / "masks" / name, np.roll(masks, 1, axis=2))
    cut_off(tmp_path / "masks/long/00020.png")
    gone(tmp_path / "masks/short/00002.png")
    serial = score(tmp_path / "masks", sequences, "davis2017")
    said: list[tuple[int, int]] = []
    parallel = score(
        tmp_path / "masks",
        sequences,
        "davis2017",
        workers=2,
        progress=lambda done, total: said.append((done, total)),
    )
    assert parallel == serial
    assert len(serial.problems) == 2
    assert (said[0], said[-1]) == ((0, 41), (41, 41))
    with pytest.raises(InputError, match=r"long/00020\.png"):
        score(tmp_path / "masks", sequences, "davis2017", workers=2, strict=True)


def test_a_folder_is_scored_where_it_has_true_masks(tmp_path):
    write_davis(tmp_path / "data", {"walk": moving(6)})
    gone(tmp_path / "data/Annotations/480p/walk/00002.png")
    sequences = benchmark_sequences(tmp_path / "data", "folder")
    write_masks(tmp_path / "masks/walk", moving(6))
    scores = score(tmp_path / "masks", sequences, "folder", strict=True)
    assert scores.frames["walk", 2] == ("00001", "00003", "00004")


@pytest.fixture
def youtube_vos(tmp_path):
    """Returns the videos "ape" and "zebra", predicted without a fault but in the last frame."""
    write_youtube_vos(tmp_path / "data")
    for name, ids in (("ape", (1, 2)), ("zebra", (1,))):
        masks = moving(5, ids)
        masks[4] = 0
        write_masks(tmp_path / "masks" / name, masks, step=5)
    return benchmark_sequences(tmp_path / "data", "youtube-vos")


def test_youtube_vos_scores_an_object_after_the_frame_in_which_it_is_given(youtube_vos, tmp_path):
    scores = score(tmp_path / "masks", youtube_vos, "youtube-vos", strict=True)
    assert scores.frames["ape", 1] == ("00005", "00010", "00020")
    assert scores.frames["ape", 2] == ("00020",)
    assert scores.objects["ape", 1].j == (1.0, 1.0, 0.0)
    assert scores.objects["zebra", 1].f == (1.0, 1.0, 1.0, 0.0)


def test_youtube_vos_tells_seen_from_unseen_by_the_training_set(youtube_vos, tmp_path):
    scores = score(tmp_path / "masks", youtube_vos, "youtube-vos")
    # Seen: object 1 of "ape". Unseen: its object 2, the boat, in one frame, and the zebra in four.
    unseen = (0 + 3 / 4) / 2
    expected = {"J_seen": 2 / 3, "F_seen": 2 / 3, "J_unseen": unseen, "F_unseen": unseen}
    expected["overall"] = (2 / 3 + unseen) / 2
    assert scores.ranked == pytest.approx(expected)
    assert scores.problems == ()
    content = scores_to_json(scores)["youtube-vos"]
    assert (content["seen"], content["unseen"]) == (["ape_1"], ["ape_2", "zebra_1"])


def test_youtube_vos_never_guesses_which_are_seen(youtube_vos, tmp_path):
    (tmp_path / "data/train/meta.json").unlink()
    scores = score(tmp_path / "masks", youtube_vos, "youtube-vos", strict=True)
    assert scores.ranked == {}
    (line,) = scores.problems
    assert "seen and unseen are not told apart: no " in line
    assert "youtube-vos" not in scores_to_json(scores)


def test_json_gives_back_the_same_scores(youtube_vos, tmp_path):
    gone(tmp_path / "masks/zebra/00010.png")
    scores = score(tmp_path / "masks", youtube_vos, "youtube-vos")
    write_scores_json(tmp_path / "scores.json", scores)
    assert read_scores(tmp_path / "scores.json") == scores
    content = json.loads((tmp_path / "scores.json").read_text())
    assert content["frames"]["zebra_1"] == {
        "names": ["00005", "00010", "00015", "00020"],
        "J": [1.0, 0.0, 1.0, 0.0],
        "F": [1.0, 0.0, 1.0, 0.0],
    }
    assert content["zebra_1"]["J_recall"] == 0.5
    assert content["problems"] == list(scores.problems)


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"frames": {}, "protocol": "folder", "problems": []},
        {"frames": {"a_1": {"names": ["0"], "J": [1], "F": []}}, "protocol": "x", "problems": []},
    ],
)
def test_json_that_is_something_else_is_refused(content):
    with pytest.raises(InputError, match=r"other\.json is not a scores file"):
        scores_from_json(content, "other.json")


def test_csv_has_a_row_for_each_object_and_all(walk, tmp_path):
    gone(tmp_path / "masks/walk/00004.png")
    write_scores_csv(tmp_path / "scores.csv", score(tmp_path / "masks", walk, "davis2017"))
    assert (tmp_path / "scores.csv").read_text().splitlines() == [
        "sequence,object,J&F,J_mean,J_recall,J_decay,F_mean,F_recall,F_decay",
        "walk,1,0.75,0.75,0.75,0.5,0.75,0.75,0.5",
        "walk,2,0.75,0.75,0.75,0.5,0.75,0.75,0.5",
        "global,,0.75,0.75,0.75,0.5,0.75,0.75,0.5",
    ]


def test_masks_numbered_from_1_are_never_scored(walk, tmp_path):
    folder = tmp_path / "masks/walk"
    for frame in range(5, -1, -1):
        (folder / f"{frame:05d}.png").rename(folder / f"{frame + 1:05d}.png")
    for strict in (False, True):
        with pytest.raises(InputError, match=r"00006\.png: of no frame.*are 00000 to 00005"):
            score(tmp_path / "masks", walk, "davis2017", strict=strict)


def test_a_mask_of_no_frame_is_named(walk, tmp_path):
    for name in ("00009.png", "mean.png"):
        write_palette(tmp_path / "masks/walk" / name, moving(6)[0])
    scores = score(tmp_path / "masks", walk, "davis2017")
    assert scores.global_score.j_and_f == 1.0
    (line,) = scores.problems
    assert "00009.png, mean.png: of no frame" in line
    with pytest.raises(InputError, match=r"00009\.png, mean\.png: of no frame"):
        score(tmp_path / "masks", walk, "davis2017", strict=True)


def test_other_zeros_before_a_number_are_named(walk, tmp_path):
    (tmp_path / "masks/walk/00003.png").rename(tmp_path / "masks/walk/3.png")
    (line,) = score(tmp_path / "masks", walk, "davis2017").problems
    assert r"00003.png: is missing; there is 3.png, with other zeros" in line


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1.5, -0.1])
def test_scores_that_are_none_are_refused(value):
    content = {"a_1": {"names": ["0"], "J": [value], "F": [1]}}
    with pytest.raises(InputError, match="J of a_1, frame 0 is "):
        scores_from_json({"frames": content, "protocol": "folder", "problems": []})
