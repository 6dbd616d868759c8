"""Batches of training clips, deterministic given the seed and the step (grain)."""

from collections.abc import Callable

import grain
import numpy as np

from stm_jax.data.bad_files import FirstGood
from stm_jax.data.clips import Clip, clip_from_photograph, clip_from_video
from stm_jax.data.config import DataConfig
from stm_jax.data.pasting import Layer, layer_from
from stm_jax.data.samples import Sample, Video
from stm_jax.data.sources.protocol import PhotographSource, VideoSource
from stm_jax.errors import InputError
from stm_jax.processes import end_with_parent

Layers = Callable[[np.random.Generator], list[Layer]]
Shape = tuple[int, int, int]  # length, size, objects

MOST_CLIPS = 2**52  # of a stage: grain divides the endless length by the batch, in floating point
STRANGE_SHARE = 0.3  # of what is pasted: something that is no object, cut to one's outline


def training_clips(
    config: DataConfig,
    seed: int,
    steps: int,
    *,
    start: int = 0,
    process: int = 0,
    processes: int = 1,
    workers: int = 0,
) -> grain.DatasetIterator[Clip]:
    """Yields what `clip_batches` holds, endlessly, made ahead of time.

    Args:
        config: What to feed.
        seed: As of `clip_batches`.
        steps: As of `clip_batches`.
        start: With which batch to begin.
        process: As of `clip_batches`.
        processes: As of `clip_batches`.
        workers: Processes that make clips; 0 for two threads.

    Raises:
        InputError: As of `clip_batches`; from the iterator: a file cannot be used.
    """
    batches = clip_batches(config, seed, steps, start=start, process=process, processes=processes)
    if workers:
        options = grain.MultiprocessingOptions(num_workers=workers)
        threads = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)
        return iter(batches.to_iter_dataset(threads).mp_prefetch(options, end_with_parent))
    return iter(batches.to_iter_dataset(grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)))


def clip_batches(
    config: DataConfig,
    seed: int,
    steps: int,
    *,
    start: int = 0,
    process: int = 0,
    processes: int = 1,
) -> grain.MapDataset[Clip]:
    """Returns batches {"frames": (b, t, s, s, 3), "masks": (b, t, s, s)}, both uint8.

    Each is made when it is asked for. Clip i of a stage is the same whoever makes it: batches are
    the same with any number of processes and workers, and a run goes on anywhere by saying where.

    Args:
        config: What to feed.
        seed: The same seed gives the same batches.
        steps: How many steps the stage has: the curriculum's length.
        start: Which batch is the first.
        process: Which of the processes that share the global batch this one is ...
        processes: ... and how many there are; b is the global batch over their number.

    Raises:
        InputError: A folder has nothing in it, a mask is missing, or the batch cannot be shared.
    """
    if config.batch_size % processes:
        raise InputError(
            f"a global batch of {config.batch_size} clips cannot be shared by {processes} "
            "processes; give a multiple of them as batch_size"
        )
    photographs, videos = list_sources(config)
    total = sum(source.weight for source in config.sources)
    if not total > 0:
        raise InputError("no clips can be made: there is no source with a weight in data.sources")
    pasted = [sample for samples in photographs.values() for sample in samples]
    first_good = FirstGood(config.bad_files)

    def layers(rng: np.random.Generator) -> list[Layer]:
        count = rng.integers(config.pasted + 1) if pasted else 0
        return [_layer(pasted, rng, first_good) for _ in range(count)]

    shape = (config.length, config.size, config.objects)
    parts, weights = [], []
    for number, source in enumerate(config.sources):
        if source.weight == 0:
            continue
        count = len(photographs.get(number) or videos[number])
        indices = grain.MapDataset.source(range(count)).seed(seed + number).shuffle().repeat()
        if number in photographs:
            make = _from_photographs(photographs[number], layers, shape, first_good)
            parts.append(indices.random_map(make))
        else:
            clips = source.weight / total * steps * config.batch_size
            make = _from_videos(videos[number], layers, shape, first_good)
            parts.append(indices.map_with_index(_skips(config, clips)).random_map(make))
        weights.append(source.weight)
    mixed = grain.MapDataset.mix(parts, weights) if len(parts) > 1 else parts[0]
    mine = mixed[start * config.batch_size + process : MOST_CLIPS : processes]
    return mine.batch(config.batch_size // processes)


def list_sources(config: DataConfig) -> tuple[dict[int, list[Sample]], dict[int, list[Video]]]:
    """Returns the photographs and the videos of each source, by its place in the configuration.

    Raises:
        InputError: A source is not there, holds nothing, or something in it cannot be used.
    """
    photographs, videos, names = {}, {}, set()
    for number, source in enumerate(config.sources):
        if source.weight < 0:
            raise InputError(f"data.sources.{number}.weight is {source.weight}; give 0 or more")
        if isinstance(source, PhotographSource):
            photographs[number] = source.photographs(config.bad_files)
        elif isinstance(source, VideoSource) and source.weight > 0:
            found = source.videos(config.bad_files)
            names |= {video.name for video in found}
            videos[number] = [video for video in found if video.name not in config.held_back]
            if not videos[number]:
                raise InputError(f"all videos of {source.place} are held back")
    unknown = sorted(set(config.held_back) - names)
    if unknown and videos:
        raise InputError(f"no video {', '.join(unknown)} in any source: held_back names it")
    return photographs, videos


def _skips(config: DataConfig, clips: float) -> Callable[[int, int], tuple[int, int]]:
    """Returns what adds to an index of a video the largest skip, which grows over `clips`."""

    def with_skip(position: int, index: int) -> tuple[int, int]:
        share = min(1.0, position / clips)
        return index, round(config.first_skip + share * (config.last_skip - config.first_skip))

    return with_skip


def _from_photographs(
    samples: list[Sample], layers: Layers, shape: Shape, first_good: FirstGood
) -> Callable[[int, np.random.Generator], Clip]:
    def clip(index: int, rng: np.random.Generator) -> Clip:
        pasted = layers(rng)
        return first_good(
            lambda k: clip_from_photograph(samples[(index + k) % len(samples)], pasted, rng, *shape)
        )

    return clip


def _from_videos(
    videos: list[Video], layers: Layers, shape: Shape, first_good: FirstGood
) -> Callable[[tuple[int, int], np.random.Generator], Clip]:
    def clip(item: tuple[int, int], rng: np.random.Generator) -> Clip:
        index, skip = item
        pasted = layers(rng)
        return first_good(
            lambda k: clip_from_video(videos[(index + k) % len(videos)], skip, pasted, rng, *shape)
        )

    return clip


def _layer(samples: list[Sample], rng: np.random.Generator, first_good: FirstGood) -> Layer:
    index, other = rng.integers(len(samples), size=2)
    strange = rng.random() < STRANGE_SHARE

    def layer(k: int) -> Layer:
        sample, outline = (samples[(i + k) % len(samples)] for i in (index, other))
        return layer_from(sample, outline if strange else None, rng)

    return first_good(layer)
