"""docs/your_own_data.md: each tree that it shows is built, and read as what it is said to be."""

import json
import pathlib
import re

import numpy as np
import pytest
from PIL import Image

from stm_jax.data.benchmarks import benchmark_sequences
from stm_jax.data.coco import compressed, runs_of
from stm_jax.data.masks import write_mask
from stm_jax.data.sources import Coco, Davis, Photographs, Videos, YoutubeVos
from stm_jax.errors import InputError

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "your_own_data.md"
TREE = re.compile(r"^<!-- tree: (.*?) -->\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TREES = TREE.findall(PAGE.read_text(encoding="utf-8"))
FRAME = np.full((32, 48, 3), 90, np.uint8)
MASK = np.zeros((32, 48), np.uint8)
MASK[8:20, 10:30] = 1
SQUARE = [10, 8, 30, 8, 30, 20, 10, 20]


def built(tree: str, folder: pathlib.Path) -> pathlib.Path:
    """Writes the files of an indented tree, and returns its root."""
    above: list[str] = []
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 4
        above[depth:] = [line.strip()]
        path = folder.joinpath(*above)
        if line.endswith("/"):
            path.mkdir()
        elif path.suffix == ".txt":
            path.write_text("bear\n")
        elif path.suffix == ".png" and "JPEGImages/" not in above:
            write_mask(path, MASK)
        elif path.suffix in (".jpg", ".png"):
            Image.fromarray(FRAME).save(path)
    return folder / above[0]


def with_outlines(root: pathlib.Path) -> pathlib.Path:
    """Writes COCO's file for the pictures beside it."""
    files = [path.name for path in sorted((root / "images").iterdir())]
    images = [
        {"id": i, "file_name": name, "height": 32, "width": 48} for i, name in enumerate(files)
    ]
    objects = [{"image_id": i, "segmentation": [SQUARE], "iscrowd": 0} for i in range(len(files))]
    (root / "instances.json").write_text(json.dumps({"images": images, "annotations": objects}))
    return root


def with_lists(root: pathlib.Path, protocol: str) -> None:
    """Writes what LVOS and BURST have in files of their own: one object, in every frame."""
    if protocol == "lvos":
        span = {"frame_range": {"start": "00000001", "end": "00000006", "frame_nums": 2}}
        videos = {"calm": {"objects": {"1": span}}}
        (root / "valid/valid_meta.json").write_text(json.dumps({"videos": videos}))
    if protocol == "burst":
        names = ["frame0001.jpg", "frame0002.jpg"]
        shown = {"1": {"rle": compressed(runs_of(MASK)), "is_gt": True}}
        video = {
            **{"id": 1, "dataset": "AVA", "seq_name": "sit", "width": 48, "height": 32, "fps": 30},
            **{"neg_category_ids": [], "not_exhaustive_category_ids": []},
            **{"all_image_paths": names, "annotated_image_paths": names},
            **{"track_category_ids": {"1": 4}, "segmentations": [shown, shown]},
        }
        content = {"categories": [{"id": 4, "name": "cat"}], "split": "val", "sequences": [video]}
        (root / "annotations/val/all_classes.json").write_text(json.dumps(content))


def pictures_in(tree: str, folders: tuple[str, ...]) -> list[str]:
    """Returns the names, without suffix, of the files that a tree has below one of the folders."""
    found, above = [], []
    for line in tree.splitlines():
        above[(len(line) - len(line.lstrip())) // 4 :] = [line.strip().rstrip("/")]
        if set(above) & set(folders) and not line.endswith("/"):
            found.append(above[-1].partition(".")[0])
    return found


def test_every_kind_of_source_and_protocol_has_its_tree():
    named = {name for names, _ in TREES for name in names.split(", ")}
    assert named >= {"Videos", "folder", "YoutubeVos", "youtube-vos", "Davis", "davis2017"}
    assert named >= {"Photographs", "Coco", "mose", "lvos", "vost", "burst", "long-video"}


@pytest.mark.parametrize("names, tree", TREES, ids=[f"{n}-{i}" for i, (n, _) in enumerate(TREES)])
def test_a_tree_is_read_as_the_page_says(names, tree, tmp_path):
    root = built(tree, tmp_path)
    for name in names.split(", "):
        if name in ("Photographs", "Coco"):
            if name == "Coco":
                with_outlines(root)
                source = Coco(root / "instances.json", root / "images")
            else:
                source = Photographs(root)
            samples = source.photographs()
            assert sorted(sample.image.name for sample in samples) == ["chair.jpg", "lamp.jpg"]
            for sample in samples:
                rgb, ids = sample.read_with_object()
                assert rgb.shape == FRAME.shape
                np.testing.assert_array_equal(ids, MASK)
        elif name in ("Videos", "YoutubeVos", "Davis"):
            source = {"Videos": Videos, "YoutubeVos": YoutubeVos, "Davis": Davis}[name](root)
            videos = source.videos()
            annotated = [pathlib.Path(str(s.image)).stem for v in videos for s in v.samples]
            assert annotated == pictures_in(tree, ("Annotations",))
            np.testing.assert_array_equal(videos[0].samples[0].read_with_object()[1], MASK)
        else:
            with_lists(root, name)
            sequences = benchmark_sequences(root, name, "val")
            frames = [path.stem for sequence in sequences for path in sequence.frames]
            assert frames == pictures_in(tree, ("JPEGImages", "JPEGImages_10fps", "frames"))
            assert all(sequence.given == {0: (1,)} for sequence in sequences)


def test_a_picture_in_a_format_that_may_start_programs_is_not_opened(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    write_mask(tmp_path / "masks" / "a.png", MASK)
    Image.fromarray(FRAME).save(tmp_path / "images" / "a.jpg", format="EPS")
    (sample,) = Photographs(tmp_path).photographs()
    with pytest.raises(InputError, match=r"a\.jpg is not a picture"):
        sample.read()
