"""Videos that `tools/prepare_data.py` has written, or TFDS its `davis`."""

import dataclasses
from typing import Literal

from stm_jax.data.bad_files import BadFiles
from stm_jax.data.records import prepared_videos
from stm_jax.data.samples import Video
from stm_jax.data.sources.protocol import Prepared, VideoSource


@dataclasses.dataclass(frozen=True)
class PreparedVideos(Prepared, VideoSource):
    """Videos that `tools/prepare_data.py` has written, or TFDS its `davis`.

    Attributes:
        split: train, or of the `davis` of TFDS also validation.
    """

    split: str = "train"
    kind: Literal["prepared-videos"] = "prepared-videos"

    def videos(self, rule: BadFiles = "refuse") -> list[Video]:
        """Lists the videos; all of them have been looked at when they were prepared."""
        return prepared_videos(self.folder, self.split)
