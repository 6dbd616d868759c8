"""JSON from outside: what is no data of its kind is one short line."""

import dataclasses
import json

import pytest

from stm_jax.data.coco import read_annotations
from stm_jax.data.layouts import read_meta
from stm_jax.errors import InputError
from stm_jax.eval.scores import read_scores
from stm_jax.json_files import from_json, load_json

BROKEN = {
    "a long integer": ('{"a": 1' + "0" * 400 + "}", "too large"),
    "more digits than Python reads": ('{"a": 1' + "0" * 9000 + "}", "too large"),
    "a large number": ('{"a": 1e400}', "too large"),
    "NaN": ('{"a": NaN}', "NaN, which is no number"),
    "infinity": ('{"a": [-Infinity]}', "Infinity"),
    "a key twice": ('{"a": 1, "b": {"c": 1, "c": 2}}', "it has c twice"),
    "too deep": ("[" * 70 + "1" + "]" * 70, "deeper than 64"),
    "too deep for Python": ("[" * 10**5, "nested too deep"),
    "cut off": ('{"a": ', "Expecting value"),
    "nothing": ("", "Expecting value"),
}


@pytest.mark.parametrize(("content", "told"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_json_is_one_short_line(tmp_path, content, told):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError, match=rf"a\.json is not JSON that can be used.*{told}") as error:
        load_json(tmp_path / "a.json")
    assert len(str(error.value)) < 400 and "\n" not in str(error.value)


def test_a_byte_order_mark_is_no_mistake_and_latin_1_is_one(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": [1, 2.5, null, "b"]}')
    assert load_json(tmp_path / "a.json") == {"a": [1, 2.5, None, "b"]}
    (tmp_path / "a.json").write_bytes('{"a": "b\u00e9"}'.encode("latin-1"))
    with pytest.raises(InputError, match="byte 8 is no UTF-8"):
        load_json(tmp_path / "a.json")


@dataclasses.dataclass(frozen=True)
class Inner:
    values: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Outer:
    inner: dict[str, Inner]
    note: str | None = None


def test_a_dataclass_is_made_of_json():
    made = from_json(Outer, {"inner": {"a": {"values": [1, 0.5]}}})
    assert made == Outer({"a": Inner((1, 0.5))})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([], r"it is \[\]: give an object"),
        ({}, "inner is missing"),
        ({"inner": {}, "other": 1}, "other is not known"),
        ({"inner": []}, r"inner is \(\): give an object"),
        ({"inner": {"a": 3}}, r"inner\.a is 3: give an object"),
        ({"inner": {"a": {"values": [1, "x"]}}}, r"inner\.a\.values\.1 is 'x': give a number"),
        ({"inner": {"a": {"values": [True]}}}, "is True: give a number"),
        ({"inner": {}, "note": 3}, "note is 3: give a text or None"),
    ],
)
def test_what_does_not_fit_is_named(content, told):
    content = json.loads(json.dumps(content))
    with pytest.raises(InputError, match=told):
        from_json(Outer, content)


def scores(j: object, name: str = "cat_1") -> dict:
    frames = {name: {"names": ["1"], "J": [j], "F": [0.5]}}
    return {"frames": frames, "protocol": "folder", "problems": []}


@pytest.mark.parametrize("content", [scores(1.5), scores(-0.1), scores("1"), scores(1, "cat_x")])
def test_scores_that_are_none_are_named(tmp_path, content):
    (tmp_path / "s.json").write_text(json.dumps(scores(1.0)))
    assert read_scores(tmp_path / "s.json").global_score.j_and_f == 0.75
    (tmp_path / "s.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"s\.json is not a scores file of stm-jax \(.*cat_") as e:
        read_scores(tmp_path / "s.json")
    assert len(str(e.value)) < 300


@pytest.mark.parametrize("object_id", ["0", "255", "x", "1" + "0" * 400, "-1"])
def test_an_id_that_no_mask_holds_is_named(tmp_path, object_id):
    content = {"videos": {"zoo": {"objects": {object_id: {"frames": ["1"]}}}}}
    (tmp_path / "meta.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"meta\.json is no list.*none of 1 to 254"):
        read_meta(tmp_path / "meta.json")


def test_annotations_with_numbers_that_are_none(tmp_path):
    (tmp_path / "a.json").write_text('{"images": [{"id": 1, "height": 1e999}], "annotations": []}')
    with pytest.raises(InputError, match=r"a\.json is no COCO file.*too large"):
        read_annotations(tmp_path / "a.json")


@pytest.mark.parametrize("far", ["1e300", "1e39", "1e6"])
def test_a_polygon_far_off_its_image_is_told(tmp_path, far):
    path = tmp_path / "instances.json"
    path.write_text(
        '{"images": [{"id": 1, "file_name": "a.jpg", "height": 9, "width": 9}], "annotations":'
        f' [{{"image_id": 1, "segmentation": [[1, 1, {far}, 1, 5, 5]]}}]}}'
    )
    with pytest.raises(InputError, match="a polygon is far off its image"):
        read_annotations(path)
    path.write_text(path.read_text().replace(far, "4").replace('"height": 9', '"height": -9'))
    with pytest.raises(InputError, match="an image of 9x-9"):
        read_annotations(path)
