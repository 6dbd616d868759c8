"""The paper's training for DAVIS: pre-training, then videos, 384x384, Adam at 1e-5, batch 4.

    stm-jax train --config configs/davis_main.py --data DIR --run-folder runs/davis

DIR holds what `static_pretrain.py` names, whose stage comes first, and beside it `DAVIS`
(the 2017 tree, 480p) and `youtube-vos/train` (2018 or 2019).

The cost is unknown: it has not been run to its end here. Expected from the paper: J&F 89.3 on
DAVIS 2016 val and 81.8 on DAVIS 2017 val; without YouTube-VOS 86.5 and 71.6. The number of steps
and how the sources are mixed are guesses, for the paper says neither.
"""

import dataclasses
import runpy
from pathlib import Path

from stm_jax.data.config import DataConfig
from stm_jax.data.sources import Davis, YoutubeVos
from stm_jax.train.config import StageConfig, TrainConfig


def get_config() -> TrainConfig:
    """Returns the recipe; its paths are relative to DIR."""
    first = Path(__file__).with_name("static_pretrain.py")
    pretraining: TrainConfig = runpy.run_path(str(first))["get_config"]()
    data = DataConfig(
        sources=(
            YoutubeVos(Path("youtube-vos/train"), weight=3.0),
            Davis(Path("DAVIS"), weight=1.0, year=2017, split="train"),
        ),
        pasted=0,
        objects=3,
        size=384,
        batch_size=4,
        first_skip=0,
        last_skip=25,
    )
    videos = StageConfig(
        data, steps=260_000, learning_rate=1e-5, final_learning_rate=1e-5, warmup_steps=0
    )
    return dataclasses.replace(pretraining, stages=(*pretraining.stages, videos))
