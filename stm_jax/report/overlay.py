"""Masks drawn over frames, and sheets of frames to look at."""

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageDraw, ImageFont

from stm_jax.data.palette import davis_palette

CAPTION_HEIGHT = 18  # pixels, for Pillow's own font at 12
GAP = 4  # pixels between the pictures of a sheet


def overlay(
    frame: UInt8[np.ndarray, "height width 3"],
    ids: UInt8[np.ndarray, "height width"],
    alpha: float = 0.5,
) -> UInt8[np.ndarray, "height width 3"]:
    """Returns the frame with every object tinted in its DAVIS colour and thinly outlined.

    Args:
      frame: red, green and blue.
      ids: object of every pixel, 0 is background and is left as it is.
      alpha: how much of the colour is mixed in, from 0 (only the outline shows) to 1.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}, it must be from 0 to 1")
    share = round(256 * alpha)
    # Flat indices of the few pixels that change: boolean indexing is several times slower.
    painted = np.flatnonzero(ids)
    pixels = frame.reshape(-1, 3).copy()
    under = pixels[painted].astype(np.uint16) * (256 - share)
    over = davis_palette().astype(np.uint16)[ids.reshape(-1)[painted]] * share
    pixels[painted] = (under + over) >> 8
    edge = np.flatnonzero(outline(ids))
    pixels[edge] = bright_palette()[ids.reshape(-1)[edge]]
    return pixels.reshape(frame.shape)


def contact_sheet(
    frames: Sequence[UInt8[np.ndarray, "height width 3"]],
    ids_list: Sequence[UInt8[np.ndarray, "height width"] | None],
    columns: int,
    captions: Sequence[str],
) -> Image.Image:
    """Returns one picture of all frames with their masks drawn over, row by row.

    Args:
      frames: of one size.
      ids_list: the mask of each frame; None leaves the frame as it is.
      columns: pictures side by side.
      captions: a short line under each frame, may be empty.
    """
    if not len(frames) == len(ids_list) == len(captions):
        raise ValueError(
            f"{len(frames)} frames, {len(ids_list)} masks and {len(captions)} captions:"
            " the three must be equally many"
        )
    if not frames or columns < 1:
        raise ValueError("a sheet needs at least one frame and one column")
    height, width = frames[0].shape[:2]
    columns = min(columns, len(frames))
    rows = -(-len(frames) // columns)
    cell_height, cell_width = height + CAPTION_HEIGHT + GAP, width + GAP
    sheet = Image.new("RGB", (columns * cell_width - GAP, rows * cell_height - GAP), "white")
    font = ImageFont.load_default(12)
    for index, (frame, ids, caption) in enumerate(zip(frames, ids_list, captions, strict=True)):
        left, top = index % columns * cell_width, index // columns * cell_height
        picture = frame if ids is None else overlay(frame, ids)
        sheet.paste(Image.fromarray(picture), (left, top))
        line = Image.new("RGB", (width, CAPTION_HEIGHT), "white")  # cuts long captions off
        ImageDraw.Draw(line).text((2, 2), caption, fill="black", font=font)
        sheet.paste(line, (left, top + height))
    return sheet


def outline(ids: UInt8[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """Returns the pixels of objects that touch, by a side, a pixel of something else."""
    edge = np.zeros(ids.shape, bool)
    across, down = ids[:, 1:] != ids[:, :-1], ids[1:] != ids[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return edge & (ids > 0)


@functools.cache
def bright_palette() -> UInt8[np.ndarray, "256 3"]:
    """Returns the palette scaled to full brightness, for outlines that are seen on the tint."""
    palette = davis_palette().astype(np.float32)
    strongest = np.maximum(palette.max(axis=1, keepdims=True), 1)
    return (palette * 255 / strongest).astype(np.uint8)
