# pyright: strict
"""What a user may write: `.ci/check_wheel` type-checks it against the installed wheel."""

import pathlib
from typing import assert_type

import numpy as np

import stm_jax


def follow(frames: np.ndarray, first_mask: np.ndarray, out: pathlib.Path) -> np.ndarray:
    """Follows objects with another memory and another read."""
    model = assert_type(stm_jax.load("stm-r18"), stm_jax.Model)
    memory, read = stm_jax.memory.Fifo(frames=8), stm_jax.reads.TopK(k=30)
    segmenter = stm_jax.Segmenter(model, memory=memory, read=read, short_side=240)
    try:
        ids = segmenter.segment(frames, first_mask)
    except stm_jax.InputError as error:
        raise SystemExit(str(error)) from error
    assert_type(segmenter.kept_frames, tuple[int, ...])
    stm_jax.save(model, out / "copy.safetensors")
    return ids


def train(videos: pathlib.Path, run: pathlib.Path) -> stm_jax.Model:
    """Trains the small network on a folder of videos."""
    data = stm_jax.data.DataConfig(sources=(stm_jax.data.Videos(videos),), size=192, batch_size=2)
    stage = stm_jax.train.StageConfig(data, steps=100, learning_rate=1e-4)
    config = stm_jax.train.TrainConfig(stm_jax.config.STM_R18, (stage,), start_from="stm-r18")
    return assert_type(stm_jax.train.fit(config, run), stm_jax.Model)


def score(truth: np.ndarray, answer: np.ndarray) -> float:
    """Scores an object of a frame, and takes the weights to PyTorch's names."""
    arrays = stm_jax.weights.to_pytorch(stm_jax.load("stm-r18"))
    assert all(name for name in arrays)
    return float(stm_jax.eval.davis.region_similarity(answer == 1, truth == 1))
