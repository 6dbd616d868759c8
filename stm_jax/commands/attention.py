"""`stm-jax attention`: where in the memory a pixel of a frame was looked up, as a picture."""

import dataclasses
import itertools
import pathlib
import zlib
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from stm_jax.commands.shared.options import ModelOptions, VideoOptions
from stm_jax.data.image_files import write_png
from stm_jax.data.video_files import Frames, ImageFolder
from stm_jax.errors import InputError
from stm_jax.files import check_can_be_written
from stm_jax.runtime.progress import FrameProgress
from stm_jax.runtime.used_memory import explain_out_of_memory

if TYPE_CHECKING:
    from stm_jax.infer.attention import Attention as Looked
    from stm_jax.infer.segmenter import Segmenter

Pictures = dict[int, UInt8[np.ndarray, "height width 3"]]
Masks = dict[int, UInt8[np.ndarray, "height width"]]


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
        frames, first_mask = self.video.open()
        self._check_place(frames)
        ids_there = sorted(set(np.unique(first_mask).tolist()) - {0})
        if self.object is not None and self.object not in ids_there:
            raise InputError(
                f"{self.video.mask} has no object {self.object}: give --object "
                f"{' or '.join(map(str, ids_there))}"
            )

        from stm_jax.report.heat import Sheet

        segmenter = self.model.load().segmenter()
        with explain_out_of_memory():
            attention, pictures, masks = self._look(frames, first_mask, segmenter)
        shown = self.object or int(masks[self.frame][self.pixel]) or ids_there[0]
        sheet = Sheet(
            attention=attention,
            index=segmenter.object_ids.index(shown),
            object_id=shown,
            pixel=self.pixel,
            frame_number=self.frame,
            pictures=pictures,
            ids=masks,
        )
        write_png(self.out, sheet.draw())
        in_memory = sum(number >= 0 for number in attention.frame_numbers.tolist())
        print(f"object {shown}, {in_memory} frames in memory: {self.out}")

    def _check_out(self) -> None:
        self.model.check()
        if self.out.suffix.lower() != ".png":
            raise InputError(f"--out is {self.out}: give the name of a .png file")
        check_can_be_written(self.out)
        inside = self.video.path.resolve()
        if self.out.resolve() == self.video.mask.resolve() or inside in self.out.resolve().parents:
            raise InputError(f"{self.out} lies among the inputs: give another --out")

    def _check_place(self, frames: Frames) -> None:
        if self.frame < 1:
            raise InputError(
                f"--frame is {self.frame}: give 1 or more; frame 0 has its mask, and asks nothing"
            )
        if isinstance(frames, ImageFolder) and self.frame >= frames.count:
            raise self._no_such_frame(frames.count - 1)  # a video's own count may be wrong
        row, column = self.pixel
        if not (0 <= row < frames.height and 0 <= column < frames.width):
            raise InputError(
                f"there is no pixel at row {row}, column {column}: the frames have rows 0 to "
                f"{frames.height - 1} and columns 0 to {frames.width - 1}"
            )

    def _look(
        self,
        frames: Frames,
        first_mask: UInt8[np.ndarray, "height width"],
        segmenter: "Segmenter",
    ) -> tuple["Looked", Pictures, Masks]:
        """Segments up to the frame; returns where it looks, and all frames that are drawn."""
        packed: dict[int, bytes] = {}  # all masks, for which are drawn is known at the end
        attention = None
        with FrameProgress(self.frame + 1) as progress:
            progress.say(f"compiling for {frames.width}x{frames.height} ... (kept for later)")
            for index, frame in enumerate(frames.read()):
                if index in (1, self.frame):  # 1: what cannot be shown is told at once
                    attention = segmenter.look(frame, *self.pixel)
                if index == 0:
                    ids = segmenter.start(frame, first_mask, length=frames.count)
                else:
                    ids = segmenter.step(frame)
                packed[index] = zlib.compress(ids.tobytes())
                progress.update(index + 1, segmented=True)
                if index == self.frame:
                    break
        if attention is None or self.frame not in packed:
            raise self._no_such_frame(len(packed) - 1)
        drawn = {*attention.frame_numbers.tolist(), self.frame}
        read_again = enumerate(itertools.islice(frames.read(), self.frame + 1))
        pictures = {index: frame for index, frame in read_again if index in drawn}
        masks = {
            index: np.frombuffer(zlib.decompress(packed[index]), np.uint8).reshape(frame.shape[:2])
            for index, frame in pictures.items()
        }
        return attention, pictures, masks

    def _no_such_frame(self, last: int) -> InputError:
        return InputError(f"{self.video.path} has no frame {self.frame}: its last is frame {last}")
