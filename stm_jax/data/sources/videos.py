"""All videos of a folder in the layout of DAVIS, with or without 480p, and without lists."""

import dataclasses
import pathlib
from typing import Literal

from stm_jax.data.bad_files import BadFiles
from stm_jax.data.layouts import below, by_resolution, check_not_empty, folders
from stm_jax.data.samples import Video
from stm_jax.data.sources.annotated_videos import (
    checked_folder,
    fully_annotated,
    masks_of,
)
from stm_jax.data.sources.protocol import Folder, VideoSource
from stm_jax.data.truth_masks import are_merged


@dataclasses.dataclass(frozen=True)
class Videos(Folder, VideoSource):
    """All videos of a folder in the layout of DAVIS, with or without 480p, and without lists."""

    kind: Literal["videos"] = "videos"

    def check(self) -> None:
        """Looks for folders of frames; raises InputError."""
        frames, _ = self._folders()
        check_not_empty(folders(frames), frames)

    def videos(self, rule: BadFiles = "refuse") -> list[Video]:
        """Lists the videos, every frame with its mask."""
        frames, masks = self._folders()
        names = folders(frames)
        merged = are_merged([mask for name in names for mask in masks_of(masks, name)], str(masks))
        return fully_annotated(names, frames, masks, merged, rule)

    def _folders(self) -> tuple[pathlib.Path, pathlib.Path]:
        folder = checked_folder(self)
        return by_resolution(below(folder, "JPEGImages"), below(folder, "Annotations"))
