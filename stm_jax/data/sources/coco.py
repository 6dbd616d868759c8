"""Photographs with the instances of a COCO annotations file; regions of crowds are left out."""

import dataclasses
import pathlib
from typing import Literal

from stm_jax.data.bad_files import BadFiles, all_good
from stm_jax.data.coco import ANNOTATIONS, read_annotations
from stm_jax.data.names import file_below
from stm_jax.data.samples import Sample
from stm_jax.data.sources.photographs import with_both_files
from stm_jax.data.sources.protocol import PhotographSource
from stm_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Coco(PhotographSource):
    """Photographs with the instances of a COCO annotations file; regions of crowds are left out.

    Attributes:
        annotations: The JSON file, such as annotations/instances_train2017.json.
        images: The folder that its file names are in, such as train2017.
        weight: As of `Source`.
        kind: As of `Source`.
    """

    annotations: pathlib.Path
    images: pathlib.Path
    weight: float = 1.0
    kind: Literal["coco"] = "coco"

    @property
    def place(self) -> str:
        """The annotations file."""
        return str(self.annotations)

    def check(self) -> None:
        """Looks for both; raises InputError if one is not there."""
        if not self.annotations.is_file():
            raise InputError(f"{self.annotations}: no such file; {ANNOTATIONS}")
        if not self.images.is_dir():
            raise InputError(f"{self.images}: no such folder; give the one with the images")

    def photographs(self, rule: BadFiles = "refuse") -> list[Sample]:
        """Lists the images that have objects."""
        found = [
            Sample(file_below(self.images, name, self.annotations), objects)
            for name, objects in read_annotations(self.annotations)
        ]
        return all_good(found, with_both_files, rule, self.place)
