"""The videos of YouTube-VOS 2018 or 2019, and others that are not annotated in every frame."""

import dataclasses
from typing import Literal

from stm_jax.data.bad_files import BadFiles, all_good
from stm_jax.data.layouts import (
    aligned,
    annotations_of,
    below,
    check_not_empty,
    folders,
    pictures,
    read_meta,
)
from stm_jax.data.samples import Video
from stm_jax.data.sources.annotated_videos import (
    annotated_video,
    checked_folder,
    masks_of,
)
from stm_jax.data.sources.protocol import Folder, VideoSource
from stm_jax.data.truth_masks import are_merged
from stm_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class YoutubeVos(Folder, VideoSource):
    """The videos of YouTube-VOS 2018 or 2019, and others that are not annotated in every frame.

    The folder holds JPEGImages, Annotations and meta.json, such as youtube-vos/train; of
    train_all_frames, whose annotations lie beside it, the annotated frames are taken. Clips are
    cut from the annotated frames, there every fifth.
    """

    kind: Literal["youtube-vos"] = "youtube-vos"

    def check(self) -> None:
        """Looks for folders of frames; raises InputError."""
        frames = below(checked_folder(self), "JPEGImages")
        check_not_empty(folders(frames), frames)

    def videos(self, rule: BadFiles = "refuse") -> list[Video]:
        """Lists the videos, their frames that have a mask."""
        given_in = annotations_of(checked_folder(self), self.folder.name)
        frames, masks = below(self.folder, "JPEGImages"), below(given_in, "Annotations")
        meta = read_meta(given_in / "meta.json")
        names = folders(frames) if meta is None else meta
        merged = are_merged([mask for name in names for mask in masks_of(masks, name)], str(masks))

        def video(name: str) -> Video:
            files = pictures(below(frames, name))
            truths = aligned(files, pictures(below(masks, name)))
            annotated = [(f, t) for f, t in zip(files, truths, strict=True) if t is not None]
            if meta is not None:
                named = {stem for _, stems in meta[name].values() for stem in stems}
                missing = sorted(named - {file.stem for file, _ in annotated})
                if missing:
                    raise InputError(
                        f"{masks / name} has no mask {missing[0]}, or it has no frame, but "
                        f"{given_in / 'meta.json'} names it"
                    )
            return annotated_video(name, frames / name, annotated, merged)

        return all_good(names, video, rule, str(frames))
