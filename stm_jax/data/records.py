"""Photographs and videos in ArrayRecord files, decoded only when they are wanted. No TensorFlow.

The files are of TFDS: those that `tfds_builder.py` writes, a frame a record, and the `davis` that
TFDS itself has, a video a record.
"""

import dataclasses
import functools
from typing import Any

from etils import epath

from stm_jax.checks import shown
from stm_jax.data.samples import Sample, Video
from stm_jax.errors import InputError
from stm_jax.json_files import from_json, parse_json

NEEDS_TFDS = "ArrayRecord files need tensorflow-datasets; pip install 'stm_jax[tfds]'"
STOCK = ("video", "frames"), ("video", "segmentations")
OWN = ("image",), ("mask",)


@dataclasses.dataclass(frozen=True)
class RecordPart:
    """An encoded picture in a record; an `Encoded`, see `image_files.py`.

    Attributes:
        folder: What holds dataset_info.json.
        split: Of TFDS, such as "train" or "train_00000+train_00001".
        record: Which record of the split.
        field: Where in the record.
        name: What it is called, for errors.
        frame: Which of the field's pictures; None if it has but one.
    """

    folder: str
    split: str
    record: int
    field: tuple[str, ...]
    name: str
    frame: int | None = None

    @property
    def parent(self) -> str:
        return f"{self.folder}: {self.name.rpartition('/')[0]}"

    def __str__(self) -> str:
        return f"{self.folder}: {self.field[-1]} of {self.name} (record {self.record})"

    def read_bytes(self) -> bytes:
        value: Any = _record(self.folder, self.split, self.record)
        for key in self.field:
            value = value[key]
        return value if self.frame is None else value[self.frame]


def prepared_photographs(folder: str) -> list[Sample]:
    """Lists the photographs of prepared data.

    Raises:
        InputError: There is none in that folder, or it holds videos; or TFDS is not installed.
    """
    entries, merged = _entries(folder, "photographs")
    split = _parts(folder, "train")
    return [
        _sample(folder, split, number, entry["name"], merged)
        for number, entry in enumerate(entries)
    ]


def prepared_videos(folder: str, split: str = "train") -> list[Video]:
    """Lists the videos of prepared data, or of the `davis` of TFDS, which is read through for that.

    Raises:
        InputError: As of `prepared_photographs`.
    """
    split = _parts(folder, split)
    if not (epath.Path(folder) / "metadata.json").exists():
        return _stock_videos(folder, split)
    entries, merged = _entries(folder, "videos")
    videos, first = [], 0
    for entry in entries:
        samples = tuple(
            _sample(folder, split, first + t, f"{entry['name']}/{t}", merged)
            for t in range(entry["records"])
        )
        videos.append(Video(entry["name"], samples, entry["every"]))
        first += entry["records"]
    return videos


def count_records(folder: str) -> int:
    """Returns how many records the files hold that `tfds_builder.py` has written."""
    return len(_source(folder, _parts(folder, "train"))[0])


def _sample(folder: str, split: str, number: int, name: str, merged: bool) -> Sample:
    image, mask = (RecordPart(folder, split, number, field, name) for field in OWN)
    return Sample(image, mask, merged)


def _stock_videos(folder: str, split: str) -> list[Video]:
    videos = []
    for number in range(len(_source(folder, split)[0])):
        record = _record(folder, split, number)
        if not {"video", "metadata"} <= record.keys():
            raise InputError(
                f"{folder} is neither what tools/prepare_data.py writes nor the davis of TFDS: its "
                f"records have {', '.join(record)}; give another folder"
            )
        name = record["metadata"]["video_name"].decode()
        samples = []
        for t in range(len(record["video"]["frames"])):
            image, mask = (
                RecordPart(folder, split, number, field, f"{name}/{t}", t) for field in STOCK
            )
            samples.append(Sample(image, mask))
        videos.append(Video(name, tuple(samples)))
    return videos


def index_of(folder: str) -> dict[str, Any]:
    """Returns what `tfds_builder.py` wrote of the content: its kind, and an entry of each video.

    Raises:
        InputError: There is no such folder or no index in it.
    """
    place = checked_folder(folder) / "metadata.json"
    try:
        content = parse_json(place.read_bytes(), place)
        index = from_json(_Index, content, others=True)
        if index.kind == "videos" and not all(e.records and e.every for e in index.entries):
            raise InputError("a video has no records, or no distance between them")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder}/metadata.json is not there or damaged ({shown(error)}); prepare the data "
            "again with tools/prepare_data.py"
        ) from error
    return {name: content[name] for name in ("kind", "merged", "entries")}


@dataclasses.dataclass(frozen=True)
class _Entry:
    name: str
    records: int | None = None
    every: int | None = None


@dataclasses.dataclass(frozen=True)
class _Index:
    """What metadata.json holds: of photographs an entry has a name only."""

    kind: str
    merged: bool
    entries: tuple[_Entry, ...]


def _entries(folder: str, kind: str) -> tuple[list[dict[str, Any]], bool]:
    """Returns an entry of each photograph or video, and whether all objects of one are one."""
    index = index_of(folder)
    found = index["kind"]
    if found != kind:
        raise InputError(f"{folder} holds {found}, not {kind}; give it as Prepared{found.title()}")
    return index["entries"], index["merged"]


def checked_folder(folder: str) -> epath.Path:
    """Returns the folder, or raises InputError if it is not there or holds no such files."""
    path = epath.Path(folder)
    try:
        if (path / "dataset_info.json").exists():
            return path
    except ImportError as error:
        raise InputError(
            f"{folder} is in a bucket ({error}); for gs:// pip install 'stm_jax[gcs]'"
        ) from error
    holds = "there is no such folder"
    if path.is_dir():
        names = sorted(each.name for each in path.iterdir())
        holds = f"it holds {', '.join(names[:8]) or 'nothing'}"
    raise InputError(
        f"{folder} has no dataset_info.json, {holds}; give the folder that tools/prepare_data.py "
        "printed"
    )


@functools.lru_cache
def _builder(folder: str) -> Any:
    path = checked_folder(folder)
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise InputError(NEEDS_TFDS) from error
    return tfds.builder_from_directory(path)


@functools.lru_cache
def _parts(folder: str, split: str) -> str:
    """Returns the split as TFDS names it: ours are written in parts, see `tfds_builder.py`."""
    splits = sorted(_builder(folder).info.splits)
    parts = [each for each in splits if each == split or each.rpartition("_")[0] == split]
    if not parts:
        raise InputError(f"no split {split} in {folder}; there are {', '.join(splits)}")
    return "+".join(parts)


@functools.lru_cache
def _source(folder: str, split: str) -> tuple[Any, Any]:
    """Returns the sequence of records, opened once in a process, and what parses one."""
    builder = _builder(folder)
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.example_parser import ExampleParserNp

    try:
        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        source = builder.as_data_source(split, deserialize_method=raw)
    except NotImplementedError as error:
        raise InputError(
            f"{folder} is no ArrayRecord data ({' '.join(str(error).split())}); prepare it with "
            "file_format='array_record'"
        ) from error
    # Not TFDS's own decoding: it would decode the pictures of a sequence, all of them.
    return source, ExampleParserNp(builder.info.features.get_serialized_info())


@functools.lru_cache(maxsize=8)  # picture and mask are asked for one after the other
def _record(folder: str, split: str, number: int) -> dict[str, Any]:
    source, parser = _source(folder, split)
    try:
        return parser.parse_example(source[number])
    except Exception as error:  # of protobuf and of ArrayRecord, which raises RuntimeError
        reason = " ".join(str(error).split())
        raise InputError(
            f"record {number} of {split} in {folder} cannot be read ({reason}); copy or prepare it "
            "again"
        ) from error
