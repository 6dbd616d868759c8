"""What training is fed with: one module a kind of source, and one line here."""

from stm_jax.data.sources.coco import Coco as Coco
from stm_jax.data.sources.davis import Davis as Davis
from stm_jax.data.sources.photographs import Photographs as Photographs
from stm_jax.data.sources.prepared_photographs import PreparedPhotographs as PreparedPhotographs
from stm_jax.data.sources.prepared_videos import PreparedVideos as PreparedVideos
from stm_jax.data.sources.videos import Videos as Videos
from stm_jax.data.sources.youtube_vos import YoutubeVos as YoutubeVos
from stm_jax.moved import of_sources


def __getattr__(name: str) -> object:
    return of_sources(name)  # what was in `stm_jax.data.sources` until 0.1.0
