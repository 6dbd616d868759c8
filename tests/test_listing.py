"""Lists as editors write them, and folders with what systems leave behind in them."""

import os
import pathlib

import pytest

from stm_jax.data.benchmarks import benchmark_sequences
from stm_jax.data.config import DataConfig
from stm_jax.data.layouts import listed
from stm_jax.data.listing import entries, read_list
from stm_jax.data.pipeline import training_clips
from stm_jax.data.sources import Photographs
from stm_jax.data.video_files import open_frames
from stm_jax.errors import InputError
from stm_jax.eval.scoring import score_predictions
from stm_jax.json_files import load_json
from tests.benchmark_trees import davis2017
from tests.test_clips import write_pair

READ = {
    "byte order mark": "\ufeffalpha\nbeta two\n".encode(),
    "UTF-16": "alpha\nbeta two\n".encode("utf-16"),
    "big-endian UTF-16": "\ufeffalpha\r\nbeta two\r\n".encode("utf-16-be"),
    "lines of other systems": b"alpha\r\nbeta two\r",
    "comments, blank lines and spaces": b"# ours\n\n  alpha \n \nbeta two\t\n",
}
REFUSED = {
    "Latin-1": "alpha\nb\u00e9ta\n".encode("latin-1"),
    "UTF-16 without a mark": "alpha\n".encode("utf-16-le"),
}
LEFT = (".ipynb_checkpoints", "@eaDir", "__MACOSX", "._00000.png", "Thumbs.db", ".DS_Store")


@pytest.mark.parametrize("content", READ.values(), ids=READ)
def test_a_list_is_read_in_whatever_encoding_says_which_it_is(tmp_path, content):
    (tmp_path / "val.txt").write_bytes(content)
    assert read_list(tmp_path / "val.txt") == ("alpha", "beta two")


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
def test_a_list_in_an_unknown_encoding_is_named(tmp_path, content):
    (tmp_path / "val.txt").write_bytes(content)
    with pytest.raises(InputError, match=r"val\.txt .*: save it as UTF-8"):
        read_list(tmp_path / "val.txt")


def test_the_list_of_a_data_set_may_have_names_with_spaces(tmp_path):
    davis2017(tmp_path, {"a cat": (3, 32, 32, (1,)), "ant": (3, 32, 32, (1,))})
    (tmp_path / "ImageSets/2017/val.txt").write_bytes(b"\xef\xbb\xbf# one\r\na cat\r\n")
    assert [each.name for each in benchmark_sequences(tmp_path, "davis2017")] == ["a cat"]


def litter(folder: pathlib.Path) -> None:
    """Leaves in a folder what systems do: a copy of all that is there, and files of their own."""
    for name in LEFT:
        if "." in name.strip("."):
            (folder / name).write_bytes(b"\0\5")
        else:
            (folder / name).mkdir()
            (folder / name / "00000.png").write_bytes(b"\0\5")


def test_what_systems_leave_behind_is_passed_over(tmp_path):
    davis2017(tmp_path, {"cat": (3, 32, 32, (1,))})
    frames, masks = tmp_path / "JPEGImages/480p", tmp_path / "Annotations/480p"
    for folder in (frames, masks, frames / "cat", masks / "cat"):
        litter(folder)
    assert entries(frames) == (frames / "cat",)
    sequences = benchmark_sequences(tmp_path, "folder", split="none")
    assert [each.name for each in sequences] == ["cat"]
    assert open_frames(frames / "cat").count == len(sequences[0].frames) == 3
    scores = score_predictions(masks, sequences, "folder", strict=True, workers=1)
    assert scores.global_score.j_and_f == 1.0


def test_a_folder_of_photographs_with_what_systems_leave_behind(tmp_path):
    for name in ("a", "b"):
        write_pair(tmp_path / f"images/{name}.jpg", tmp_path / f"masks/{name}.png", left=30)
    for folder in (tmp_path / "images", tmp_path / "masks"):
        litter(folder)
    assert len(Photographs(tmp_path).photographs()) == 2


def test_a_batch_may_be_a_single_clip(tmp_path):
    write_pair(tmp_path / "images/a.jpg", tmp_path / "masks/a.png", left=30)
    config = DataConfig((Photographs(tmp_path),), size=32, batch_size=1)
    assert next(training_clips(config, seed=0, steps=2))["frames"].shape == (1, 3, 32, 32, 3)


def test_a_pipe_that_is_called_a_list_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "val.txt")
    with pytest.raises(InputError, match="a device or a pipe"):
        read_list(tmp_path / "val.txt")
    with pytest.raises(InputError, match="a device or a pipe"):
        load_json(tmp_path / "val.txt")


def test_a_list_of_paths_may_have_names_with_spaces(tmp_path):
    (tmp_path / "ImageSets/480p").mkdir(parents=True)
    line = "/JPEGImages/480p/my dog/00000.jpg /Annotations/480p/my dog/00000.png"
    (tmp_path / "ImageSets/480p/val.txt").write_text(line)
    assert listed(tmp_path, "val", ("480p",))[0] == ("my dog",)
