"""Where training videos and photographs lie: lists of encoded files, decoded one at a time."""

import dataclasses
import pathlib

import numpy as np
from PIL import Image

from stm_jax.data.masks import read_mask
from stm_jax.errors import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclasses.dataclass(frozen=True)
class Sample:
    """An image and its mask on disk.

    Attributes:
        image: The RGB image.
        mask: The mask: palette ids, or 0/255 for one object.
    """

    image: pathlib.Path
    mask: pathlib.Path

    def read(self) -> tuple[Image.Image, Image.Image]:
        """Decodes both: RGB, and grey levels that are ids.

        Raises:
            InputError: A file is missing or damaged, or their sizes differ: it is named.
        """
        try:
            image = Image.open(self.image).convert("RGB")
        except (OSError, SyntaxError) as error:
            raise InputError(
                f"{self.image} cannot be read ({error}); remove or replace it"
            ) from error
        ids = read_mask(self.mask)
        if (image.height, image.width) != ids.shape:
            raise InputError(
                f"{self.mask} is {ids.shape[1]}x{ids.shape[0]} but its image "
                f"{self.image.name} is {image.width}x{image.height}; make their sizes equal"
            )
        return image, Image.fromarray(ids)


@dataclasses.dataclass(frozen=True)
class Video:
    """A sequence of frames with their masks, in temporal order."""

    name: str
    samples: tuple[Sample, ...]


def photographs(folder: pathlib.Path) -> list[Sample]:
    """Lists photographs with masks: `folder/images/NAME.jpg` and `folder/masks/NAME.png`.

    Raises:
        InputError: There are none, or one has no mask.
    """
    images = _images(folder / "images")
    samples = [Sample(image, folder / "masks" / f"{image.stem}.png") for image in images]
    return [_checked(sample) for sample in samples]


def davis_videos(root: pathlib.Path, exclude: tuple[str, ...] = ()) -> list[Video]:
    """Lists the sequences of a folder in the DAVIS layout at 480p, without those in `exclude`.

    Raises:
        InputError: There is none, a name in `exclude` is not there, or a frame has no mask.
    """
    parent = root / "JPEGImages" / "480p"
    names = sorted(p.name for p in parent.iterdir() if p.is_dir()) if parent.is_dir() else []
    if not names:
        raise InputError(f"no sequence in {parent}; give a folder in the DAVIS layout")
    unknown = set(exclude) - set(names)
    if unknown:
        raise InputError(f"no sequence {', '.join(sorted(unknown))} in {parent}")
    videos = []
    for name in names:
        if name not in exclude:
            masks = root / "Annotations" / "480p" / name
            samples = [Sample(i, masks / f"{i.stem}.png") for i in _images(parent / name)]
            videos.append(Video(name, tuple(_checked(sample) for sample in samples)))
    return videos


def _images(folder: pathlib.Path) -> list[pathlib.Path]:
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    found = [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES]
    if not found:
        raise InputError(f"no images in {folder}")
    return found


def _checked(sample: Sample) -> Sample:
    if not sample.mask.is_file():
        raise InputError(f"{sample.image} has no mask: there is no {sample.mask}")
    return sample


def ids_of(mask: Image.Image) -> np.ndarray:
    """Returns the object ids in a mask, without the background, ascending."""
    ids = np.unique(np.asarray(mask))
    return ids[ids > 0]
