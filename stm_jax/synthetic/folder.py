"""A set of synthetic videos on disk, in the layout of DAVIS, written by several processes.

A video has a name with a dot before it, which every reader passes over, until it is whole.
"""

import concurrent.futures
import dataclasses
import hashlib
import multiprocessing
import pathlib
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from stm_jax.data.samples import Sample
from stm_jax.errors import InputError
from stm_jax.files import UNFINISHED, flush, is_whole_png, write_json
from stm_jax.processes import end_with_parent
from stm_jax.results.davis import WRITTEN, write_frame, write_lists
from stm_jax.runtime.claim import remove_written
from stm_jax.runtime.results import ResultsFolder
from stm_jax.synthetic.config import SyntheticConfig
from stm_jax.synthetic.video import name_of, synthetic_video
from stm_jax.version import __version__

SETTINGS = "synthetic.json"
FRAMES, MASKS = "JPEGImages/480p", "Annotations/480p"
SECONDS_A_LOOK = 0.2


class SyntheticFolder(ResultsFolder):
    """One --out folder of `stm-jax synthetic`; see `ResultsFolder`.

    Args:
        config: The knobs of its videos.
        seed: Of the set.
        photographs: What things are cut out of; drawn if there are none.
    """

    def __init__(
        self,
        path: pathlib.Path,
        config: SyntheticConfig,
        seed: int,
        photographs: Sequence[Sample] = (),
    ) -> None:
        super().__init__(
            path,
            # As JSON gives them back: lists for tuples.
            {"seed": seed, "photographs": _hash_of(photographs), "version": __version__}
            | {k: list(v) if isinstance(v, tuple) else v for k, v in vars(config).items()},
            command="synthetic",
            noted=(SETTINGS,),
            folders=(FRAMES, MASKS),
            written=(*(f"{part}/*/{UNFINISHED}" for part in (FRAMES, MASKS)), *WRITTEN, SETTINGS),
        )
        self.config, self.seed, self.photographs = config, seed, photographs

    def begin(self, overwrite: bool) -> None:
        """Makes the folder ready; see `ResultsFolder.begin`."""
        super().begin(overwrite)
        write_json(self.path / SETTINGS, {"settings": self.settings})

    def is_done(self, index: int) -> bool:
        """Says whether a video is there, and no file of it missing, empty or cut off."""
        frames, masks = (self.path / part / name_of(index) for part in (FRAMES, MASKS))
        return all(
            is_whole_png(masks / f"{number:05d}.png") and _is_filled(frames / f"{number:05d}.jpg")
            for number in range(self.config.frames)
        )

    def write_video(
        self, index: int, stopped: Callable[[], bool], tell: Callable[[], None]
    ) -> None:
        """Writes a video of the set, in the place of what is there of it.

        Args:
            index: Which.
            stopped: Asked before each frame whether to stop; nothing of the video stays then.
            tell: Called after each frame.
        """
        name, unfinished, files = name_of(index), f".{name_of(index)}", []
        video = synthetic_video(self.config, self.seed, index, self.photographs)
        self._remove(name)
        self._remove(unfinished)
        try:
            for number, (rgb, ids) in enumerate(video):
                if stopped():
                    return
                files += write_frame(self.path, unfinished, f"{number:05d}", rgb, ids)
                tell()
            flush(files)
            for part in (MASKS, FRAMES):  # a video is there once its frames are
                (self.path / part / unfinished).rename(self.path / part / name)
        finally:
            self._remove(unfinished)

    def _remove(self, name: str) -> None:
        for part in (FRAMES, MASKS):
            remove_written(self.path, (f"{part}/{name}/*", f"{part}/{name}"))


def write_set(
    folder: SyntheticFolder, videos: int, workers: int, progress: Callable[[int], None]
) -> int:
    """Writes the videos of a set that are not there, and then the lists of all.

    The files are the same, byte for byte, however many processes write them.

    Args:
        folder: Begun.
        videos: How many the set has.
        workers: Processes; 1 starts none.
        progress: Called now and then with the number of frames that were written.

    Returns:
        The number of frames that were written.

    Raises:
        InputError: The objects do not fit in a frame, or a process was killed.
        OSError: A file cannot be written.
    """
    missing = [index for index in range(videos) if not folder.is_done(index)]
    if workers == 1 or len(missing) < 2:
        written = 0
        for index in missing:

            def tell() -> None:
                nonlocal written
                written += 1
                progress(written)

            folder.write_video(index, lambda: False, tell)
    else:
        written = _written_by_several(folder, missing, workers, progress)
    write_lists(folder.path, [name_of(index) for index in range(videos)])
    return written


def _written_by_several(
    folder: SyntheticFolder, missing: Sequence[int], workers: int, progress: Callable[[int], None]
) -> int:
    context = multiprocessing.get_context("spawn")
    work = _Work(folder, context.Event(), context.Value("q", 0))
    pool = concurrent.futures.ProcessPoolExecutor(
        min(workers, len(missing)), context, _begin, (work,)
    )
    try:
        waiting = {pool.submit(_write, index) for index in missing}
        while waiting:
            done, waiting = concurrent.futures.wait(
                waiting, SECONDS_A_LOOK, concurrent.futures.FIRST_COMPLETED
            )
            for each in done:
                each.result()
            progress(work.written.value)
    except BrokenProcessPool as error:
        raise InputError(
            f"a process that drew was killed (too little memory?); what is whole is in"
            f" {folder.path}: give fewer --workers to go on"
        ) from error
    finally:
        work.stop.set()
        pool.shutdown(cancel_futures=True)
    return work.written.value


@dataclasses.dataclass(frozen=True)
class _Work:
    """What the processes share: where they write, whether to stop, how many frames are done."""

    folder: SyntheticFolder
    stop: Any
    written: Any

    def tell(self) -> None:
        with self.written.get_lock():
            self.written.value += 1


_work: _Work | None = None


def _begin(work: _Work) -> None:
    global _work
    end_with_parent()
    _work = work


def _write(index: int) -> None:
    assert _work is not None
    _work.folder.write_video(index, _work.stop.is_set, _work.tell)


def _hash_of(photographs: Sequence[Sample]) -> str | None:
    """Returns a hash of the pictures' and masks' content; None if there are none."""
    if not photographs:
        return None
    content = hashlib.sha256()
    for each in photographs:
        for file in (each.image, each.mask):
            assert isinstance(file, pathlib.Path)
            content.update(file.read_bytes())
    return content.hexdigest()


def _is_filled(file: pathlib.Path) -> bool:
    return file.is_file() and file.stat().st_size > 0
