"""Masks: every kind is read as what it is, and what is no mask is refused in one line."""

import errno
import pathlib
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFilter

from stm_jax.data.masks import check_first_mask, read_hand_mask, read_mask, write_mask
from stm_jax.data.palette import davis_palette
from stm_jax.errors import InputError
from tests.hostile import drawn

IDS = np.array([[0, 0, 1, 1], [0, 2, 2, 1], [0, 0, 0, 0]], np.uint8)
ONE = (IDS > 0).astype(np.uint8)


def save(folder: pathlib.Path, pixels: np.ndarray, mode: str | None = None) -> pathlib.Path:
    path = folder / "mask.png"
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)
    return path


def save_palette(folder: pathlib.Path, indices: np.ndarray, colours: list) -> pathlib.Path:
    path = folder / "mask.png"
    image = Image.fromarray(indices.astype(np.uint8))
    image.putpalette(np.array(colours, np.uint8).tobytes())
    image.save(path)
    return path


def refused(path: pathlib.Path) -> str:
    with pytest.raises(InputError) as caught:
        read_mask(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


def test_palette_is_that_of_davis():
    palette = davis_palette()
    assert palette.shape == (256, 3) and palette.dtype == np.uint8
    # As in the palette of the DAVIS and VOC annotation files.
    assert palette[:10].tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [128, 128, 0],
        [0, 0, 128],
        [128, 0, 128],
        [0, 128, 128],
        [128, 128, 128],
        [64, 0, 0],
        [192, 0, 0],
    ]
    assert palette[22].tolist() == [0, 192, 128]
    assert palette[255].tolist() == [224, 224, 192]
    assert len(np.unique(palette, axis=0)) == 256


def test_palette_picture_gives_its_indices(tmp_path):
    path = save_palette(tmp_path, IDS, davis_palette().tolist())
    np.testing.assert_array_equal(read_mask(path), IDS)
    # Colours of another data set.
    path = save_palette(tmp_path, IDS, [(0, 0, 0), (236, 95, 103), (249, 145, 87)])
    np.testing.assert_array_equal(read_mask(path), IDS)
    assert read_mask(path).dtype == np.uint8


@pytest.mark.parametrize(
    "colours",
    [
        [(0, 128, 0), (0, 0, 0), (128, 0, 0)],  # those of DAVIS in another order
        [(0, 0, 0), (64, 64, 64), (128, 128, 128)],
        [(255, 255, 255), (0, 0, 0), (128, 0, 0)],
        [(9, 9, 9)] * 3,
    ],
)
def test_the_index_is_the_object_whatever_its_colour(tmp_path, colours):
    np.testing.assert_array_equal(read_mask(save_palette(tmp_path, IDS, colours)), IDS)
    alone = ONE * 2
    np.testing.assert_array_equal(read_mask(save_palette(tmp_path, alone, colours)), alone)


def test_black_and_white_palette_gives_one_object_whatever_its_order(tmp_path):
    path = save_palette(tmp_path, 1 - ONE, [(255, 255, 255), (0, 0, 0)])
    np.testing.assert_array_equal(read_mask(path), ONE)


def test_void_beside_other_ids_is_background(tmp_path):
    ids = np.array([[0, 1, 255], [2, 255, 0]], np.uint8)
    expected = [[0, 1, 0], [2, 0, 0]]
    assert read_mask(save_palette(tmp_path, ids, davis_palette().tolist())).tolist() == expected
    assert read_mask(save(tmp_path, ids)).tolist() == expected


@pytest.mark.parametrize("mode", ["L", "LA", "1", "RGB", "RGBA"])
def test_black_and_white_gives_one_object(tmp_path, mode):
    np.testing.assert_array_equal(read_mask(save(tmp_path, ONE * 255, mode)), ONE)


def test_white_everywhere_is_one_object(tmp_path):
    path = save(tmp_path, np.full((2, 3), 255, np.uint8))
    assert read_mask(path).tolist() == [[1, 1, 1], [1, 1, 1]]


def test_black_and_one_colour_gives_one_object(tmp_path):
    path = save(tmp_path, ONE[..., None] * np.array([255, 9, 0], np.uint8))
    np.testing.assert_array_equal(read_mask(path), ONE)


@pytest.mark.parametrize("mode", [None, "RGB"])
def test_small_grey_values_are_ids(tmp_path, mode):
    np.testing.assert_array_equal(read_mask(save(tmp_path, IDS, mode)), IDS)


def test_sixteen_bits(tmp_path):
    np.testing.assert_array_equal(read_mask(save(tmp_path, IDS.astype(np.uint16))), IDS)
    np.testing.assert_array_equal(read_mask(save(tmp_path, ONE.astype(np.uint16) * 65535)), ONE)


def test_davis_colours_in_rgb_give_their_ids(tmp_path):
    np.testing.assert_array_equal(read_mask(save(tmp_path, davis_palette()[IDS])), IDS)


def test_transparent_is_background(tmp_path):
    white = np.full((*IDS.shape, 4), 255, np.uint8)
    white[..., 3] = 255 * ONE
    np.testing.assert_array_equal(read_mask(save(tmp_path, white)), ONE)


def test_mask_is_turned_upright(tmp_path):
    path = tmp_path / "mask.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to view
    Image.fromarray(np.array([[1, 2, 3]], np.uint8)).save(path, exif=exif)
    assert read_mask(path).tolist() == [[1], [2], [3]]


def test_missing_file(tmp_path):
    assert "no such file" in refused(tmp_path / "nothing.png")


def test_folder(tmp_path):
    assert "is a folder" in refused(tmp_path)


def test_not_a_picture(tmp_path):
    path = tmp_path / "mask.png"
    path.write_text("a mask, honestly")
    assert "is not a picture" in refused(path)


def test_truncated_file(tmp_path):
    path = save(tmp_path, np.random.default_rng(0).integers(0, 2, (64, 64), np.uint8))
    path.write_bytes(path.read_bytes()[:-100])
    assert "cut off" in refused(path)


def test_photograph(tmp_path):
    photograph = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    assert "photograph" in refused(save(tmp_path, photograph))
    assert "photograph" in refused(save(tmp_path, photograph[..., 0]))
    assert "photograph" in refused(save(tmp_path, photograph, "P"))


def test_dark_photograph(tmp_path):
    dark = np.random.default_rng(0).integers(0, 30, (32, 48), np.uint8)
    assert "photograph" in refused(save(tmp_path, dark))


SOFT = "black and white, cut at half"


def disc(size: int = 64, radius: int = 18, at: int = 30) -> np.ndarray:
    rows, columns = np.mgrid[:size, : size + 20]
    return (np.hypot(rows - at, columns - at) < radius).astype(np.uint8)


def smoothed(pixels: np.ndarray, radius: float = 1.5) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def almost(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether the same ids are there, and masks differ at some pixels of their outline only."""
    same = np.unique(found).tolist() == np.unique(wanted).tolist()
    return same and (found != wanted).mean() < 0.01


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_soft_edges_of_one_object_are_cut_at_half(tmp_path, mode, ending):
    path = tmp_path / f"mask.{ending}"
    soft = smoothed(disc() * np.uint8(255))
    Image.fromarray(soft).convert(mode).save(path)
    mask = read_hand_mask(path)
    assert mask.kind == SOFT and almost(mask.ids, (soft >= 128).astype(np.uint8))


def test_edges_of_several_objects_that_share_a_colour_are_none(tmp_path):
    """Of few colours in an editor's picture, one stands for edges of different objects."""
    ids = np.zeros((160, 200), np.uint8)
    for number, left in enumerate((8, 72, 136)):
        ids[20:140, left : left + 50] = number + 1
    ids[:, 96:104] = 0
    colours = np.array([[0, 0, 0], [31, 196, 134], [93, 187, 228], [104, 153, 18]], np.uint8)
    small = cv2.resize(colours[ids], (50, 40), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (3, 3), 0)
    image = Image.fromarray(soft).quantize(10, dither=Image.Dither.NONE)
    image.save(tmp_path / "mask.png")
    assert read_hand_mask(tmp_path / "mask.png").object_ids == (1, 2, 3)


def test_faint_edges_are_no_objects(tmp_path):
    grey = disc() * np.uint8(255)
    grey[disc(radius=19) > grey] = 30
    mask = read_hand_mask(save(tmp_path, grey))
    np.testing.assert_array_equal(mask.ids, disc())
    assert mask.kind == SOFT


def colours_of(ids: np.ndarray, ground: int, count: int) -> np.ndarray:
    table = np.full((count + 1, 3), ground, np.uint8)
    table[1:] = np.random.default_rng(count).permutation(
        [
            (250, 20, 30),
            (20, 200, 40),
            (30, 60, 240),
            (240, 220, 20),
            (120, 20, 160),
            (20, 200, 230),
        ]
    )[:count]
    return table[ids]


@pytest.mark.parametrize(("ground", "count"), [(0, 1), (255, 1), (0, 2), (255, 2), (0, 6)])
@pytest.mark.parametrize("ending", ["hard.png", "soft.png", "mask.jpg"])
def test_flat_colours_are_an_object_each(tmp_path, ground, count, ending):
    ids = np.zeros((96, 144), np.uint8)
    for number in range(count):
        row, column = divmod(number, 3)
        ids[8 + 46 * row : 42 + 46 * row, 6 + 46 * column : 44 + 46 * column] = number + 1
    rgb = colours_of(ids, ground, count)
    soft = smoothed(rgb, 1) if ending != "hard.png" else rgb
    Image.fromarray(soft).save(tmp_path / ending, quality=90)
    mask = read_hand_mask(tmp_path / ending)
    assert len(mask.object_ids) == count and "flat colours on" in mask.kind
    number_of = {int(np.bincount(mask.ids[ids == i]).argmax()): i for i in range(1, count + 1)}
    assert sorted(number_of) == list(range(1, count + 1))
    found = np.array([0, *(number_of[i] for i in range(1, count + 1))])[mask.ids]
    assert almost(found.astype(np.uint8), ids)


def test_an_edge_is_not_an_object_that_has_its_colour(tmp_path):
    ids = disc()
    ids[50:62, 60:80] = 2  # of the colour that the disc's edge has
    colours = np.array([(0, 0, 0), (250, 20, 30), (125, 10, 15)], np.uint8)
    mask = read_hand_mask(save(tmp_path, smoothed(colours[ids], 1)))
    assert almost(mask.ids, np.array([0, 2, 1], np.uint8)[ids])


def test_davis_colours_with_soft_edges_give_their_ids(tmp_path):
    ids = disc() * np.uint8(2)
    ids[50:62, 60:80] = 5
    mask = read_hand_mask(save(tmp_path, smoothed(davis_palette()[ids], 1)))
    assert almost(mask.ids, ids)


@pytest.mark.parametrize("inside", ["photograph", "black", "red"])
def test_what_is_opaque_of_a_cut_out_is_the_object(tmp_path, inside):
    rgba = np.zeros((64, 84, 4), np.uint8)
    if inside == "photograph":
        rgba[..., :3] = np.random.default_rng(0).integers(0, 256, (64, 84, 3))
    elif inside == "red":
        rgba[..., 0] = 255
    rgba[..., 3] = smoothed(disc() * np.uint8(255))
    mask = read_hand_mask(save(tmp_path, rgba))
    assert "cut-out" in mask.kind and almost(mask.ids, disc())


def test_what_a_mask_is_taken_for_is_said_in_one_line(tmp_path):
    path = save_palette(tmp_path, IDS, davis_palette().tolist())
    assert read_hand_mask(path).described() == "palette picture, objects 1, 2"
    inverted = read_hand_mask(save(tmp_path, (1 - disc()) * np.uint8(255)))
    assert inverted.looks_inverted and "is the mask inverted?" in inverted.described()
    assert not read_hand_mask(save(tmp_path, disc() * np.uint8(255))).looks_inverted


@pytest.mark.parametrize("seed", range(3))
def test_a_smooth_photograph_is_refused(tmp_path, seed):
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    rgb = np.asarray(Image.fromarray(coarse).resize((96, 64), Image.Resampling.BICUBIC))
    for pixels in (rgb, rgb[..., 0]):
        assert "photograph" in refused(save(tmp_path, pixels))


def test_decompression_bomb(tmp_path, monkeypatch):
    path = save(tmp_path, np.zeros((40, 50), np.uint8))
    for limit in (1999, 900):  # Pillow warns above its limit and fails above twice its limit
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert f"more than {limit} pixels" in refused(path)


def test_first_mask_must_show_an_object(tmp_path):
    with pytest.raises(InputError, match=r"first\.png is empty"):
        check_first_mask(np.zeros((3, 4), np.uint8), (3, 4), pathlib.Path("first.png"))


def test_first_mask_must_have_the_size_of_the_frames():
    with pytest.raises(InputError, match=r"first\.png is 4x3 but the frames are 8x6"):
        check_first_mask(IDS, (6, 8), pathlib.Path("first.png"))
    check_first_mask(IDS, (3, 4), pathlib.Path("first.png"))


def test_write_gives_a_palette_picture(tmp_path):
    path = tmp_path / "mask.png"
    write_mask(path, IDS)
    with Image.open(path) as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.array(image), IDS)
        np.testing.assert_array_equal(np.array(image.convert("RGB")), davis_palette()[IDS])
    np.testing.assert_array_equal(read_mask(path), IDS)
    assert [file.name for file in tmp_path.iterdir()] == ["mask.png"]


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_full_disk_leaves_the_old_mask(tmp_path, monkeypatch):
    path = tmp_path / "mask.png"
    write_mask(path, IDS)
    (tmp_path / "full").symlink_to("/dev/full")
    monkeypatch.setattr("stm_jax.files.unfinished", lambda path: tmp_path / "full")
    with pytest.raises(OSError, match="No space left") as caught:
        write_mask(path, ONE)
    assert caught.value.errno == errno.ENOSPC
    np.testing.assert_array_equal(read_mask(path), IDS)
    assert [file.name for file in tmp_path.iterdir()] == ["mask.png"]


def test_a_thin_gap_between_flat_colours_is_background(tmp_path):
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[5:35, 5:19], picture[5:35, 20:35] = (200, 30, 40), (30, 60, 210)
    picture[4] = picture[4] // 2 + np.arange(40, dtype=np.uint8)[:, None] // 3  # many colours
    ids = read_mask(save(tmp_path, picture))
    assert (ids[5:35, 19] == 0).all() and ids[20, 10] != ids[20, 30] > 0


@pytest.mark.parametrize("as_palette", [True, False])
def test_few_colours_of_soft_edges_are_no_objects(tmp_path, as_palette):
    grey = np.zeros((40, 40), np.uint8)
    grey[10:30, 10:30] = 255
    grey[9, 10:30], grey[30, 10:30], grey[10:30, 9], grey[10:30, 30] = 50, 90, 120, 200
    picture = grey[..., None] * np.array([1, 0, 0], np.uint8)
    image = Image.fromarray(picture)
    path = tmp_path / "mask.png"
    (image.quantize(8) if as_palette else image).save(path)
    np.testing.assert_array_equal(read_mask(path), grey > 120)


@pytest.mark.parametrize("value", [256, 513, 70000, -1])
def test_values_that_no_id_has_are_not_folded_into_some(tmp_path, value):
    ids = IDS.astype(np.int32)
    ids[ids > 1] = value
    path = tmp_path / "mask.tif"
    Image.fromarray(ids).save(path)
    with pytest.raises(InputError, match="values"):
        read_mask(path)


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_of_few_bits_is_not_spread(tmp_path, bits):
    ids = np.tile(np.array([0, 1, 2, 3], np.uint8), (12, 6))
    packed = sum(ids[:, i :: 8 // bits] << (8 - bits * (i + 1)) for i in range(8 // bits))
    content = zlib.compress(drawn.rows(packed.astype(np.uint8)))
    path = tmp_path / "mask.png"
    path.write_bytes(drawn.png(24, 12, content, bits=bits))
    np.testing.assert_array_equal(read_mask(path), ids)
