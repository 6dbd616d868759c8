r"""Weights that are there, onto your own videos: a few frames of one with their masks are enough.

    stm-jax train --config configs/finetune.py --data DIR --run-folder runs/mine
    stm-jax train --config configs/finetune.py --data DIR --run-folder runs/mine \
        start_from=STM_weights.pth

The first command goes on from the bundled `stm-r18`, the second from the original weights, the
paper's network (`pip install '.[torch]'` reads them). The network is that of the weights.

DIR holds JPEGImages/NAME/ with the frames of a video and Annotations/NAME/ with masks of two of
them or more, each called as its frame. Frames without a mask may lie there: they are left out.

With another video or two that are not trained on, J and F are told on the way and the best weights
kept, in runs/mine/best.safetensors; here is one, OTHER:

    stm-jax train --config configs/finetune.py --data DIR --run-folder runs/mine \
        stages.0.data.held_back=OTHER validate_on=OTHER

Several objects are told apart better with `stages.0.data.objects=2`; with hundreds of masks train
longer, `stages.0.steps=3000`, and all of it, `freeze=`.
"""

from pathlib import Path

from stm_jax.data.config import DataConfig
from stm_jax.data.sources import YoutubeVos
from stm_jax.train.config import StageConfig, TrainConfig


def get_config() -> TrainConfig:
    """Returns the recipe; its paths are relative to DIR."""
    data = DataConfig(
        # Not Videos, which asks for a mask of every frame.
        sources=(YoutubeVos(Path(".")),),
        pasted=0,
        size=384,
        batch_size=2,
        first_skip=25,
        last_skip=25,
    )
    return TrainConfig(
        model=None,
        start_from="stm-r18",
        freeze=("norms",),
        stages=(
            StageConfig(
                data, steps=200, learning_rate=5e-5, final_learning_rate=1e-5, warmup_steps=20
            ),
        ),
        trunk_factor=0.2,
        average_decay=0.95,
        checkpoint_every=100,
        validate_every=100,
    )
