"""The paper's training for YouTube-VOS: pre-training, then videos, 384x384, Adam at 1e-5, batch 4.

    stm-jax train --config configs/youtube_vos_main.py --data DIR --run-folder runs/youtube-vos

DIR holds what `static_pretrain.py` names, whose stage comes first, and beside it
`youtube-vos/train` (2018 or 2019).

The cost is unknown: it has not been run to its end here. Expected from the paper: 79.4 overall on
the validation set of YouTube-VOS 2018. The number of steps is a guess, for the paper gives none.
"""

import dataclasses
import runpy
from pathlib import Path

from stm_jax.data.sources import YoutubeVos
from stm_jax.train.config import TrainConfig


def get_config() -> TrainConfig:
    """Returns the recipe, that for DAVIS without DAVIS; its paths are relative to DIR."""
    beside = Path(__file__).with_name("davis_main.py")
    config: TrainConfig = runpy.run_path(str(beside))["get_config"]()
    *pretraining, videos = config.stages
    data = dataclasses.replace(videos.data, sources=(YoutubeVos(Path("youtube-vos/train")),))
    return dataclasses.replace(
        config, stages=(*pretraining, dataclasses.replace(videos, data=data))
    )
