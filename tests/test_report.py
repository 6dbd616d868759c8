"""The report page: what is in the file. What a browser makes of it: test_report_browser.py."""

import base64
import html.parser
import io
import json
import pathlib
import re
import zlib

import av
import numpy as np
import pytest
from PIL import Image

from stm_jax.report import pictures as report_pictures
from stm_jax.report.film import film, mask_runs
from stm_jax.report.page_of_scores import CONTRAST, SURFACES, line_colours, write_report
from stm_jax.report.pictures import (
    Picture,
    as_text,
    mask_colours,
    picture_width,
    sequence_pictures,
    worst_frames,
)
from tests.report_data import HEIGHT, WIDTH, make_scores, make_sequence


class Blocks(html.parser.HTMLParser):
    """Finds the JSON in a page as a browser does, and what else could run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.json: dict[str, str] = {}
        self.scripts = 0
        self.tags: list[str] = []
        self._name: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        attributes = dict(attrs)
        self._name = None
        if tag == "script":
            assert "src" not in attributes
            self._name = attributes.get("id")
            self.scripts += attributes.get("type") != "application/json"

    def handle_data(self, data: str) -> None:
        if self._name is not None:
            self.json[self._name] = self.json.get(self._name, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._name = None


def read(path: pathlib.Path) -> tuple[dict, list[dict], Blocks]:
    blocks = Blocks(path.read_text(encoding="utf-8"))
    index = json.loads(blocks.json["index"])
    pictures = [json.loads(blocks.json[f"pictures-{i}"]) for i in range(len(index["sequences"]))]
    return index, pictures, blocks


def frames_in(stored: dict) -> list[np.ndarray]:
    """Returns the frames of a film."""
    with av.open(io.BytesIO(base64.b64decode(stored["film"]))) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def masks_in(stored: dict) -> list[np.ndarray | None]:
    """Returns the masks: of each frame truth and prediction."""
    width, height = stored["size"]
    content = list(zlib.decompress(base64.b64decode(stored["masks"])))
    masks = []
    while content:
        ids: list[int] = []
        while len(ids) < width * height:
            groups = [content.pop(0)]
            while groups[-1] > 127:
                groups.append(content.pop(0))
            length = sum((group & 127) << 7 * place for place, group in enumerate(groups))
            if not length:
                break
            ids += [content.pop(0)] * length
        masks.append(np.array(ids).reshape(height, width) if ids else None)
    return masks


def test_page_has_scores_curves_and_pictures_of_every_frame(tmp_path):
    sequences = [
        make_sequence(tmp_path, "one", "a"),
        make_sequence(tmp_path, "two", "b", objects=(2, 5)),
    ]
    scores = make_scores(sequences, ("two/00003.png: id 9 is none of the objects",))
    told = []
    details = {
        "title": "Squares & more",
        "settings": {"memory": {"every": 5}, "dtype": "float32", "short_side": None},
        "versions": {"stm_jax": "1.2"},
        "sequences": {"two": {"memorized": [0, 5], "dropped": [[5, 10]], "segment_seconds": 4.0}},
    }
    page = tmp_path / "report.html"
    write_report(page, scores, tmp_path / "predictions", sequences, details, done=told.append)
    index, pictures, blocks = read(page)
    assert told == ["one", "two"]
    assert "<title>Squares &amp; more</title>" in page.read_text()
    assert index["total"][0] == scores.global_score.j_and_f
    assert index["total"][1] == scores.global_score.j.mean
    assert index["total"][6] == scores.global_score.f.decay
    assert index["problems"] == ["two/00003.png: id 9 is none of the objects"]
    assert index["made"] == {
        "settings": [["memory.every", "5"], ["dtype", "float32"], ["short_side", "null"]],
        "versions": [["stm_jax", "1.2"]],
    }
    one, two = index["sequences"]
    assert one["rate"] is None and two["rate"] == 3.0
    assert (two["given"], two["memorized"], two["dropped"]) == ([0, 2], [0, 5], [[5, 10]])
    assert [each["id"] for each in two["objects"]] == [2, 5]
    assert two["objects"][0]["category"] == "square"
    # The first and the last frame are not scored; object 5 comes in frame 2.
    assert two["objects"][0]["j"][:4] == [None, 0.95, 0.9, 0.85]
    assert two["objects"][1]["j"][:4] == [None, None, None, 0.75]
    assert two["objects"][1]["f"][-2:] == [0.9, None]
    assert two["mean_j"][1:4] == [0.95, 0.9, 0.8]
    assert one["worst"][:2] == [10, 9]
    assert index["worst"][0] == [1, 10]  # 0.45, and at most three of a sequence:
    assert sorted(index["worst"]) == [[0, 8], [0, 9], [0, 10], [1, 8], [1, 9], [1, 10]]
    assert index["pictures"] == {"width": 480, "wanted": 24, "left_out": 0}
    assert index["masks"] == {
        "1": [[128, 0, 0], [255, 0, 0]],
        "2": [[0, 128, 0], [0, 255, 0]],
        "5": [[128, 0, 128], [255, 0, 255]],
    }
    for sequence, info, stored in zip(sequences, index["sequences"], pictures, strict=True):
        assert info["shown"] == list(range(12))
        assert stored["size"] == [WIDTH, HEIGHT] and stored["problems"] == {}
        frames, masks = frames_in(stored), masks_in(stored)
        assert len(frames) == 12 and len(masks) == 24
        for number in range(12):
            ground = frames[number][30:, 50:]
            assert ground.size and abs(ground.mean() - (60 + 10 * number)) < 4
            truth = sequence.truth(number)
            np.testing.assert_array_equal(masks[2 * number], truth)
            np.testing.assert_array_equal(masks[2 * number + 1], np.roll(truth, -1, axis=1))
    assert blocks.scripts == 1


def test_wide_frames_are_made_smaller_and_masks_fit_them(tmp_path):
    sequence = make_sequence(tmp_path, "one", "a")
    pictures = sequence_pictures(sequence, tmp_path / "predictions", [3], width=32, budget=0)
    stored = as_text(pictures)
    assert list(pictures) == [3] and stored["size"] == (32, 18)
    assert [frame.shape for frame in frames_in(stored)] == [(18, 32, 3)]
    assert [mask.shape for mask in masks_in(stored)] == [(18, 32)] * 2


def test_frames_beyond_the_budget_are_left_out_but_never_worst_nor_memorised_ones(tmp_path):
    sequences = [make_sequence(tmp_path, "one", "a", frames=40)]
    scores = make_scores(sequences)
    details = {"sequences": {"one": {"memorized": [0, 7], "dropped": [[22, 30]]}}}
    page = tmp_path / "report.html"
    write_report(page, scores, tmp_path / "predictions", sequences, details, budget=10)
    index, pictures, _ = read(page)
    (info,) = index["sequences"]
    # 12 worst ones, two frames apart since a twentieth of 39 frames is 1.
    expected = {*range(16, 39, 2), 0, 7, 22, 39}
    assert set(info["shown"]) == expected and len(frames_in(pictures[0])) == len(expected)
    assert index["pictures"]["left_out"] == 40 - len(expected)
    assert index["pictures"]["width"] == report_pictures.NARROWEST
    assert None not in info["objects"][0]["j"][1:-1]  # curves have all frames


def test_what_the_budget_allows_is_spread_over_the_video(tmp_path):
    sequence = make_sequence(tmp_path, "one", "a", frames=17)
    one = report_pictures.TYPICAL
    assert list(sequence_pictures(sequence, tmp_path, [], 480, int(4.9 * one))) == [0, 4, 8, 12]
    assert list(sequence_pictures(sequence, tmp_path, [0], 240, one)) == [0, 4, 8, 12]
    assert list(sequence_pictures(sequence, tmp_path, [], 480, 100 * one)) == list(range(17))


def test_width_goes_down_only_when_pictures_that_must_be_shown_are_too_many():
    assert picture_width(0) == picture_width(8300) == 480
    assert picture_width(4 * 8333) == 240
    assert picture_width(10**9) == 160


def test_a_frame_and_its_masks_take_no_more_than_is_reckoned_with(shared):
    """Of a video with camera motion and fine texture; without its masks."""
    folder = shared / "data/davis2016-train/JPEGImages/480p/bus"
    frames = [np.array(Image.open(f).resize((480, 270))) for f in sorted(folder.iterdir())[:24]]
    size = len(base64.b64encode(film(frames, (270, 480))))
    assert size / len(frames) < 1.5 * report_pictures.TYPICAL


def test_worst_frames_are_worst_first_and_not_neighbours():
    values = {index: 0.9 for index in range(60)} | {10: 0.0, 11: 0.1, 13: 0.2, 14: 0.3, 50: 0.25}
    assert worst_frames(values, 3) == [10, 13, 50]
    assert worst_frames(values, 1) == [10]
    assert worst_frames({}, 3) == []


def test_every_id_can_be_shown_at_once():
    ids = np.arange(256, dtype=np.uint8).repeat(9).reshape(48, 48)
    (read,) = masks_in({"size": (48, 48), "masks": base64.b64encode(mask_runs([ids]))})
    np.testing.assert_array_equal(read, ids)
    picture = Picture(np.zeros((48, 48, 3), np.uint8), ids, None, None)
    colours = mask_colours([picture])
    assert list(colours) == list(range(1, 256)) and colours[255] == ([255] * 3, [255] * 3)


def test_long_runs_and_missing_masks():
    ids = np.zeros((300, 400), np.uint8)
    ids[299, 399] = 7
    stored = {"size": (400, 300), "masks": base64.b64encode(mask_runs([None, ids, None]))}
    first, read, last = masks_in(stored)
    assert first is last is None
    np.testing.assert_array_equal(read, ids)


def test_missing_and_damaged_predictions_are_named_on_the_page(tmp_path):
    sequence = make_sequence(tmp_path, "one", "a")
    folder = tmp_path / "predictions" / "one"
    (folder / "00003.png").unlink()
    (folder / "00004.png").write_bytes((folder / "00004.png").read_bytes()[:60])
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "00005.png")
    page = tmp_path / "report.html"
    write_report(page, make_scores([sequence]), tmp_path / "predictions", [sequence], {})
    _, (stored,), _ = read(page)
    predicted = masks_in(stored)[1::2]
    assert [index for index, mask in enumerate(predicted) if mask is None] == [3, 4, 5]
    for name, what in (("3", "is missing"), ("4", "damaged"), ("5", "colours, not ids")):
        assert what in stored["problems"][name]


def test_no_name_can_end_its_block_or_become_markup(tmp_path):
    name = "</script><img src=x onerror=alert(1)><!--"
    called = name.replace("/", "")  # else it is no folder's name
    sequence = make_sequence(tmp_path, called, "a")
    page = tmp_path / "report.html"
    details = {"title": name, "settings": {name: name}, "sequences": {}}
    scores = make_scores([sequence], (name,))
    write_report(page, scores, tmp_path / "predictions", [sequence], details)
    index, _, blocks = read(page)
    assert index["sequences"][0]["name"] == called and index["problems"][0] == name
    assert "img" not in blocks.tags and blocks.scripts == 1
    assert name not in page.read_text() and called not in page.read_text()


def test_lines_are_readable_on_both_surfaces_and_differ():
    style = pathlib.Path(report_pictures.__file__).parent / "page" / "report.css"
    light, dark = re.findall(r"#[0-9a-f]{6}", style.read_text().split("--surface:")[1])[:2]
    assert {"light": _rgb(light), "dark": _rgb(dark)} == SURFACES
    for scheme, surface in SURFACES.items():
        colours = {i: each[scheme] for i, each in line_colours(set(range(1, 256))).items()}
        for colour in colours.values():
            assert _contrast(_rgb(colour), surface) >= CONTRAST
        assert len({colours[object_id] for object_id in range(1, 8)}) == 7
        red, green, blue = _rgb(colours[4])
        assert blue > red and blue > green  # object 4 is blue in DAVIS, and stays so


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


def _contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    def luminance(colour: tuple[int, ...]) -> float:
        linear = [
            (c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4) for c in colour
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_a_page_without_scores_of_some_sequence(tmp_path):
    known, secret = (make_sequence(tmp_path, name, name) for name in ("known", "secret"))
    page = tmp_path / "report.html"
    write_report(page, make_scores([known]), tmp_path / "predictions", [known, secret], {})
    index, _, _ = read(page)
    assert index["sequences"][1]["scores"] is None
    assert index["sequences"][1]["objects"][0]["scores"] is None
    assert index["sequences"][1]["worst"] == []


def test_page_is_whole_or_not_there(tmp_path):
    sequence = make_sequence(tmp_path, "one", "a")
    page = tmp_path / "report.html"
    page.write_text("before")
    sequence.frames[4].write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"00004\.png"):
        write_report(page, make_scores([sequence]), tmp_path / "predictions", [sequence], {})
    assert page.read_text() == "before"
