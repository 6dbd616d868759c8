"""Reads picture files that a user gives: whole, upright, and never at any cost."""

import contextlib
import io
import pathlib
import re
import warnings
import zlib
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from jaxtyping import UInt8
from PIL import (
    ExifTags,
    Image,
    ImageFile,
    ImageOps,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH

from stm_jax.data.whole_png import check_unchanged, load_whole
from stm_jax.errors import InputError
from stm_jax.files import check_is_file, write_whole

# Pillow could also open formats that start other programs, such as PostScript.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM")
SPREAD, SPREAD_BY = "values times", {"L;2": 85, "L;4": 17}
"""Of a PNG with 2 or 4 bits of grey: by what Pillow multiplies, noted in the picture's `info`."""
LOSSY = "values are near to what they were"
"""Of a picture that was compressed with losses, noted in its `info`: it can hold no ids."""
ANIMATED = ("PNG", "WEBP", "GIF", "TIFF")  # a phone's JPEG may hold a preview besides


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


@contextlib.contextmanager
def opened(picture: Encoded, *, several: bool = False) -> Iterator[Image.Image]:
    """Yields the picture, of which only the head is read until somebody asks for more.

    The one door by which pictures come in. What goes wrong inside the `with` block is told as an
    InputError of the picture, too. With `several`, an animation is taken as well.

    Raises:
      InputError: there is no such file, it is no ordinary file (a folder, a device, a pipe), no
        picture, cut off or damaged; it has more pixels than Pillow takes for safe
        (`PIL.Image.MAX_IMAGE_PIXELS`), or is an animation.
    """
    if isinstance(picture, pathlib.Path):
        check_is_file(picture)
    # Another library may have set it, and rows that are not there would be background.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(readable(picture), formats=FORMATS) as image:
                if (
                    not several
                    and image.format in ANIMATED
                    and getattr(image, "is_animated", False)
                ):
                    raise InputError(
                        f"{picture} holds several pictures, one after the other: give it as the"
                        " video, or each of its pictures as a file"
                    )
                yield image
    except InputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(
            f"{picture} has more than {Image.MAX_IMAGE_PIXELS} pixels: make it smaller"
        ) from error
    except Image.UnidentifiedImageError as error:
        raise InputError(f"{picture} is not a picture that can be read: give a PNG") from error
    # On a damaged file Pillow raises whatever its decoder stumbles over: OSError, SyntaxError,
    # ValueError, struct.error, zlib.error and more.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{picture} cannot be read ({reason}): it is cut off or damaged, make or copy it again"
        ) from error


def open_image(path: Encoded) -> Image.Image:
    """Returns the picture, decoded to its end and turned upright by its EXIF orientation.

    Raises:
      InputError: as of `opened`.
    """
    with opened(path) as image:
        tile = getattr(image, "tile", None)
        raw = tile[0].args if tile else None
        if _is_lossy(image):
            image.info[LOSSY] = True
        load_whole(image)
        if raw in SPREAD_BY:
            image.info[SPREAD] = SPREAD_BY[raw]
        return ImageOps.exif_transpose(image) if _turned(image) else image


def read_rgb(path: Encoded) -> UInt8[np.ndarray, "height width 3"]:
    """Returns a frame as red, green and blue, upright; raises InputError as `opened` does.

    Every frame that the program reads from a picture is read so. 16 bits give their upper 8,
    CMYK is converted, alpha and colour profiles are left out.
    """
    with opened(path) as image:
        return decoded_rgb(image)


def animation(path: pathlib.Path) -> Iterator[tuple[UInt8[np.ndarray, "height width 3"], float]]:
    """Yields the frames of an animation, each with how long it is shown, in milliseconds.

    Raises:
      InputError: as of `opened`.
    """
    with opened(path, several=True) as image:
        check_unchanged(image)
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            image.load()
            rgb = np.array(image.convert("RGB"))
            yield rgb, float(image.info.get("duration", 0))


def decoded_rgb(
    image: Image.Image, shrink: int = 1
) -> UInt8[np.ndarray, "shrunk_height shrunk_width 3"]:
    """Returns what `read_rgb` does, of an open picture.

    Args:
      image: from `opened`.
      shrink: 2, 4 or 8 for a picture so many times smaller, which a JPEG decodes to faster;
        another format is not shrunk.
    """
    if shrink > 1:
        image.draft("RGB", (image.width // shrink, image.height // shrink))
    load_whole(image)
    if _turned(image):
        image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("it holds real numbers, not colours")
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip at 255
        grey = (np.clip(np.asarray(image), 0, 65535) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Returns height and width of an open picture as `decoded_rgb` gives it."""
    width, height = image.size
    if isinstance(image, TiffImagePlugin.TiffImageFile):  # whose size may be the upright one
        width, height = (image.tag_v2[tag] for tag in (IMAGEWIDTH, IMAGELENGTH))
    return (width, height) if _orientation(image) in (5, 6, 7, 8) else (height, width)


def size_of(path: Encoded) -> tuple[int, int]:
    """Returns height and width of the picture as `read_rgb` gives it; only its head is read.

    Raises:
      InputError: as of `opened`; `read_rgb` finds more that may be wrong.
    """
    with opened(path) as image:
        return upright_size(image)


def _orientation(image: Image.Image) -> int:
    if isinstance(image, PngImagePlugin.PngImageFile):
        load_whole(image)  # EXIF may follow the picture: Pillow would decode it, and check nothing
    return image.getexif().get(ExifTags.Base.Orientation, 1)


def _is_lossy(image: Image.Image) -> bool:
    """Whether an open picture was compressed as JPEG is, or WebP that is not asked to be exact."""
    if isinstance(image, WebPImagePlugin.WebPImageFile) and image.fp is not None:
        image.fp.seek(0)
        return b"VP8L" not in _chunks_of_riff(image.fp.read())
    return image.format in ("JPEG", "MPO") or "jpeg" in str(image.info.get("compression"))


def _chunks_of_riff(content: bytes) -> Iterator[bytes]:
    """Yields the names of the chunks in a RIFF file, as WebP is one."""
    at = 12
    while at + 8 <= len(content):
        yield content[at : at + 4]
        length = int.from_bytes(content[at + 4 : at + 8], "little")
        at += 8 + length + length % 2


def _turned(image: Image.Image) -> bool:
    return _orientation(image) != 1


def natural(file: pathlib.Path) -> list[tuple[int, str]]:
    """Returns a key that sorts runs of digits by their value."""
    parts = re.findall(r"[0-9]+|[^0-9]+", file.name.lower())
    return [(int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts]


def write_png(path: pathlib.Path, image: Image.Image) -> None:
    """Writes a PNG, whole or not at all; raises OSError."""
    write_whole(path, encoded_png(image))


def encoded_png(image: Image.Image) -> bytes:
    """Returns a PNG: through memory, for Pillow's own writing loses the reason why it failed."""
    # A palette picture is runs of ids: looking for them alone takes half the time and less room.
    strategy = zlib.Z_RLE if image.mode == "P" else zlib.Z_DEFAULT_STRATEGY
    encoded = io.BytesIO()
    image.save(encoded, format="PNG", compress_type=strategy)
    return encoded.getvalue()
