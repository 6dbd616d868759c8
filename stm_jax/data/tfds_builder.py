"""Writes any source as ArrayRecord files, with TFDS and without TensorFlow.

A record is one annotated frame, or one photograph: the bytes of its picture and of its mask as
they lie on disk. So a clip of three frames of a long video reads three records. In what order they
lie, and what must come out when they are read, says an index, metadata.json.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import io
import itertools
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import absl.logging
import numpy as np

from stm_jax.data.bad_files import BadFiles, all_good
from stm_jax.data.coco import Outlines
from stm_jax.data.masks import encoded_mask
from stm_jax.data.records import NEEDS_TFDS
from stm_jax.data.samples import Sample, Video, ids_of
from stm_jax.data.sources.protocol import PhotographSource, VideoSource
from stm_jax.errors import InputError

try:
    import tensorflow_datasets as tfds
except ImportError as error:
    raise InputError(NEEDS_TFDS) from error

PART_BYTES = 256 * 2**20

Told = Callable[[int], object]
"""Called with how many pictures more are done."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """What the index says of a video or a photograph.

    Attributes:
        name: The video's, or the file's.
        records: How many.
        every: As of `Video`.
        size: (height, width).
        ids: The objects' in all of its masks.
        bytes: Of all pictures and masks.
        sha256: Of them all in their order, picture before mask.
    """

    name: str
    records: int
    every: int
    size: tuple[int, int]
    ids: tuple[int, ...]
    bytes: int
    sha256: str


def folder_of(out: pathlib.Path, name: str) -> pathlib.Path:
    """Returns where `PicturesWithMasks` puts a data set."""
    return out / PicturesWithMasks.name / name / str(PicturesWithMasks.VERSION)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keeps TFDS from printing: no bars, no lines."""
    tfds.disable_progress_bar()
    before = absl.logging.get_verbosity()
    absl.logging.set_verbosity(absl.logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        absl.logging.set_verbosity(before)


def content_of(source: PhotographSource | VideoSource, rule: BadFiles) -> list[Video]:
    """Lists what a source holds; a photograph is a video of one frame."""
    if isinstance(source, PhotographSource):
        return [Video(s.image.name, (s,)) for s in source.photographs(rule)]
    return source.videos(rule)


def described(
    content: Sequence[Video], rule: BadFiles, where: str, tell: Told = lambda _: None
) -> list[tuple[Video, Entry]]:
    """Decodes everything, in as many threads as there are cores, and returns what is in order.

    Raises:
        InputError: Something cannot be used, and is not to be left out.
    """
    with concurrent.futures.ThreadPoolExecutor() as pool:
        done = [pool.submit(describe, video, tell) for video in content]
        try:
            pairs = zip(content, done, strict=True)
            return all_good(pairs, lambda pair: (pair[0], pair[1].result()), rule, where)
        finally:
            pool.shutdown(cancel_futures=True)


def describe(video: Video, tell: Told = lambda _: None) -> Entry:
    """Decodes every frame and mask of a video.

    Raises:
        InputError: One cannot be used, two sizes are among them, or no mask shows an object.
    """
    digest, size, ids, total = hashlib.sha256(), None, set[int](), 0
    for sample in video.samples:
        _, mask = sample.read()
        if size not in (None, mask.shape):
            raise InputError(
                f"{sample.image} is {mask.shape[1]}x{mask.shape[0]} but the frames before it are "
                f"{size[1]}x{size[0]}; make their sizes equal"
            )
        size = mask.shape
        ids |= set(ids_of(mask).tolist())
        for encoded in encoded_pair(sample):
            digest.update(encoded)
            total += len(encoded)
        tell(1)
    if size is None or not ids:
        raise InputError(
            f"no mask of {video.samples[0].image} shows an object; remove it"
            if len(video.samples) == 1
            else f"no mask of {video.name} in {video.samples[0].image.parent} shows an object; "
            "remove the video or its masks"
        )
    return Entry(
        video.name,
        len(video.samples),
        video.every,
        size,
        tuple(sorted(ids)),
        total,
        digest.hexdigest(),
    )


def encoded_pair(sample: Sample) -> tuple[bytes, bytes]:
    """Returns the bytes of a picture and of its mask; what is no picture becomes a palette PNG."""
    if isinstance(sample.mask, Outlines) or sample.mask.name.endswith(".mat"):
        return sample.image.read_bytes(), encoded_mask(sample.ids())
    return sample.image.read_bytes(), sample.mask.read_bytes()


class PicturesWithMasks(tfds.core.GeneratorBasedBuilder):
    """Frames or photographs, each with its mask, encoded.

    Beyond 1 GiB in a split, TFDS collects its records in files that it opens with TensorFlow. So
    a split is written in parts of less, train_00000, train_00001, ..., a TFDS split each.
    """

    VERSION = tfds.core.Version("1.0.0")

    def __init__(
        self,
        *,
        name: str,
        out: pathlib.Path,
        kind: str,
        content: Sequence[tuple[Video, Entry]],
        tell: Told = lambda _: None,
    ) -> None:
        """Nothing is written yet.

        Args:
            name: Of the data set.
            out: The folder in which it gets a folder, `data_dir`.
            kind: "photographs" or "videos".
            content: What `described` returned.
            tell: Is told of each record.
        """
        self._kind, self._content, self._tell = kind, content, tell
        config = tfds.core.BuilderConfig(name=name, version=self.VERSION)
        super().__init__(data_dir=out, config=config, file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        index = {
            "kind": self._kind,
            "merged": any(video.samples[0].merged for video, _ in self._content),
            "entries": [dataclasses.asdict(entry) for _, entry in self._content],
        }
        encoded = functools.partial(tfds.features.Scalar, np.object_)
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{self._kind.capitalize()} and masks, encoded, for stm_jax.",
            features=tfds.features.FeaturesDict(
                {"name": tfds.features.Text(), "image": encoded(), "mask": encoded()}
            ),
            disable_shuffling=True,  # records lie in the order of the index
            metadata=tfds.core.MetadataDict(index),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict]]]:
        del dl_manager
        parts = collections.defaultdict(list)
        for (video, _), end in zip(
            self._content, itertools.accumulate(e.bytes for _, e in self._content), strict=True
        ):
            parts[(end - 1) // PART_BYTES].append(video)
        return {
            f"train_{number:05d}": self._generate_examples(videos)
            for number, videos in enumerate(parts.values())
        }

    def _generate_examples(self, videos: Iterable[Video]) -> Iterator[tuple[int, dict]]:
        samples = [(video, sample) for video in videos for sample in video.samples]
        for key, (video, sample) in enumerate(samples):
            image, mask = encoded_pair(sample)
            yield key, {"name": f"{video.name}/{sample.image.name}", "image": image, "mask": mask}
            self._tell(1)
