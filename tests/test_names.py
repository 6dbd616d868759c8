"""Names from outside never lead out of their folder: lists, meta.json, COCO files, archives."""

import json
import pathlib
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from stm_jax import weights
from stm_jax.cli import main
from stm_jax.data.benchmarks import BenchmarkSequence, benchmark_sequences
from stm_jax.data.names import checked_name, file_below, written_below
from stm_jax.data.sources import Coco
from stm_jax.errors import InputError
from tests.benchmark_trees import davis2017, youtube_vos
from tests.lively import lively_model

BAD = ["", " ", ".", "..", "a/b", "../a", "/abs", "a\\b", "\\\\host\\a", "C:", "c:a", "a\0b"]
BAD += ["a\nb", "x" * 256, None, 7]
GOOD = ["cat", "breakdance-flare", "a b", "été", "0a7b27fde9", "...a", "a..b"]


@pytest.mark.parametrize("name", BAD)
def test_a_name_that_is_no_single_component_is_refused(name):
    with pytest.raises(InputError) as error:
        checked_name(name, "list.txt")
    assert "\n" not in str(error.value) and "list.txt" in str(error.value)
    assert len(str(error.value)) < 200
    with pytest.raises(InputError):
        BenchmarkSequence(name, (), (), {}, ())


@pytest.mark.parametrize("name", GOOD)
def test_a_good_name_is_taken(name, tmp_path):
    assert checked_name(name, "list.txt") == name
    assert written_below(tmp_path, name) == tmp_path / name


def test_what_is_written_follows_no_link_out(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cat").symlink_to(tmp_path)
    with pytest.raises(InputError, match="leads out"):
        written_below(tmp_path / "out", "cat")


def test_coco_names_may_have_folders_but_not_leave(tmp_path):
    assert file_below(tmp_path, "train2017/0.jpg", "x") == tmp_path / "train2017" / "0.jpg"
    for name in ("../0.jpg", "/0.jpg", "a/../../0.jpg", "a//0.jpg", "a\\0.jpg", None):
        with pytest.raises(InputError):
            file_below(tmp_path, name, "x")


def test_coco_file_that_names_another_folder(tmp_path):
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "secret.png")
    image = {"id": 1, "file_name": "../secret.png", "height": 8, "width": 8}
    outline = {"image_id": 1, "segmentation": [[1, 1, 6, 1, 6, 6]]}
    file = tmp_path / "instances.json"
    file.write_text(json.dumps({"images": [image], "annotations": [outline]}))
    with pytest.raises(InputError, match=r"instances\.json: the name"):
        Coco(images=tmp_path / "images", annotations=file).photographs()


@pytest.mark.parametrize("name", [".", "..", "a/../../c", "cat\\..", "C:cat"])
def test_a_list_that_names_another_folder(name, tmp_path):
    davis2017(tmp_path / "davis", {"cat": (3, 32, 48, (1,))})
    (tmp_path / "davis/ImageSets/2017/val.txt").write_text(f"cat\n{name}\n")
    with pytest.raises(InputError, match=r"val\.txt"):
        benchmark_sequences(tmp_path / "davis", "davis2017", "val", ["cat"])


@pytest.mark.parametrize("name", ["..", "../../keep", "ABSOLUTE", ""])
def test_a_meta_file_that_names_another_folder_harms_nothing(name, tmp_path, capsys):
    data, keep = tmp_path / "youtube", tmp_path / "keep"
    youtube_vos(data)
    name = str(keep) if name == "ABSOLUTE" else name
    shutil.copytree(data / "valid" / "JPEGImages" / "early", keep)
    thing = {"1": {"category": "a", "frames": ["00000"]}}
    (data / "valid" / "meta.json").write_text(json.dumps({"videos": {name: {"objects": thing}}}))
    weights.save(lively_model(), tmp_path / "tiny.safetensors")
    before = sorted(keep.iterdir())
    words = [str(data), "--protocol", "youtube-vos", "--out", str(tmp_path / "x" / "out")]
    given = ["benchmark-dataset", *words, "--weights", str(tmp_path / "tiny.safetensors")]
    assert main(given) == 2
    assert "meta.json" in capsys.readouterr().err
    assert sorted(keep.iterdir()) == before and not (tmp_path / "x").exists()


def test_members_of_the_archive_are_clean(tmp_path):
    from stm_jax.benchmark.folder import BenchmarkFolder

    frames = (pathlib.Path("00000.jpg"),)
    sequence = BenchmarkSequence("cat", frames, (None,), {0: (1,)}, (0,))
    folder = BenchmarkFolder(tmp_path / "out", {}, {})
    folder.begin(overwrite=False)
    folder.clear_sequence(sequence)
    folder.write_mask(sequence, 0, np.zeros((8, 8), np.uint8))
    folder.write_submission([sequence], "youtube-vos")
    with zipfile.ZipFile(folder.submission) as archive:
        assert archive.namelist() == ["Annotations/cat/00000.png"]
    folder.submission.unlink()
    object.__setattr__(sequence, "frames", (pathlib.Path("a\\b.jpg"),))
    with pytest.raises(InputError):
        folder.write_submission([sequence], "youtube-vos")
