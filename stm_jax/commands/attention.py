"""`stm-jax attention`: where in the memory a pixel of a frame was looked up, as a picture."""

import dataclasses
import pathlib

import numpy as np

from stm_jax.benchmark.attention import Frame, Ids, look_up_to, no_such_frame
from stm_jax.checks import shown
from stm_jax.commands.shared.options import ModelOptions, VideoOptions
from stm_jax.data.image_files import write_png
from stm_jax.data.video_files import Frames, ImageFolder
from stm_jax.errors import InputError
from stm_jax.runtime.outputs import check_outputs, weights_read
from stm_jax.runtime.progress import FrameProgress
from stm_jax.runtime.used_memory import explain_out_of_memory


@dataclasses.dataclass(frozen=True)
class Attention:
    """Draw where in the memory the read of one pixel went.

    Segments the video up to a frame and writes one PNG: that frame with the pixel marked, beside
    it the frames in memory with heat maps, and the share of the attention that each received.
    """

    video: VideoOptions
    frame: int
    """The frame that asks, from 1: the first frame is 0, and asks nothing."""
    pixel: tuple[int, int]
    """Row and column in that frame, from 0 at the top left."""
    out: pathlib.Path
    """The PNG to write; one that is there is replaced."""
    object: int | None = None
    """The id of the object whose memory is shown; else the one at the pixel, or the first."""
    model: ModelOptions = dataclasses.field(default_factory=ModelOptions)

    def run(self) -> None:
        """Runs the command.

        Raises:
          InputError: an input cannot be used, or there is no such frame, pixel or object.
          OSError: the picture cannot be written.
        """
        self._check_out()
        frames, mask_by_hand = self.video.open()
        first_mask = mask_by_hand.ids
        self._check_place(frames)
        ids_there = sorted(set(np.unique(first_mask).tolist()) - {0})
        if self.object is not None and self.object not in ids_there:
            raise InputError(
                f"{self.video.first_mask} has no object {shown(self.object)}: give --object "
                f"{' or '.join(map(str, ids_there))}"
            )

        from stm_jax.report.heat import Sheet

        segmenter = self.model.load().segmenter()
        with explain_out_of_memory(), FrameProgress(self.frame + 1) as progress:
            progress.say(f"compiling for {frames.width}x{frames.height} ... (kept for later)")

            def answer(index: int, frame: Frame) -> Ids:
                if index == 0:
                    ids = segmenter.start(frame, first_mask, length=frames.count)
                else:
                    ids = segmenter.step(frame)
                progress.update(index + 1, segmented=True)
                return ids

            looked = look_up_to(frames.read, answer, segmenter, self.frame, self.pixel)
        attention, pictures, ids = looked
        asked = self.object or int(ids[self.frame][self.pixel]) or ids_there[0]
        index = segmenter.object_ids.index(asked)
        sheet = Sheet(attention, index, asked, self.pixel, self.frame, pictures, ids)
        write_png(self.out, sheet.draw())
        in_memory = sum(number >= 0 for number in attention.frame_numbers.tolist())
        print(f"object {asked}, {in_memory} frames in memory: {self.out}")

    def _check_out(self) -> None:
        self.model.check()
        if self.out.suffix.lower() != ".png":
            raise InputError(f"--out is {self.out}: give the name of a .png file")
        masks = [] if self.video.first_mask is None else [self.video.first_mask]
        inputs = [self.video.path, *masks, *weights_read(self.model.weights)]
        check_outputs(inputs, files=[self.out])

    def _check_place(self, frames: Frames) -> None:
        if self.frame < 1:
            raise InputError(
                f"--frame is {shown(self.frame)}: give 1 or more; frame 0 has its mask, and asks"
                " nothing"
            )
        if isinstance(frames, ImageFolder) and self.frame >= frames.count:
            raise no_such_frame(self.frame, frames.count - 1)  # a video's own count may be wrong
        row, column = self.pixel
        if not (0 <= row < frames.height and 0 <= column < frames.width):
            raise InputError(
                f"there is no pixel at row {shown(row)}, column {shown(column)}: the frames have"
                f" rows 0 to {frames.height - 1} and columns 0 to {frames.width - 1}"
            )
