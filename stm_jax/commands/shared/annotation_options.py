"""Masks of any frames, and which frames are followed from them: the options of `segment`."""

import dataclasses
import pathlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import tyro

from stm_jax.commands.shared.options import VideoOptions
from stm_jax.data.frame_reader import FrameReader
from stm_jax.data.listing import entries
from stm_jax.data.masks import read_hand_mask
from stm_jax.data.video_files import PICTURES
from stm_jax.errors import InputError

if TYPE_CHECKING:
    from stm_jax.annotate.annotations import Annotation
    from stm_jax.annotate.annotator import Way


@dataclasses.dataclass(frozen=True)
class AnnotationOptions:
    """Masks of several frames, and which frames are followed."""

    masks: pathlib.Path | None = None
    """A folder of masks, each called as its frame, or by the frame's number from 0."""
    gone: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """FRAME=ID,ID: these objects are not in that frame. A mask speaks of the objects that it shows;
    others stay as they are estimated."""
    direction: Literal["both", "forward", "backward"] = "both"
    """Which way from the masks. Between two of them, both sides make one answer."""
    start: int = 0
    """The first frame that is followed; a --mask without FRAME is of this one."""
    end: int | None = None
    """The last; the video's if not given."""
    step: int = 1
    """Follow every so many frames, and those with masks."""

    @property
    def are_default(self) -> bool:
        """Whether none is given."""
        return self == AnnotationOptions()

    def way(self) -> "Way":
        """Returns which frames are followed."""
        from stm_jax.annotate.annotator import Way

        return Way(self.direction, self.start, self.end, self.step)

    def files(self, video: VideoOptions) -> list[pathlib.Path]:
        """Returns what is read, besides the video."""
        given = [pathlib.Path(_split(each)[1]) for each in video.mask]
        return [*given, *([] if self.masks is None else [self.masks])]

    def given(self, video: VideoOptions, reader: FrameReader) -> "dict[int, Annotation]":
        """Returns what is given, by frame; says of each mask what it was taken for.

        Raises:
            InputError: A mask cannot be read, is of no frame or of another size, or there is none.
        """
        from stm_jax.annotate.annotations import annotation

        files: dict[int, pathlib.Path] = {}
        for frame, file in self._named(video, reader):
            if frame in files:
                raise InputError(f"{files[frame]} and {file} are both of frame {frame}: give one")
            files[frame] = file
        gone: dict[int, set[int]] = {}
        for each in self.gone:
            frame, ids = _split(each)
            if frame is None or not all(i.isdecimal() for i in ids.split(",")):
                raise InputError(f"--gone is {each}: give FRAME=ID, or FRAME=ID,ID")
            gone.setdefault(number_of(frame, reader, each), set()).update(map(int, ids.split(",")))
        found = {}
        size = (reader.frames.height, reader.frames.width)
        for frame, file in sorted(files.items()):
            mask = read_hand_mask(file)
            print(
                f"frame {frame}: {file.name}: {mask.described()}",
                file=sys.stderr if mask.looks_inverted else sys.stdout,
            )
            if mask.ids.shape != size:
                raise InputError(
                    f"{file} is {mask.ids.shape[1]}x{mask.ids.shape[0]} but the frames are"
                    f" {size[1]}x{size[0]} (width x height): give a mask of that size"
                )
            told = gone.pop(frame, set())
            if not mask.object_ids and not told:
                raise InputError(
                    f"{file} is empty: mark an object in it, or say by --gone {frame}=ID which are"
                    " not there"
                )
            found[frame] = annotation(mask.ids, told)
        for frame, told in gone.items():
            found[frame] = annotation(reader[frame][..., 0] * 0, told)
        if not any(each.shown for each in found.values()):
            raise InputError("no mask is given: give --mask FILE, or --masks FOLDER")
        return found

    def _named(
        self, video: VideoOptions, reader: FrameReader
    ) -> Iterator[tuple[int, pathlib.Path]]:
        for each in video.mask:
            frame, file = _split(each)
            number = self.start if frame is None else number_of(frame, reader, each)
            yield number, pathlib.Path(file)
        if self.masks is None:
            return
        found = [each for each in entries(self.masks) if each.suffix.lower() in PICTURES]
        if not found:
            raise InputError(f"{self.masks} has no masks in it: give a folder of pictures")
        for file in found:
            yield number_of(file.stem, reader, file), file


def _split(word: str) -> tuple[str | None, str]:
    """Returns the frame, if one is named, and the file."""
    frame, equals, rest = word.partition("=")
    return (None, word) if not equals or pathlib.Path(word).exists() else (frame, rest)


def number_of(name: str, reader: FrameReader, source: object) -> int:
    """Returns the number of the frame that is called so, or has this number."""
    number = reader.index_of(name)
    if number is None and name.isdecimal():
        number = int(name)
    if number is None or number >= reader.count:
        raise InputError(
            f"{source}: the video has no frame {name}; its frames are 0 to {reader.count - 1}"
        )
    return number
