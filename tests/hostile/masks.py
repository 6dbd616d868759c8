"""Masks: palettes of any kind, grey, 16 bits, colours, soft edges, cut-outs, and what is none."""

import io
import pathlib

import numpy as np
import scipy.io
from PIL import Image

from stm_jax.data.masks import read_hand_mask, read_mask
from stm_jax.data.truth_masks import are_merged, read_truth
from stm_jax.eval.predictions import read_prediction
from tests.hostile import drawn
from tests.hostile.attempt import Attempt, pick

VOID = 255


def equal_to(ids: np.ndarray):
    return lambda answer: answer.shape == ids.shape and np.array_equal(answer, ids)


def by_hand(ids: np.ndarray) -> np.ndarray:
    """Returns what a mask by hand with these values shows: void is background beside objects."""
    objects = (ids > 0) & (ids < VOID)
    return np.where(objects, ids, 0) if objects.any() else (ids > 0).astype(np.uint8)


def with_void(rng: np.random.Generator, ids: np.ndarray) -> np.ndarray:
    ids = ids.copy()
    if rng.random() < 0.5:
        top, left = rng.integers(0, ids.shape[0] - 3), rng.integers(0, ids.shape[1] - 3)
        ids[top : top + 3, left : left + 3] = VOID
    return ids


def given_palette_of_a_data_set(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    most = pick(rng, (1, 3, 15, 64, 254))
    ids = with_void(rng, drawn.shapes(rng, drawn.some_ids(rng, most)))
    path = folder / f"mask.{pick(rng, ('png', 'PNG', 'jpg'))}"
    entries = int(rng.integers(int(ids.max()) + 1, 257))  # as few as are needed, or more
    more = pick(rng, ({}, {"optimize": True}, {"compress_level": 0}, {"transparency": 0}))
    bits = {"bits": 4} if entries <= 16 and rng.random() < 0.5 else {}
    drawn.save_palette(path, ids, drawn.palette(rng)[:entries], **more, **bits)
    return Attempt(lambda: read_truth(path), equal_to(ids))


def given_palette_with_transparency(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """A data set's index is the object whatever is transparent."""
    ids = drawn.shapes(rng, drawn.some_ids(rng, 20))
    alphas = rng.choice(np.array([0, 60, 255], np.uint8), 256)
    drawn.save_palette(folder / "mask.png", ids, drawn.palette(rng), transparency=alphas.tobytes())
    return Attempt(lambda: read_truth(folder / "mask.png"), equal_to(ids))


def given_palette_in_other_formats(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    ids = drawn.shapes(rng, drawn.some_ids(rng, 60))
    kind = pick(rng, ("BMP", "TIFF"))
    path = folder / "mask.png"
    drawn.save_palette(path, ids, rng.integers(0, 256, (256, 3)), format=kind)
    read = pick(rng, (read_truth, read_mask))
    return Attempt(lambda: read(path), equal_to(ids))


def given_palette_by_hand(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    ids = with_void(rng, drawn.shapes(rng, drawn.some_ids(rng, 64)))
    colours = drawn.palette(rng)
    used = {tuple(colour) for colour in colours[np.unique(ids)].tolist()}
    path = folder / "mask.png"
    drawn.save_palette(path, ids, colours)
    if used == {(0, 0, 0), (255, 255, 255)}:
        white = (colours[ids] == 255).all(axis=-1).astype(np.uint8)
        return Attempt(lambda: read_mask(path), equal_to(white))
    return Attempt(lambda: read_mask(path), equal_to(by_hand(ids)))


def given_palette_index_beyond_its_entries(
    folder: pathlib.Path, rng: np.random.Generator
) -> Attempt:
    ids = drawn.shapes(rng, drawn.some_ids(rng, 9))
    entries = drawn.chunk(b"PLTE", rng.bytes(3 * int(rng.integers(1, 4))))
    data = drawn.zlib.compress(drawn.rows(ids))
    height, width = ids.shape
    path = folder / "mask.png"
    path.write_bytes(drawn.png(width, height, data, colours=3, before=entries))
    return Attempt(lambda: read_truth(path), equal_to(ids), may_refuse=True, told=("mask.png",))


def given_palette_black_and_white_by_hand(
    folder: pathlib.Path, rng: np.random.Generator
) -> Attempt:
    shown = drawn.shapes(rng, (1,))
    black, white = (0, 1) if rng.random() < 0.5 else (1, 0)
    if rng.random() < 0.3:
        black, white = rng.choice(200, 2, replace=False).tolist()
    colours = rng.integers(1, 255, (256, 3), np.uint8)
    colours[black], colours[white] = 0, 255
    ids = np.where(shown > 0, white, black).astype(np.uint8)
    drawn.save_palette(folder / "mask.png", ids, colours)
    return Attempt(lambda: read_mask(folder / "mask.png"), equal_to(shown))


def given_palette_with_soft_edges(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """An editor's indexed picture of smoothed shapes: its in-between colours are no objects."""
    count = int(rng.integers(1, 4))
    large = drawn.shapes(rng, tuple(range(1, count + 1)), large=4)[1:, 2:]  # edges in no step of 4
    colours = np.vstack([np.zeros((1, 3), np.uint8), drawn.far_colours(rng, count, 0)])
    if count == 1 and rng.random() < 0.5:
        colours[1] = 255
    soft = drawn.smaller(colours[large], 4)
    image = Image.fromarray(soft).quantize(int(rng.integers(10, 60)), dither=Image.Dither.NONE)
    image.save(folder / "mask.png")
    exact, clear = drawn.in_blocks(large, 4)
    order = np.argsort([int.from_bytes(bytes(c.tolist())) for c in colours[1:]], kind="stable")
    number = np.zeros(count + 1, np.uint8)
    number[order + 1] = np.arange(1, count + 1)
    expected = number[exact]
    return Attempt(
        lambda: read_mask(folder / "mask.png"),
        lambda ids: (
            set(np.unique(ids)) <= set(range(count + 1))
            and np.array_equal(ids[clear], expected[clear])
        ),
        may_refuse=True,
    )


def given_grey_ids(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    ids = drawn.shapes(rng, drawn.some_ids(rng, 64))
    kind = pick(rng, ("PNG", "BMP", "TIFF", "PPM"))
    path = folder / "mask.png"
    wide = kind in ("PNG", "TIFF") and rng.random() < 0.4
    Image.fromarray(ids.astype(np.uint16) if wide else ids).save(path, format=kind)
    read = pick(rng, (read_truth, read_mask))
    return Attempt(lambda: read(path), equal_to(ids))


def given_grey_bits(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """Grey PNGs of 2 and 4 bits a pixel hold small ids: a decoder may blow them up to 255."""
    bits = pick(rng, (2, 4))
    ids = drawn.shapes(rng, drawn.some_ids(rng, (1 << bits) - 1))
    height, width = ids.shape
    each = 8 // bits
    padded = np.pad(ids, ((0, 0), (0, -width % each))).reshape(height, -1, each)
    shifts = np.arange(each)[::-1] * bits
    content = (padded << shifts).sum(axis=-1).astype(np.uint8)
    path = folder / "mask.png"
    path.write_bytes(drawn.png(width, height, drawn.zlib.compress(drawn.rows(content)), bits=bits))
    return Attempt(lambda: read_truth(path), equal_to(ids), may_refuse=True, told=("mask.png",))


def given_black_and_white(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    shown = drawn.shapes(rng, (1,))
    white = int(pick(rng, (255, 128, 200, 65)))
    mode = pick(rng, ("L", "1", "RGB", "RGBA", "LA", "I;16", "CMYK"))
    white = 255 if "RGB" in mode else white  # 128 in colours is an id of DAVIS
    image = Image.fromarray(shown * np.uint8(white))
    kind = "TIFF" if mode == "CMYK" else "PNG"
    if mode in ("1", "CMYK"):
        image = Image.fromarray(shown * np.uint8(255))
    image = Image.fromarray(shown.astype(np.uint16) * white * 257) if mode == "I;16" else image
    if mode not in ("L", "I;16"):
        image = image.convert(mode)
    image.save(folder / "mask.png", format=kind)
    path, merged = folder / "mask.png", rng.random() < 0.5
    return Attempt(lambda: read_truth(path, True) if merged else read_mask(path), equal_to(shown))


def given_255_alone_in_a_data_set(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    shown = drawn.shapes(rng, (1,)) * np.uint8(VOID)
    if rng.random() < 0.5:
        drawn.save_palette(folder / "mask.png", shown, drawn.palette(rng))
    else:
        Image.fromarray(shown).save(folder / "mask.png")
    path = folder / "mask.png"
    if rng.random() < 0.5:
        return Attempt(lambda: read_truth(path, merged=True), equal_to(shown // VOID))
    return Attempt(lambda: read_truth(path), equal_to(shown))


def given_soft_edges(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    large = drawn.shapes(rng, (1,), large=4)
    grey = drawn.smaller(large * np.uint8(255), 4)
    mode = pick(rng, ("L", "RGB", "RGBA", "LA", "I;16", "P"))
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    else:
        image = Image.fromarray(grey).convert(mode) if mode != "P" else Image.fromarray(grey)
    if mode == "P":
        image.putpalette(np.repeat(np.arange(256, dtype=np.uint8), 3).tobytes())
    image.save(folder / "mask.png")
    path, merged = folder / "mask.png", rng.random() < 0.5
    expected = (grey >= 128).astype(np.uint8)
    return Attempt(
        lambda: read_truth(path, True) if merged else read_mask(path), equal_to(expected)
    )


def given_lossy(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    shown = np.kron(drawn.shapes(rng, (1,)), np.ones((2, 2), np.uint8))
    image = Image.fromarray(shown * np.uint8(255))
    image = image.convert(pick(rng, ("L", "RGB")))
    kind = pick(rng, ("JPEG", "WEBP"))
    image.save(folder / "mask.png", format=kind, quality=int(rng.integers(40, 100)))
    path, merged, clear = folder / "mask.png", rng.random() < 0.5, drawn.inside(shown, 2)
    return Attempt(
        lambda: read_truth(path, True) if merged else read_mask(path),
        lambda ids: np.array_equal(ids[clear], shown[clear]),
    )


def given_flat_colours(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    count = int(rng.integers(1, 6))
    ground = 0 if rng.random() < 0.6 else 255
    colours = np.vstack([np.full((1, 3), ground), drawn.far_colours(rng, count, ground)])
    large = drawn.shapes(rng, tuple(range(1, count + 1)), large=4)[1:, 2:]
    soft = rng.random() < 0.6
    by = 4 if soft else 1
    picture = colours.astype(np.uint8)[large]
    picture = drawn.smaller(picture, 4) if soft else picture
    exact, clear = drawn.in_blocks(large, by)
    order = np.argsort([int.from_bytes(bytes(c.tolist())) for c in colours[1:]], kind="stable")
    number = np.zeros(count + 1, np.uint8)
    number[order + 1] = np.arange(1, count + 1)
    expected = number[exact]
    Image.fromarray(picture).save(folder / "mask.png")
    few = (exact == 0).mean() < 0.35  # on white, the ground must be what there is most of
    return Attempt(
        lambda: read_mask(folder / "mask.png"),
        lambda ids: (
            set(np.unique(ids)) <= set(range(count + 1))
            and np.array_equal(ids[clear], expected[clear])
        ),
        may_refuse=bool(few),
    )


def given_colours_of_davis(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    ids = drawn.shapes(rng, drawn.some_ids(rng, 60))
    mode = pick(rng, ("RGB", "RGBA"))
    Image.fromarray(drawn.davis_palette()[ids]).convert(mode).save(folder / "mask.png")
    read = pick(rng, (read_truth, read_mask))
    return Attempt(lambda: read(folder / "mask.png"), equal_to(ids))


def given_cut_out(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """What is opaque is the object, be the alpha soft or hard."""
    large = drawn.shapes(rng, (1,), large=4)
    alpha = drawn.smaller(large * np.uint8(255), 4)
    if rng.random() < 0.4:
        alpha = (alpha >= 128).astype(np.uint8) * np.uint8(255)
    inside = drawn.photograph(rng, *alpha.shape)
    image = Image.fromarray(np.dstack([inside, alpha]))
    kind = pick(rng, ("PNG", "TIFF", "WEBP"))
    image.save(folder / "mask.png", format=kind, **({"lossless": True} if kind == "WEBP" else {}))
    expected = (alpha >= 128).astype(np.uint8)
    return Attempt(lambda: read_mask(folder / "mask.png"), equal_to(expected))


def given_photograph(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    image = Image.fromarray(drawn.photograph(rng))
    mode = pick(rng, ("RGB", "L", "P", "CMYK"))
    image = image.convert(mode) if mode != "P" else image.quantize(200)
    path = folder / pick(rng, ("mask.png", "mask.jpg"))
    kind = pick(rng, ("JPEG", "TIFF") if mode == "CMYK" else ("PNG", "TIFF"))
    image.save(path, format=kind)
    return Attempt(lambda: read_mask(path), told=(path.name,))


def given_real_numbers(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    ids = drawn.shapes(rng, (1, 2)).astype(np.float32)
    Image.fromarray(ids).save(folder / "mask.tif")
    read = pick(rng, (read_mask, read_truth))
    return Attempt(lambda: read(folder / "mask.tif"), told=("mask.tif",))


def given_wide_values(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """Ids beyond a byte, or below zero, are no ids and must not be folded into some."""
    ids = drawn.shapes(rng, (1, 2)).astype(np.int32)
    strange = int(pick(rng, (256, 257, 513, 1000, 65536 + 1, 2**24 + 2, -1, -254)))
    ids[ids == 1] = strange
    if strange in (256, 257, 513, 1000):
        Image.fromarray(ids.astype(np.uint16)).save(folder / "mask.png")
        path = folder / "mask.png"
    else:
        Image.fromarray(ids).save(folder / "mask.tif")
        path = folder / "mask.tif"
    read = pick(rng, (read_mask, read_truth))
    return Attempt(lambda: read(path), told=(path.name,))


def given_inverted(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    shown = 1 - drawn.shapes(rng, (1,))
    shown[
        shown.shape[0] // 4 : -shown.shape[0] // 4, shown.shape[1] // 3 : -shown.shape[1] // 3
    ] = 0
    if shown.mean() < 0.55:
        shown = np.ones_like(shown)
        shown[8:14, 8:14] = 0
    Image.fromarray(shown * np.uint8(255)).save(folder / "mask.png")
    return Attempt(
        lambda: read_hand_mask(folder / "mask.png"),
        lambda mask: mask.looks_inverted and "inverted" in mask.described(),
    )


def given_kind_of_a_data_set(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """Whether masks of one object are of ids or black and white is found once."""
    merged = bool(rng.random() < 0.5)
    files = []
    for index in range(int(rng.integers(1, 6))):
        ids = drawn.shapes(rng, (1,))
        if rng.random() < 0.2 and index:
            ids = np.zeros_like(ids)
        path = folder / f"{index}.png"
        Image.fromarray(ids * np.uint8(255 if merged else 1)).save(path)
        files.append(path)
    return Attempt(lambda: are_merged(files, "here"), lambda found: found is merged)


def given_prediction(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    ids = drawn.shapes(rng, (1, 2))
    path = folder / "00000.png"
    if rng.random() < 0.5:
        drawn.save_palette(path, ids, drawn.palette(rng))
    else:
        Image.fromarray(ids).save(path)
    return Attempt(lambda: read_prediction(path, ids.shape, (1, 2), False), equal_to(ids))


def given_damaged_prediction(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    ids = drawn.shapes(rng, (1, 2))
    path = folder / "00000.png"
    encoded = io.BytesIO()
    Image.fromarray(ids).save(encoded, format="PNG")
    path.write_bytes(drawn.damaged(rng, encoded.getvalue()))
    return Attempt(
        lambda: read_prediction(path, ids.shape, (1, 2), False),
        lambda answer: (
            np.array_equal(answer, ids)
            if isinstance(answer, np.ndarray)
            else "00000.png" in answer.path and len(answer.text) < 300
        ),
    )


def given_mat_file(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    ids = drawn.shapes(rng, (1, 2))
    path = folder / "mask.mat"
    good = rng.random() < 0.3
    scipy.io.savemat(path, {"GTinst": {"Segmentation": ids}})
    if not good:
        path.write_bytes(drawn.damaged(rng, path.read_bytes()))
        if rng.random() < 0.3:
            scipy.io.savemat(path, {pick(rng, ("GTinst", "other")): ids.astype(float)})
    return Attempt(
        lambda: read_truth(path),
        equal_to(ids) if good else lambda answer: answer.dtype == np.uint8,
        may_refuse=not good,
        told=("mask.mat",),
    )


def given_mask_of_no_pixels(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    height, width = pick(rng, ((0, 5), (5, 0), (0, 0)))
    path = folder / "mask.png"
    path.write_bytes(drawn.png(width, height, drawn.zlib.compress(b"")))
    read = pick(rng, (read_mask, read_truth))
    return Attempt(lambda: read(path), told=("mask.png",))


def given_mask_of_few_pixels(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    shape = pick(rng, ((1, 1), (1, 9), (9, 1), (2, 2)))
    ids = rng.integers(0, 3, shape).astype(np.uint8)
    drawn.save_palette(folder / "mask.png", ids, drawn.davis_palette())
    read = pick(rng, (read_mask, read_truth))
    return Attempt(lambda: read(folder / "mask.png"), equal_to(ids))
