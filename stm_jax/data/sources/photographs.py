"""Photographs with masks: DUTS, ECSSD, MSRA10K, PASCAL VOC, SBD or folders like theirs."""

import dataclasses
import pathlib
from typing import Literal

from stm_jax.data.bad_files import BadFiles, all_good
from stm_jax.data.layouts import PICTURES, check_not_empty, holds
from stm_jax.data.listing import files_with
from stm_jax.data.samples import Sample
from stm_jax.data.sources.protocol import Folder, PhotographSource
from stm_jax.data.truth_masks import are_merged
from stm_jax.errors import InputError

PAIRED = (
    ("images", "masks"),
    ("DUTS-TR-Image", "DUTS-TR-Mask"),
    ("DUTS-TE-Image", "DUTS-TE-Mask"),
    ("images", "ground_truth_mask"),  # ECSSD
)
VOC = ("JPEGImages", "SegmentationObject", ".png")
SBD = ("img", "inst", ".mat")
"""Where pictures and masks are, and the masks' suffix. Most of the images of VOC have no mask."""


@dataclasses.dataclass(frozen=True)
class Photographs(Folder, PhotographSource):
    """Photographs with masks: DUTS, ECSSD, MSRA10K, PASCAL VOC, SBD or folders like theirs."""

    kind: Literal["photographs"] = "photographs"

    def check(self) -> None:
        """Looks for pictures in a layout that is known; raises InputError."""
        pairs, _ = self._pairs()
        check_not_empty(pairs, self.folder)

    def photographs(self, rule: BadFiles = "refuse") -> list[Sample]:
        """Lists the photographs of whichever layout the folder has."""
        pairs, with_ids = self._pairs()
        masks = [mask for _, mask in pairs]
        merged = not with_ids and are_merged(masks, str(masks[0].parent if masks else self.folder))
        samples = [Sample(image, mask, merged) for image, mask in pairs]
        return all_good(samples, with_both_files, rule, self.place)

    def _pairs(self) -> tuple[list[tuple[pathlib.Path, pathlib.Path]], bool]:
        """Returns pictures and masks, and whether the layout says that the masks hold ids."""
        folder = self.folder
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; give one with photographs and masks")
        for images, masks in PAIRED:
            if (folder / images).is_dir() and (folder / masks).is_dir():
                files = files_with(folder / images, PICTURES)
                return [(f, folder / masks / f"{f.stem}.png") for f in files], False
        for images, masks, suffix in (VOC, SBD):
            if (folder / images).is_dir() and (folder / masks).is_dir():
                files = files_with(folder / masks, (suffix,))
                return [(folder / images / f"{f.stem}.jpg", f) for f in files], True
        files = files_with(folder, (".jpg", ".jpeg"))
        if any(file.with_suffix(".png").is_file() for file in files):  # MSRA10K
            return [(file, file.with_suffix(".png")) for file in files], False
        looked_for = ", ".join(
            f"{images}/ with {masks}/" for images, masks in (*PAIRED, VOC[:2], SBD[:2])
        )
        raise InputError(
            f"{folder} has no photographs with masks: looked for {looked_for}, and NAME.jpg with "
            f"NAME.png; {holds(folder)}"
        )


def with_both_files(sample: Sample) -> Sample:
    """Returns the photograph, or raises InputError if its picture or its mask is not there."""
    if isinstance(sample.mask, pathlib.Path) and not sample.mask.is_file():
        raise InputError(f"{sample.image} has no mask: there is no {sample.mask}")
    if isinstance(sample.image, pathlib.Path) and not sample.image.is_file():
        raise InputError(f"{sample.image}: no such image, but there is a mask of it")
    return sample
