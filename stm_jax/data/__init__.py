"""Frames, masks and video files; data sets as they lie on disk; training clips.

What a configuration names as its data is here; functions are in the modules.
"""

from stm_jax.data.config import (
    Coco,
    DataConfig,
    Davis,
    Photographs,
    PreparedPhotographs,
    PreparedVideos,
    Videos,
    YoutubeVos,
)

__all__ = [
    "Coco",
    "DataConfig",
    "Davis",
    "Photographs",
    "PreparedPhotographs",
    "PreparedVideos",
    "Videos",
    "YoutubeVos",
]
