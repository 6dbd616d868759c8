"""The videos of a split of DAVIS, a folder that holds JPEGImages, Annotations and ImageSets."""

import dataclasses
import pathlib
from typing import Literal

from stm_jax.data.bad_files import BadFiles
from stm_jax.data.layouts import LISTS_2016, LISTS_2017, below, check_not_empty, listed
from stm_jax.data.samples import Video
from stm_jax.data.sources.annotated_videos import checked_folder, fully_annotated
from stm_jax.data.sources.protocol import Folder, VideoSource


@dataclasses.dataclass(frozen=True)
class Davis(Folder, VideoSource):
    """The videos of a split of DAVIS, a folder that holds JPEGImages, Annotations and ImageSets.

    Attributes:
        year: Whose list it is, 2016 or 2017; in 2016 all objects of a video are one.
        split: A list in ImageSets: train, val or trainval.
        resolution: A folder in JPEGImages: 480p or Full-Resolution.
    """

    year: Literal[2016, 2017] = 2017
    split: str = "train"
    resolution: str = "480p"
    kind: Literal["davis"] = "davis"

    def check(self) -> None:
        """Looks for the folders, and for names in the list; raises InputError."""
        frames, _ = self._folders()
        check_not_empty(self._names(), frames)

    def videos(self, rule: BadFiles = "refuse") -> list[Video]:
        """Lists the videos of the split."""
        frames, masks = self._folders()
        return fully_annotated(self._names(), frames, masks, self.year == 2016, rule)

    def _names(self) -> tuple[str, ...]:
        lists = LISTS_2016 if self.year == 2016 else LISTS_2017
        return listed(self.folder, self.split, lists)[0]

    def _folders(self) -> tuple[pathlib.Path, pathlib.Path]:
        frames, masks = (
            below(checked_folder(self), part) for part in ("JPEGImages", "Annotations")
        )
        return below(frames, self.resolution), below(masks, self.resolution)
