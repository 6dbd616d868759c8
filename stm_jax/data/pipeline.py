"""Batches of training clips, deterministic given the seed and the step (grain)."""

import grain
import numpy as np

from stm_jax.config import DataConfig
from stm_jax.data.clips import Clip, Layer, clip_from_photograph, clip_from_video, layer_from
from stm_jax.data.sources import Sample, Video, davis_videos, photographs

STRANGE_SHARE = 0.3  # of what is pasted: something that is no object, cut to one's outline


def training_clips(config: DataConfig, seed: int, steps: int) -> grain.IterDataset:
    """Returns endless batches {"frames": (b, t, s, s, 3), "masks": (b, t, s, s)}, both uint8.

    Args:
        config: What to feed.
        seed: The same seed gives the same batches.
        steps: How many steps the stage has: the curriculum's length.

    Raises:
        InputError: A folder has nothing in it, or a mask is missing.
    """
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
    options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4 * config.batch_size)
    return mixed.to_iter_dataset(options).batch(config.batch_size, drop_remainder=True)


def _layer(samples: list[Sample], rng: np.random.Generator) -> Layer:
    sample, other = (samples[i] for i in rng.integers(len(samples), size=2))
    return layer_from(sample, other if rng.random() < STRANGE_SHARE else None, rng)
