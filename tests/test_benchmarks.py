"""The layouts of benchmark data sets, and what stands in true masks."""

import json
import pathlib
import re

import numpy as np
import pytest
from PIL import Image

from stm_jax.data.benchmarks import benchmark_sequences
from stm_jax.data.image_files import read_rgb, size_of
from stm_jax.data.truth_masks import read_truth
from stm_jax.errors import InputError
from tests.benchmark_trees import (
    OTHER_PALETTE,
    boxes,
    davis2017,
    write_frames,
    write_palette,
    youtube_vos,
)


@pytest.fixture
def davis(tmp_path) -> pathlib.Path:
    """Three sequences, of which the list of val names two."""
    davis2017(tmp_path, {"cat": (4, 32, 48, (1, 2)), "ant": (3, 32, 32, (1,))})
    names = [f"{t:05d}.png" for t in range(2)]
    write_frames(tmp_path / "JPEGImages" / "480p" / "other", names, 32, 32)
    return tmp_path


def test_davis2017_takes_the_names_of_the_list(davis):
    cat, ant = benchmark_sequences(davis, "davis2017")
    assert (cat.name, ant.name) == ("cat", "ant")  # in the list's order
    assert cat.frames == tuple(davis / f"JPEGImages/480p/cat/0000{t}.png" for t in range(4))
    assert cat.truths == tuple(davis / f"Annotations/480p/cat/0000{t}.png" for t in range(4))
    assert cat.given == {0: (1, 2)} and cat.object_ids == (1, 2) and cat.wanted == (0, 1, 2, 3)
    np.testing.assert_array_equal(cat.truth(3), boxes(32, 48, (1, 2), 3))
    np.testing.assert_array_equal(cat.given_mask(0), boxes(32, 48, (1, 2)))
    assert [s.name for s in benchmark_sequences(davis, "davis2017", names=["ant"])] == ["ant"]


def test_test_dev_has_first_masks_only(davis):
    (davis / "ImageSets/2017/val.txt").rename(davis / "ImageSets/2017/test-dev.txt")
    for path in (davis / "Annotations/480p/cat").iterdir():
        if path.stem != "00000":
            path.unlink()
    cat, _ = benchmark_sequences(davis, "davis2017", "test-dev")
    assert cat.truths[0] is not None and cat.truths[1:] == (None,) * 3
    with pytest.raises(InputError, match=r"00001\.png has no true mask"):
        cat.truth(1)


@pytest.mark.parametrize("pairs", [True, False], ids=["pairs of paths", "names"])
def test_davis2016_merges_all_objects(davis, pairs):
    line = "/JPEGImages/480p/cat/0000{0}.png /Annotations/480p/cat/0000{0}.png"
    lines = [line.format(t) for t in range(4)] if pairs else ["cat"]
    folder = davis / "ImageSets" / ("480p" if pairs else "2016")
    folder.mkdir()
    (folder / "train.txt").write_text("\n".join(lines))
    mask = boxes(32, 48, (1, 2))
    mask[0] = 255
    write_palette(davis / "Annotations/480p/cat/00000.png", mask)
    (cat,) = benchmark_sequences(davis, "davis2016", "train")
    assert cat.given == {0: (1,)} and cat.object_ids == (1,) and len(cat.frames) == 4
    expected = (mask > 0).astype(np.uint8)
    expected[0] = 255
    np.testing.assert_array_equal(cat.truth(0), expected)
    np.testing.assert_array_equal(cat.given_mask(0), expected % 255)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "I;16"])
def test_255_is_the_object_where_all_masks_are_black_and_white(davis, mode):
    mask = boxes(32, 48, (1,))
    for path in davis.glob("Annotations/480p/*/*.png"):
        white = np.uint16(65535) if mode == "I;16" else np.uint8(255)
        if mode == "P":
            write_palette(path, mask * white)
        else:
            Image.fromarray(mask * white).convert(mode).save(path)
    (davis / "ImageSets/2016").mkdir(exist_ok=True)
    (davis / "ImageSets/2016/val.txt").write_text("cat\n")
    for protocol in ("davis2016", "folder"):
        cat, *_ = benchmark_sequences(davis, protocol)
        assert cat.given == {0: (1,)}
        np.testing.assert_array_equal(cat.truth(0), mask)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB"])
def test_255_alone_is_void_where_masks_show_several_objects(davis, mode):
    mask = boxes(32, 48, (1,)) * 255
    path = davis / "Annotations/480p/cat/00001.png"
    Image.fromarray(mask).convert(mode).save(path)
    for protocol in ("davis2017", "folder"):
        cat, _ = benchmark_sequences(davis, protocol)
        np.testing.assert_array_equal(cat.truth(1), mask)


def test_full_resolution_is_taken_where_there_is_no_480p(davis):
    for kind in ("JPEGImages", "Annotations"):
        (davis / kind / "480p").rename(davis / kind / "Full-Resolution")
    cat, _ = benchmark_sequences(davis, "davis2017")
    assert cat.frames[0] == davis / "JPEGImages/Full-Resolution/cat/00000.png"


def test_youtube_vos_gives_late_objects_where_meta_says_so(tmp_path):
    youtube_vos(tmp_path)
    early, late = benchmark_sequences(tmp_path, "youtube-vos")
    assert [p.stem for p in late.frames] == ["00005", "00010", "00015", "00020", "00025", "00030"]
    assert late.given == {1: (1,), 3: (3,)} and early.given == {0: (1, 2)}
    assert [late.frames[i].stem for i in late.wanted] == ["00010", "00015", "00020", "00030"]
    assert late.categories == {1: "ape", 3: "train"}
    assert set(np.unique(late.given_mask(3))) == {0, 3}
    assert [t is None for t in late.truths] == [True, False, True, False, True, True]


def test_youtube_vos_all_frames_takes_masks_and_wanted_frames_from_valid(tmp_path):
    youtube_vos(tmp_path)
    early, late = benchmark_sequences(tmp_path, "youtube-vos", "valid_all_frames")
    assert len(early.frames) == 16 and len(late.frames) == 27
    assert late.frames[0].parent == tmp_path / "valid_all_frames/JPEGImages/late"
    assert [late.frames[i].stem for i in late.wanted] == ["00010", "00015", "00020", "00030"]
    assert {late.frames[i].stem: ids for i, ids in late.given.items()} == {
        "00010": (1,),
        "00020": (3,),
    }
    same = benchmark_sequences(tmp_path / "valid_all_frames", "youtube-vos", "valid_all_frames")
    assert same == (early, late)
    assert benchmark_sequences(tmp_path / "valid", "youtube-vos") == benchmark_sequences(
        tmp_path, "youtube-vos"
    )


def test_youtube_vos_train_gives_only_what_is_new(tmp_path):
    """There, later masks show all objects; what was given before is not given again."""
    youtube_vos(tmp_path)
    (tmp_path / "valid").rename(tmp_path / "train")
    masks = boxes(32, 48, (1, 2, 3))
    write_palette(
        tmp_path / "train/Annotations/late/00020.png", masks * (masks != 2), OTHER_PALETTE
    )
    _, late = benchmark_sequences(tmp_path, "youtube-vos", "train")
    assert late.given == {1: (1,), 3: (3,)}
    np.testing.assert_array_equal(late.given_mask(3), masks * (masks == 3))


def test_youtube_vos_without_meta_wants_all_frames(tmp_path):
    youtube_vos(tmp_path)
    (tmp_path / "valid/meta.json").unlink()
    _, late = benchmark_sequences(tmp_path, "youtube-vos")
    assert late.wanted == tuple(range(6)) and late.given == {1: (1,), 3: (3,)}


@pytest.mark.parametrize("level", ["", "480p"])
def test_a_folder_needs_no_list(tmp_path, level):
    names = ["frame2.png", "frame10.png", "frame9.png"]
    for video in ("b", "a"):
        write_frames(tmp_path / "JPEGImages" / level / video, names, 32, 32)
        masks = tmp_path / "Annotations" / level / video
        write_palette(masks / "frame2.png", boxes(32, 32, (2,)))
        write_palette(masks / "frame10.png", boxes(32, 32, (2, 5)))
    a, b = benchmark_sequences(tmp_path, "folder")
    assert (a.name, b.name) == ("a", "b")
    assert [p.name for p in a.frames] == ["frame2.png", "frame9.png", "frame10.png"]
    assert a.given == {0: (2,), 2: (5,)} and a.truths[1] is None
    (tmp_path / "ImageSets").mkdir()
    (tmp_path / "ImageSets" / "val.txt").write_text("b\n")
    assert benchmark_sequences(tmp_path, "folder") == (b,)


def test_void_stays_void(tmp_path):
    mask = boxes(32, 48, (1, 2))
    mask[1], mask[0] = 255, 0
    write_palette(tmp_path / "palette.png", mask)
    Image.fromarray(mask).save(tmp_path / "grey.png")
    for name in ("palette.png", "grey.png"):
        np.testing.assert_array_equal(read_truth(tmp_path / name), mask)
    void = np.where(mask == 255, mask, 0).astype(np.uint8)
    write_palette(tmp_path / "void.png", void)
    np.testing.assert_array_equal(read_truth(tmp_path / "void.png"), void)


def test_palettes(tmp_path):
    mask = boxes(32, 48, (3,))
    write_palette(tmp_path / "own.png", mask, OTHER_PALETTE)
    np.testing.assert_array_equal(read_truth(tmp_path / "own.png"), mask)
    # The index is the object, whatever its colour, and if other entries have it, too.
    other = np.zeros((256, 3), np.uint8)
    for colour in ([128, 128, 0], [1, 1, 1], [255, 255, 255]):
        other[3] = colour
        write_palette(tmp_path / "other.png", mask, other)
        np.testing.assert_array_equal(read_truth(tmp_path / "other.png"), mask)
    high = mask * np.uint8(70)
    write_palette(tmp_path / "high.png", high, OTHER_PALETTE)
    np.testing.assert_array_equal(read_truth(tmp_path / "high.png"), high)
    grey = np.repeat(np.arange(256)[:, None], 3, axis=1)
    write_palette(tmp_path / "grey.png", mask, grey)
    np.testing.assert_array_equal(read_truth(tmp_path / "grey.png"), mask)
    write_palette(tmp_path / "white.png", (mask > 0) * np.uint8(255), grey)
    np.testing.assert_array_equal(read_truth(tmp_path / "white.png"), (mask > 0) * 255)
    np.testing.assert_array_equal(read_truth(tmp_path / "white.png", merged=True), mask > 0)


def spoil(davis: pathlib.Path, how: str) -> None:
    if how == "frames folder":
        (davis / "JPEGImages").rename(davis / "jpegimages")
    elif how == "masks":
        (davis / "Annotations/480p/cat").rename(davis / "Annotations/480p/CAT")
    elif how == "first mask":
        (davis / "Annotations/480p/cat/00000.png").unlink()
    elif how == "frame":
        (davis / "JPEGImages/480p/cat/00001.png").unlink()
    elif how == "empty mask":
        write_palette(davis / "Annotations/480p/cat/00000.png", np.zeros((32, 48), np.uint8))
    elif how == "list":
        (davis / "ImageSets/2017/val.txt").rename(davis / "ImageSets/2017/train.txt")
    elif how == "photograph":
        noise = np.random.default_rng(0).integers(0, 256, (32, 48), dtype=np.uint8)
        Image.fromarray(noise).save(davis / "Annotations/480p/cat/00000.png")


@pytest.mark.parametrize(
    "how, message",
    [
        ("frames folder", "JPEGImages: no such folder; .* holds jpegimages, in another case"),
        ("masks", "Annotations/480p/cat: no such folder; .* holds CAT, in another case"),
        ("first mask", "480p/cat has no mask of the first frame, .*JPEGImages/480p/cat/00000.png"),
        ("frame", "480p/cat/00001.png has no frame of that name in .*JPEGImages/480p/cat"),
        ("empty mask", "cat/00000.png is empty"),
        ("list", r"looked for .*2017/val\.txt; there are ImageSets/2017/train\.txt"),
        ("photograph", "cat/00000.png has"),
    ],
)
def test_what_is_wrong_is_named(davis, how, message):
    spoil(davis, how)
    with pytest.raises(InputError, match=message) as error:
        benchmark_sequences(davis, "davis2017")
    assert "\n" not in str(error.value)


def test_wrong_roots_and_names(davis, tmp_path):
    with pytest.raises(InputError, match=r"no sequence Cat in .*val\.txt: but cat, in another"):
        benchmark_sequences(davis, "davis2017", names=["Cat"])
    with pytest.raises(InputError, match=r"no sequence dog in .*val\.txt: there are cat, ant"):
        benchmark_sequences(davis, "davis2017", names=["dog"])
    with pytest.raises(InputError, match=r"nowhere: no such folder"):
        benchmark_sequences(tmp_path / "nowhere", "folder")
    with pytest.raises(InputError, match=r"holds 480p"):
        benchmark_sequences(davis / "JPEGImages", "davis2017")
    with pytest.raises(InputError, match=re.escape("no JPEGImages in")):
        benchmark_sequences(davis / "Annotations", "youtube-vos")


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"videos": {"late": {"frames": 3}}})])
def test_a_meta_file_that_is_none(tmp_path, content):
    youtube_vos(tmp_path)
    (tmp_path / "valid/meta.json").write_text(content)
    with pytest.raises(InputError, match=r"meta\.json is no list of videos"):
        benchmark_sequences(tmp_path, "youtube-vos")


def test_meta_names_frames_and_videos_that_are_not_there(tmp_path):
    youtube_vos(tmp_path)
    (tmp_path / "valid/JPEGImages/late/00030.png").unlink()
    with pytest.raises(InputError, match=r"late has no frame 00030, which .*meta\.json names"):
        benchmark_sequences(tmp_path, "youtube-vos")
    (tmp_path / "valid/JPEGImages/late").rename(tmp_path / "valid/JPEGImages/Late")
    with pytest.raises(InputError, match=r"JPEGImages/late: no such folder; .* holds Late, in"):
        benchmark_sequences(tmp_path, "youtube-vos")


def test_the_size_of_a_picture_is_that_of_the_frame_as_it_is_read(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.new("RGB", (40, 30)).save(tmp_path / "side.jpg", exif=exif)
    assert size_of(tmp_path / "side.jpg") == read_rgb(tmp_path / "side.jpg").shape[:2] == (40, 30)
    Image.new("RGB", (40, 30)).save(tmp_path / "upright.jpg")
    assert size_of(tmp_path / "upright.jpg") == (30, 40)
    (tmp_path / "none.png").write_text("no picture")
    with pytest.raises(InputError, match=r"none\.png is not a picture"):
        size_of(tmp_path / "none.png")
