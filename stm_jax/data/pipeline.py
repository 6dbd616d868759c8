"""Batches of training clips, deterministic given the seed and the step (grain)."""

from collections.abc import Iterator

import grain
import numpy as np

from stm_jax.config import DataConfig
from stm_jax.data.clips import Clip, Layer, clip_from_photograph, clip_from_video, layer_from
from stm_jax.data.sources import Sample, Video, davis_videos, photographs
from stm_jax.errors import InputError

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
) -> Iterator[Clip]:
    """Yields endless batches {"frames": (b, t, s, s, 3), "masks": (b, t, s, s)}, both uint8.

    Clip i of a stage is the same whoever makes it: batches are the same with any number of
    processes and workers, and a run goes on anywhere by saying where.

    Args:
        config: What to feed.
        seed: The same seed gives the same batches.
        steps: How many steps the stage has: the curriculum's length.
        start: With which batch to begin.
        process: Which of the processes that share the global batch this one is ...
        processes: ... and how many there are; b is the global batch over their number.
        workers: Processes that make clips ahead of time; 0 for two threads.

    Raises:
        InputError: A folder has nothing in it, a mask is missing, or the batch cannot be shared.
    """
    if config.batch_size % processes:
        raise InputError(
            f"a global batch of {config.batch_size} clips cannot be shared by {processes} "
            "processes; give a multiple of them as batch_size"
        )
    samples = [] if config.photographs is None else photographs(config.photographs)

    def layers(rng: np.random.Generator) -> list[Layer]:
        count = rng.integers(config.pasted + 1) if samples else 0
        return [_layer(samples, rng) for _ in range(count)]

    shape = (config.length, config.size, config.objects)
    parts, weights = [], []
    if samples and config.video_share < 1.0:
        dataset = grain.MapDataset.source(samples).seed(seed).shuffle().repeat()

        def from_photograph(sample: Sample, rng: np.random.Generator) -> Clip:
            return clip_from_photograph(sample, layers(rng), rng, *shape)

        parts.append(dataset.random_map(from_photograph))
        weights.append(1.0 - config.video_share)
    if config.videos is not None and config.video_share > 0.0:
        videos = davis_videos(config.videos, config.held_back)
        clips = config.video_share * steps * config.batch_size
        dataset = grain.MapDataset.source(videos).seed(seed + 1).shuffle().repeat()

        def with_skip(index: int, video: Video) -> tuple[Video, int]:
            share = min(1.0, index / clips)
            grown = config.first_skip + share * (config.last_skip - config.first_skip)
            return video, round(grown)

        def from_video(item: tuple[Video, int], rng: np.random.Generator) -> Clip:
            return clip_from_video(*item, layers(rng), rng, *shape)

        parts.append(dataset.map_with_index(with_skip).random_map(from_video))
        weights.append(config.video_share)
    mixed = grain.MapDataset.mix(parts, weights) if len(parts) > 1 else parts[0]
    mine = mixed[start * config.batch_size + process :: processes]
    batches = mine.batch(config.batch_size // processes)
    if workers:
        options = grain.MultiprocessingOptions(num_workers=workers)
        threads = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)
        return iter(batches.to_iter_dataset(threads).mp_prefetch(options))
    return iter(batches.to_iter_dataset(grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)))


def _layer(samples: list[Sample], rng: np.random.Generator) -> Layer:
    sample, other = (samples[i] for i in rng.integers(len(samples), size=2))
    return layer_from(sample, other if rng.random() < STRANGE_SHARE else None, rng)
