"""BURST: tracks that begin anywhere, HOTA over categories, annotations and predictions in JSON."""

import dataclasses
import json

import numpy as np
import pytest

from stm_jax.benchmark.folder import BenchmarkFolder
from stm_jax.cli import main
from stm_jax.data.benchmarks import benchmark_sequences
from stm_jax.data.burst import RunLengths, read_burst
from stm_jax.data.truth_masks import read_truth
from stm_jax.errors import InputError
from stm_jax.eval.scoring import score_predictions
from tests.benchmark_answers import CORNER, LOWER_LEFT, paint, score
from tests.benchmark_sets import answer, made


def test_burst_gives_each_track_where_it_is_first_annotated_and_tells_its_category(tmp_path):
    run, sit = made(tmp_path, "burst")
    assert run.frames[0] == tmp_path / "frames/val/HACS/run/frame0000.jpg"
    assert (run.category_ids, sit.category_ids) == ({3: 4, 7: 13}, {1: 600, 2: 20})
    assert run.categories == {3: "thing 4", 7: "thing 13"}
    assert set(np.unique(run.given_mask(4))) == {0, 7}
    assert [index for index, truth in enumerate(run.truths) if truth] == [0, 2, 4, 6, 8]
    (tmp_path / "annotations/val").rename(tmp_path / "val")  # as the archive unpacks by itself
    (again, _) = benchmark_sequences(tmp_path, "burst")
    assert (again.given, again.frames) == (run.given, run.frames)


def test_run_lengths_read_as_a_png_whose_later_objects_cover_the_earlier(tmp_path):
    from pycocotools import mask as coco_mask

    wide, tall = np.zeros((2, 7, 9), bool)
    wide[2:4], tall[:, 3:5] = True, True
    runs = {
        object_id: coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
        for object_id, mask in ((200, wide), (1, tall))
    }
    truth = RunLengths(tmp_path / "all.json", "HACS-run/0.jpg", (7, 9), runs)
    expected = np.where(tall, 1, np.where(wide, 200, 0))
    np.testing.assert_array_equal(read_truth(truth), expected)
    with pytest.raises(InputError, match=r"all\.json"):
        dataclasses.replace(truth, size=(7, 8)).ids()


def test_burst_ranks_by_means_over_categories_and_leaves_out_distractors(tmp_path):
    sequences = made(tmp_path / "data", "burst")
    answer(tmp_path / "masks", sequences)
    # The lamp is lost in two of the four frames that show it, the distractor everywhere.
    for number in (2, 4, 6):
        paint(tmp_path / "masks", f"AVA-sit/frame000{number}.png", 0, LOWER_LEFT)
    for number in (4, 6):
        paint(tmp_path / "masks", f"AVA-sit/frame000{number}.png", 0, (slice(12), slice(36)))
    scores = score(tmp_path / "masks", sequences, "burst")
    # 2 of 4 masks are found; those two belong to one track of 4 true and 2 predicted masks.
    assert scores.ranked["HOTA_uncommon"] == pytest.approx(0.5)
    assert scores.ranked["DetA_uncommon"] == pytest.approx(0.5)
    assert scores.ranked["HOTA_common"] == 1.0
    assert scores.ranked["HOTA_all"] == pytest.approx((1 + 1 + 0.5) / 3)


def test_burst_scores_the_frame_in_which_a_mask_is_given_and_none_that_shows_nothing(tmp_path):
    sequences = made(tmp_path / "data", "burst")
    answer(tmp_path / "masks", sequences)
    paint(tmp_path / "masks", "HACS-run/frame0006.png", 3, CORNER)  # nothing is seen there
    paint(tmp_path / "masks", "AVA-sit/frame0008.png", 1, CORNER)
    assert score(tmp_path / "masks", sequences, "burst").ranked["HOTA_all"] == 1.0
    paint(tmp_path / "masks", "AVA-sit/frame0000.png", 0, (slice(None), slice(None)))
    scores = score(tmp_path / "masks", sequences, "burst")
    assert scores.ranked["DetA_uncommon"] == pytest.approx(3 / 4)
    assert scores.objects["AVA-sit", 1].j == (1.0, 1.0, 1.0, 0.0)  # J and F count it


def test_burst_without_a_list_of_common_categories(tmp_path):
    sequences = made(tmp_path / "data", "burst")
    answer(tmp_path / "masks", sequences)
    (tmp_path / "data/annotations/val/common_classes.json").unlink()
    scores = score_predictions(tmp_path / "masks", sequences, "burst", strict=False, workers=1)
    assert scores.ranked.keys() == {"HOTA_all", "DetA_all", "AssA_all"}
    assert "common and uncommon are not told apart" in scores.problems[0]


def test_predictions_of_burst_are_its_annotations_with_other_masks(tmp_path):
    from pycocotools import mask as coco_mask

    sequences = made(tmp_path / "data", "burst")
    folder = BenchmarkFolder(tmp_path / "out", {}, {})
    answer(folder.masks, sequences)
    paint(folder.masks, "HACS-run/frame0000.png", 3, CORNER)  # given: not what is predicted counts
    paint(folder.masks, "HACS-run/frame0008.png", 3, CORNER)
    assert folder.write_submission(sequences, "burst") == folder.predictions
    annotations = tmp_path / "data/annotations/val/all_classes.json"
    truth, found = (json.loads(p.read_text()) for p in (annotations, folder.predictions))
    for content in (truth, found):
        for video in content["sequences"]:
            video["shown"] = [sorted(each) for each in video["segmentations"]]
    run = found["sequences"][0]
    assert run["shown"] == [["3"], ["3"], ["3", "7"], [], ["3", "7"]]  # none that is empty
    first = [content["sequences"][0]["segmentations"][0] for content in (found, truth)]
    assert first[0]["3"]["rle"] == first[1]["3"]["rle"]
    last = {"counts": run["segmentations"][4]["3"]["rle"], "size": [24, 36]}
    assert coco_mask.area(last) == 36 + 16
    for content in (truth, found):
        for video in content["sequences"]:
            del video["segmentations"]
    assert found == truth
    assert [video.name for video in read_burst(folder.predictions)] == ["HACS-run", "AVA-sit"]


def test_predictions_of_burst_are_scored_from_their_file(tmp_path, capsys):
    sequences = made(tmp_path / "data", "burst")
    folder = BenchmarkFolder(tmp_path / "out", {}, {})
    answer(folder.masks, sequences)
    folder.write_submission(sequences, "burst")
    given = ["evaluate", str(folder.predictions), "--dataset", str(tmp_path / "data")]
    assert main([*given, "--protocol", "burst", "--strict"]) == 0
    out = capsys.readouterr().out
    assert "HOTA_all 1.0000" in out and "global: J&F 1.0000" in out


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda video: video.pop("segmentations"), "is no file of BURST"),
        (lambda video: video["segmentations"][0].update({"300": {"rle": "0"}}), "300"),
        (lambda video: video.update(seq_name="../run"), r"\.\./run"),
        (lambda video: video["all_image_paths"].append("frame0009.jpg"), "no such frame"),
        (lambda video: video["annotated_image_paths"].append("frame0001.jpg"), "BURST"),
    ],
)
def test_annotations_of_burst_that_are_wrong_are_told(tmp_path, spoil, message):
    made(tmp_path, "burst")
    file = tmp_path / "annotations/val/all_classes.json"
    content = json.loads(file.read_text())
    spoil(content["sequences"][0])
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message) as error:
        benchmark_sequences(tmp_path, "burst")
    assert "\n" not in str(error.value)
    file.unlink()
    with pytest.raises(InputError, match=r"no all_classes\.json of val: looked for .* and "):
        benchmark_sequences(tmp_path, "burst")
