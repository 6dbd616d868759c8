"""`stm-jax attention` with a tiny network: what it draws, and what it refuses."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from stm_jax import weights
from stm_jax.cli import main
from stm_jax.data.masks import write_mask
from stm_jax.report.heat import Sheet
from tests.lively import IDS, clip, first_mask, lively_model

FRAMES = clip(7)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "frames").mkdir()
    for index, frame in enumerate(FRAMES):
        Image.fromarray(frame).save(folder / "frames" / f"{index}.png")
    write_mask(folder / "mask.png", first_mask())
    weights.save(lively_model(), folder / "tiny.safetensors")
    return folder


def run(inputs: pathlib.Path, out: pathlib.Path, *more: str) -> int:
    given = [str(inputs / "frames"), "--mask", str(inputs / "mask.png"), "--out", str(out)]
    options = ["--frame", "5", "--pixel", "13", "27", "--memorize-every", "2"]
    weights = ["--weights", str(inputs / "tiny.safetensors")]
    return main(["attention", *given, *weights, *options, *more])


def test_it_draws_the_frames_in_memory(inputs, tmp_path, monkeypatch, capsys):
    drawn: list[Sheet] = []
    draw = Sheet.draw
    monkeypatch.setattr(Sheet, "draw", lambda sheet: drawn.append(sheet) or draw(sheet))
    out = tmp_path / "where.png"
    assert run(inputs, out, "--object", "9") == 0
    with Image.open(out) as picture:
        assert picture.format == "PNG" and picture.width > 800
    assert capsys.readouterr().out == f"object 9, 3 frames in memory: {out}\n"
    (sheet,) = drawn
    assert sheet.object_id == 9 and IDS[sheet.index] == 9
    assert (sheet.frame_number, sheet.pixel, sheet.attention.position) == (5, (13, 27), (1, 2))
    numbers = [n for n in sheet.attention.frame_numbers.tolist() if n >= 0]
    assert sorted(numbers) == [0, 2, 4]
    assert sorted(sheet.pictures) == sorted(sheet.ids) == [0, 2, 4, 5]
    for number, picture in sheet.pictures.items():
        np.testing.assert_array_equal(picture, FRAMES[number])
    assert [path.name for path in tmp_path.iterdir()] == ["where.png"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--frame", "0"], "--frame is 0: give 1 or more"),
        (["--pixel", "40", "3"], "no pixel at row 40, column 3: the frames have rows 0 to 39"),
        (["--object", "2"], "has no object 2: give --object 1 or 4 or 9"),
        (["--memorize-every", "0"], "--memorize-every is 0"),
        (["--size", "8"], "--size is 8"),
        (["--out", "where.jpg"], "--out is where.jpg: give the name of a .png file"),
        (["--out", "nowhere/where.png"], "there is no folder nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_options_are_told_in_one_line(inputs, tmp_path, capsys, options, message):
    out = tmp_path / "where.png"
    assert run(inputs, out, *options) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not out.exists()


def test_a_rule_and_a_read_of_ones_own_choice(inputs, tmp_path, monkeypatch, capsys):
    drawn: list[Sheet] = []
    monkeypatch.setattr(Sheet, "draw", lambda sheet: drawn.append(sheet) or Image.new("L", (1, 1)))
    rule = ["--memorize-every", "5", "--memory", "recent", "n=3", "--read", "top-k", "k=2"]
    assert run(inputs, tmp_path / "where.png", *rule) == 0
    (sheet,) = drawn
    assert sorted(sheet.pictures) == [0, 2, 3, 4, 5]  # the first, the last three, and itself
    assert sheet.object_id == sheet.ids[5][13, 27] or sheet.ids[5][13, 27] == 0
    assert (sheet.attention.weights > 0).sum(axis=(1, 2, 3)).max() == 2

    store = ["--memorize-every", "5", "--memory", "xmem"]
    assert run(inputs, tmp_path / "where.png", *store) == 2
    assert "elements of XMem belong to no frame" in capsys.readouterr().err


def test_inputs_are_never_written_over(inputs, capsys):
    for out in (inputs / "mask.png", inputs / "frames" / "new.png"):
        before = out.read_bytes() if out.exists() else None
        assert run(inputs, out) == 2
        assert "lies in what is read" in capsys.readouterr().err
        assert (out.read_bytes() if out.exists() else None) == before


def test_a_frame_behind_the_end(inputs, tmp_path, capsys):
    # 7 frames in the folder: known beforehand, so nothing is segmented in vain.
    assert run(inputs, tmp_path / "where.png", "--frame", "7") == 2
    assert "there is no frame 7: the last is frame 6" in capsys.readouterr().err
