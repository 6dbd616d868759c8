"""Results as predictions: in the layout of DAVIS, and as COCO video."""

import json

import numpy as np
import pytest

from stm_jax.cli import main
from stm_jax.results.coco import write_coco
from stm_jax.results.finished import SegmentedFrame
from tests.scored_trees import moving, write_davis, write_masks

TRUTH = moving(8, (1, 4))
FOUND = np.roll(TRUTH, 1, axis=2) * (np.arange(8) != 5)[:, None, None]


def test_three_kinds_of_predictions_have_the_same_scores(tmp_path):
    write_davis(tmp_path / "data", {"walk": TRUTH})
    write_masks(tmp_path / "masks/walk", FOUND)
    write_davis(tmp_path / "davis", {"walk": FOUND})
    black = np.zeros((*FOUND[0].shape, 3), np.uint8)
    frames = [SegmentedFrame(f"{i:05d}", None, black, ids, None) for i, ids in enumerate(FOUND)]
    write_coco(tmp_path / "coco.json", frames, "walk")
    scores = []
    for kind in ("masks", "davis", "coco.json"):
        out = tmp_path / f"scores of {kind}"
        given = ["evaluate", str(tmp_path / kind), "--dataset", str(tmp_path / "data")]
        assert main([*given, "--protocol", "davis2017", "--json", str(out)]) == 0
        scores.append(json.loads(out.read_text()))
    assert 0.3 < scores[0]["global"]["J&F"] < 0.9 and scores[0]["problems"] == []
    assert scores[0] == scores[1] == scores[2]


def test_objects_of_several_videos_are_counted_in_each(tmp_path):
    write_davis(tmp_path / "data", {"one": TRUTH, "two": moving(8, (1, 2))})
    black = np.zeros((*TRUTH[0].shape, 3), np.uint8)
    merged = {"videos": [], "annotations": []}
    for number, masks in ((1, TRUTH), (2, moving(8, (1, 2)))):
        name = ("one", "two")[number - 1]
        frames = [SegmentedFrame(f"{i:05d}", None, black, ids, None) for i, ids in enumerate(masks)]
        write_coco(tmp_path / f"{name}.json", frames, name)
        content = json.loads((tmp_path / f"{name}.json").read_text())
        merged["videos"] += [each | {"id": number} for each in content["videos"]]
        for each in content["annotations"]:
            merged["annotations"].append(
                each | {"id": 300 * number + each["id"], "video_id": number}
            )
    (tmp_path / "all.json").write_text(json.dumps(merged))
    given = ["evaluate", str(tmp_path / "all.json"), "--dataset", str(tmp_path / "data")]
    out = tmp_path / "scores.json"
    assert main([*given, "--protocol", "davis2017", "--json", str(out)]) == 0
    scores = json.loads(out.read_text())
    # Object 4 of "one" is its second, and so 2 here.
    assert [scores[key]["J_mean"] for key in ("two_1", "two_2", "one_1", "one_4")] == [1, 1, 1, 0]
    assert any("of 2, none of the objects (1, 4)" in line for line in scores["problems"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "no file of COCO video"),
        ('{"videos": [{"id": 1}], "annotations": []}', "file_names"),
        ("{", "is not JSON"),
    ],
)
def test_other_json_is_refused_in_a_line(tmp_path, capsys, content, said):
    write_davis(tmp_path / "data", {"walk": TRUTH})
    (tmp_path / "coco.json").write_text(content)
    given = ["evaluate", str(tmp_path / "coco.json"), "--dataset", str(tmp_path / "data")]
    assert main([*given, "--protocol", "davis2017"]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
