"""Reads picture files that a user gives: whole, upright, and never at any cost."""

import io
import pathlib
import re
import warnings
from typing import Protocol

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageOps

from stm_jax.errors import InputError
from stm_jax.files import write_whole

# Pillow could also open formats that start other programs, such as PostScript.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM")


class Encoded(Protocol):
    """An encoded picture: a file (`pathlib.Path` is one of these), or a part of a record.

    Its text (`str`) says where it is.
    """

    @property
    def name(self) -> str:
        """What it is called in its folder."""
        ...

    @property
    def parent(self) -> object:
        """What it is in; its text says where that is."""
        ...

    def read_bytes(self) -> bytes:
        """Returns the bytes as they were encoded."""
        ...


def readable(picture: Encoded) -> pathlib.Path | io.BytesIO:
    """Returns what Pillow opens: of a file it reads no more than it wants."""
    return picture if isinstance(picture, pathlib.Path) else io.BytesIO(picture.read_bytes())


def open_image(path: Encoded) -> Image.Image:
    """Returns the picture, decoded to its end and turned upright by its EXIF orientation.

    Raises:
      InputError: there is no such file, it is no picture, it is cut off or damaged, or it has
        more pixels than Pillow takes for safe (`PIL.Image.MAX_IMAGE_PIXELS`).
    """
    if isinstance(path, pathlib.Path) and path.is_dir():
        raise InputError(f"{path} is a folder, not a picture: give a file")
    if isinstance(path, pathlib.Path) and not path.exists():
        raise InputError(f"{path}: no such file: check the name")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(readable(path), formats=FORMATS) as image:
                image.load()
                return ImageOps.exif_transpose(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(
            f"{path} has more than {Image.MAX_IMAGE_PIXELS} pixels: make it smaller"
        ) from error
    except Image.UnidentifiedImageError as error:
        raise InputError(f"{path} is not a picture that can be read: give a PNG") from error
    # On a damaged file Pillow raises whatever its decoder stumbles over: OSError, SyntaxError,
    # ValueError, struct.error, zlib.error and more.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path} cannot be read ({reason}): it is cut off or damaged, make or copy it again"
        ) from error


def read_rgb(path: pathlib.Path) -> UInt8[np.ndarray, "height width 3"]:
    """Returns the picture as red, green and blue; raises InputError as `open_image` does."""
    image = open_image(path)
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip at 255
        grey = (np.clip(np.asarray(image), 0, 65535) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return np.array(image.convert("RGB"))


def natural(file: pathlib.Path) -> list[tuple[int, str]]:
    """Returns a key that sorts runs of digits by their value."""
    parts = re.findall(r"[0-9]+|[^0-9]+", file.name.lower())
    return [(int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts]


def size_of(path: pathlib.Path) -> tuple[int, int]:
    """Returns height and width of the picture as `read_rgb` gives it; only its head is read.

    Raises:
      InputError: it is no picture; `read_rgb` finds more that may be wrong.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            lies = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    except Exception as error:  # as in `open_image`
        raise InputError(f"{path} is not a picture that can be read: give a PNG") from error
    return (width, height) if lies else (height, width)


def write_png(path: pathlib.Path, image: Image.Image) -> None:
    """Writes a PNG, whole or not at all; raises OSError."""
    write_whole(path, encoded_png(image))


def encoded_png(image: Image.Image) -> bytes:
    """Returns a PNG: through memory, for Pillow's own writing loses the reason why it failed."""
    encoded = io.BytesIO()
    image.save(encoded, format="PNG")
    return encoded.getvalue()
