"""`stm-jax frame`: one frame of a video as a picture, to draw a mask on."""

import dataclasses
import pathlib
from typing import Annotated

import tyro
from PIL import Image

from stm_jax.commands.shared.annotation_options import number_of
from stm_jax.data.frame_reader import FrameReader
from stm_jax.data.image_files import write_png
from stm_jax.data.video_files import open_frames
from stm_jax.errors import InputError
from stm_jax.runtime.outputs import check_outputs


@dataclasses.dataclass(frozen=True)
class Frame:
    """Write one frame of a video as a PNG, upright and at its own size, to draw its mask on.

    Give the mask back by `stm-jax segment VIDEO --mask FRAME=FILE`.
    """

    video: Annotated[tyro.conf.Positional[pathlib.Path], tyro.conf.arg(metavar="VIDEO")]
    """A video file, or a folder of frames."""
    frame: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="FRAME")]
    """Its number, the first is 0; or its name in the folder."""
    out: pathlib.Path
    """The PNG to write; one that is there is replaced."""

    def run(self) -> None:
        """Runs the command.

        Raises:
          InputError: the video cannot be read, or has no such frame.
          OSError: the picture cannot be written.
        """
        if self.out.suffix.lower() != ".png":
            raise InputError(f"--out is {self.out}: give the name of a .png file")
        check_outputs([self.video], files=[self.out])
        reader = FrameReader(open_frames(self.video))
        number = number_of(self.frame, reader, self.video)
        write_png(self.out, Image.fromarray(reader[number]))
        print(f"frame {number}: {self.out}")
