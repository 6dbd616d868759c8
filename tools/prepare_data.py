"""Writes a source of training data as ArrayRecord files, verifies them and says what they hold.

    python tools/prepare_data.py --out prepared --name davis2017-train davis --folder DAVIS

The kind of the source and its options are those of stm_jax/data/sources. Every frame and mask is
decoded before anything is written, and every record is read back and compared with what the index
says: counts, sizes, ids, SHA-256. Stop it at any time: files have their final names only when they
are whole, and the same command begins again; where they are there already, it only verifies them.

Train on the folder that it prints, as PreparedPhotographs(FOLDER) or PreparedVideos(FOLDER), or
copy that to a bucket first and give gs://... (`pip install 'stm_jax[gcs]'`).
"""

import dataclasses
import functools
import operator
import pathlib
import shutil
import sys
import tempfile
from typing import TYPE_CHECKING, Annotated

import rich.console
import rich.progress
import tyro

from stm_jax.data.bad_files import BadFiles
from stm_jax.data.config import KINDS
from stm_jax.data.records import count_records, index_of, prepared_photographs, prepared_videos
from stm_jax.data.samples import Video
from stm_jax.data.sources.protocol import PhotographSource, Prepared, VideoSource
from stm_jax.errors import InputError

if TYPE_CHECKING:
    FromFiles = PhotographSource | VideoSource
else:
    FromFiles = functools.reduce(operator.or_, (k for k in KINDS if not issubclass(k, Prepared)))


@dataclasses.dataclass(frozen=True)
class Options:
    """What is written, and where."""

    source: Annotated[FromFiles, tyro.conf.arg(name="")]
    """What is read."""
    out: pathlib.Path
    """The folder that gets pictures_with_masks/NAME/1.0.0."""
    name: str
    """What the data set is called."""
    bad_files: BadFiles = "refuse"
    """What becomes of what cannot be used: `refuse` stops there, `skip` leaves it out."""


def main(options: Options) -> None:
    """Prepares what is not there yet, verifies it and prints a summary."""
    from stm_jax.data.tfds_builder import folder_of

    if "://" in str(options.out) or ":/" in str(options.out):
        raise InputError(
            f"--out {options.out}: ArrayRecord files cannot be written to a bucket; prepare them "
            "in a folder and copy that"
        )
    folder = folder_of(options.out, options.name)
    if (folder / "dataset_info.json").is_file():
        print(f"{folder} is there already: it is verified, not written again")
    else:
        _write(options, folder)
    verify(folder)
    print(_summary(folder))


def _write(options: Options, folder: pathlib.Path) -> None:
    from stm_jax.data.tfds_builder import PicturesWithMasks, content_of, described, quietly

    source = options.source
    content = content_of(source, options.bad_files)
    frames = sum(len(video.samples) for video in content)
    with _progress() as bar:
        task = bar.add_task("reading", total=frames)
        good = described(content, options.bad_files, source.place, lambda n: bar.advance(task, n))
    for left in folder.parent.glob("incomplete.*"):  # of a run that was killed
        shutil.rmtree(left)
    with _progress() as bar, quietly():
        task = bar.add_task("writing", total=sum(entry.records for _, entry in good))
        builder = PicturesWithMasks(
            name=options.name,
            out=options.out,
            kind="photographs" if isinstance(source, PhotographSource) else "videos",
            content=good,
            tell=lambda n: bar.advance(task, n),
        )
        with tempfile.TemporaryDirectory() as nothing:
            builder.download_and_prepare(download_dir=nothing)


def verify(folder: pathlib.Path) -> None:
    """Reads every record back.

    Raises:
        InputError: It is not what the index says: what differs is named.
    """
    from stm_jax.data.tfds_builder import describe

    index = index_of(str(folder))
    expected = sum(entry["records"] for entry in index["entries"])
    if (count := count_records(str(folder))) != expected:
        raise InputError(f"{folder} has {count} records, its index names {expected}; {_AGAIN}")
    with _progress() as bar:
        task = bar.add_task("verifying", total=expected)
        for video, entry in zip(_content(folder, index["kind"]), index["entries"], strict=True):
            found = dataclasses.asdict(describe(video, lambda n: bar.advance(task, n)))
            wrong = [key for key in entry if _plain(found.get(key)) != _plain(entry[key])]
            if wrong:
                raise InputError(
                    f"{folder}: {entry['name']} has {wrong[0]} {found.get(wrong[0])}, its index "
                    f"says {entry[wrong[0]]}; {_AGAIN}"
                )


_AGAIN = "remove the folder and prepare it again"


def _plain(value: object) -> object:
    """Returns a value as it comes out of JSON."""
    return list(value) if isinstance(value, tuple) else value


def _content(folder: pathlib.Path, kind: str) -> list[Video]:
    if kind == "videos":
        return prepared_videos(str(folder))
    samples = prepared_photographs(str(folder))
    return [Video(sample.image.name, (sample,)) for sample in samples]


def _summary(folder: pathlib.Path) -> str:
    index = index_of(str(folder))
    entries = index["entries"]
    sizes = sorted({tuple(entry["size"]) for entry in entries})
    objects = [len(entry["ids"]) for entry in entries]
    files = list(folder.glob("*.array_record-*"))
    disk = sum(file.stat().st_size for file in files)
    few = ", ".join(f"{width}x{height}" for height, width in sizes[:4])
    return (
        f"{len(entries)} {index['kind']}, {sum(entry['records'] for entry in entries)} records, "
        f"{sum(objects)} objects (at most {max(objects)} in one)\n"
        f"{few}{', ...' if len(sizes) > 4 else ''}; "
        f"{sum(entry['bytes'] for entry in entries) / 2**20:.1f} MiB of pictures and masks in "
        f"{len(files)} files of {disk / 2**20:.1f} MiB\n"
        f"every record is as its index says: {folder}"
    )


def _progress() -> rich.progress.Progress:
    return rich.progress.Progress(
        *rich.progress.Progress.get_default_columns(),
        rich.progress.MofNCompleteColumn(),
        console=rich.console.Console(stderr=True),
    )


if __name__ == "__main__":
    try:
        main(tyro.cli(Options, description=__doc__))
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; the same command begins again")
