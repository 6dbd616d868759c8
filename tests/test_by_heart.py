"""One clip is learned by heart from the ImageNet trunk; `pytest -s` prints J."""

import pathlib

import jax
import numpy as np
from PIL import Image
from safetensors.numpy import load_file

import stm_jax
from stm_jax.config import STM_R18
from stm_jax.data.config import DataConfig
from stm_jax.data.masks import read_mask
from stm_jax.data.video_files import open_frames
from stm_jax.eval.davis import region_similarity
from stm_jax.nn.model import Model, random_model
from stm_jax.train.config import StageConfig, TrainConfig
from stm_jax.train.mesh import data_mesh, place_state
from stm_jax.train.step import initial_state, make_optimizer, make_step
from stm_jax.weights.trunk import with_trunk

ASSETS = pathlib.Path(stm_jax.__file__).parent / "assets"
STEPS, SIZE = 80, 128


def rabbit() -> tuple[np.ndarray, np.ndarray]:
    """Returns frames 0, 20 and 40 of the demo clip and their masks, cut to a square."""
    numbers = (0, 20, 40)
    read = {i: f for i, f in enumerate(open_frames(ASSETS / "bigbuckbunny.mp4").read())}
    masks = np.stack([read_mask(ASSETS / f"bigbuckbunny_masks/{i:05d}.png") for i in numbers])
    frames = np.stack([read[i] for i in numbers])
    height, width = masks.shape[1:]
    middle = round(np.nonzero(masks)[2].mean())
    left = min(max(middle - height // 2, 0), width - height)
    box = (left, 0, left + height, height)

    def cut(array: np.ndarray, resample: Image.Resampling) -> np.ndarray:
        return np.asarray(Image.fromarray(array).crop(box).resize((SIZE, SIZE), resample))

    return (
        np.stack([cut(frame, Image.Resampling.BILINEAR) for frame in frames]),
        np.stack([cut(mask, Image.Resampling.NEAREST) for mask in masks]),
    )


def test_one_clip_is_learned_by_heart(shared: pathlib.Path):
    frames, masks = rabbit()
    trunk = load_file(shared / "weights/resnet18_imagenet_trunk.safetensors")
    start = with_trunk(random_model(STM_R18), trunk)
    stage = StageConfig(DataConfig(), steps=STEPS, learning_rate=1e-3, warmup_steps=5)
    config, mesh = TrainConfig(STM_R18, (stage,)), data_mesh(jax.devices()[:1])
    optimizer = make_optimizer(config)
    state = place_state(mesh, initial_state(start.variables, optimizer))
    step = make_step(config, stage, optimizer, mesh)
    for _ in range(STEPS):
        state, metrics, _ = step(state, {"frames": frames[None], "masks": masks[None]})
    variables = {name: state[name] for name in ("params", "batch_stats")}
    segmenter = stm_jax.Segmenter(Model(STM_R18, variables), memorize_every=1)
    found = segmenter.segment(frames, masks[0])
    scores = [region_similarity(f > 0, m > 0) for f, m in zip(found[1:], masks[1:], strict=True)]
    print(f"after {STEPS} steps: loss {float(metrics['loss']):.4f}, J {np.round(scores, 3)}")
    assert np.mean(scores) >= 0.95
