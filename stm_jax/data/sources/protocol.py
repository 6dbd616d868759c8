"""What a source of training data can do; each kind of one is a frozen dataclass.

Its fields are its options, those that are paths relative to the folder of the data; `kind` says in
a run's config.json which source it is.
"""

import abc
import dataclasses
import pathlib
from typing import Any, Self

from stm_jax.data.bad_files import BadFiles
from stm_jax.data.samples import Sample, Video


class Source(abc.ABC):
    """Where photographs or videos come from.

    Attributes:
        weight: Share of the clips, beside the weights of the other sources. Photographs of weight 0
            are only pasted over other clips; videos of weight 0 are not used.
    """

    weight: float

    @property
    @abc.abstractmethod
    def place(self) -> str:
        """Where it is, for a message."""

    @abc.abstractmethod
    def check(self) -> None:
        """Checks that it is there and names something, in the time of listing its folders.

        Raises:
            InputError: A folder, a file or a list is missing, or there is nothing in it.
        """

    def below(self, root: pathlib.Path) -> Self:
        """Returns the source with its paths below a folder."""
        source: Any = self
        fields = {each.name: getattr(self, each.name) for each in dataclasses.fields(source)}
        paths = {name: root / f for name, f in fields.items() if isinstance(f, pathlib.Path)}
        return dataclasses.replace(source, **paths)


class PhotographSource(Source):
    """A source of photographs, each with its mask."""

    @abc.abstractmethod
    def photographs(self, rule: BadFiles = "refuse") -> list[Sample]:
        """Lists them; no picture is read.

        Args:
            rule: What becomes of those that cannot be used.

        Raises:
            InputError: There are none, the layout is unknown, or one has no mask (unless it is to
                be left out).
        """


class VideoSource(Source):
    """A source of videos, each with masks of its frames."""

    @abc.abstractmethod
    def videos(self, rule: BadFiles = "refuse") -> list[Video]:
        """Lists them; no picture is read.

        Args:
            rule: What becomes of those that cannot be used.

        Raises:
            InputError: There are none, or a folder or list is missing; or a video has one frame
                only, or a frame without its mask (unless it is to be left out).
        """


@dataclasses.dataclass(frozen=True)
class Folder(Source):
    """A folder on disk.

    Attributes:
        folder: Which.
        weight: As of `Source`.
    """

    folder: pathlib.Path
    weight: float = 1.0

    @property
    def place(self) -> str:
        """The folder."""
        return str(self.folder)


@dataclasses.dataclass(frozen=True)
class Prepared(Source):
    """ArrayRecord files that `tools/prepare_data.py` has written.

    Attributes:
        folder: What holds dataset_info.json, also in a bucket (gs://...): text, for a path would
            lose one of the two slashes.
        weight: As of `Source`.
    """

    folder: str
    weight: float = 1.0

    @property
    def place(self) -> str:
        """The folder."""
        return self.folder

    def below(self, root: pathlib.Path) -> Self:
        """Returns the source below a folder, unless it is in a bucket."""
        folder = self.folder if "://" in self.folder else str(root / self.folder)
        return dataclasses.replace(self, folder=folder)

    def check(self) -> None:
        """Looks for the files' description; raises InputError if it is not there."""
        from stm_jax.data.records import checked_folder

        checked_folder(self.folder)
