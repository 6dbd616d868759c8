"""One pass, worked by a `Segmenter`."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from stm_jax.annotate.annotations import Annotation
from stm_jax.annotate.fusion import Soft, sorted_by_id
from stm_jax.annotate.passes import Pass
from stm_jax.data.frame_reader import FrameReader
from stm_jax.infer.segmenter import Segmenter


@dataclasses.dataclass(frozen=True)
class Follower:
    """What follows the objects of a pass from frame to frame.

    Attributes:
        segmenter: Whose stream it is.
        reader: Of the video.
        annotations: By frame.
        following: The pass.
    """

    segmenter: Segmenter
    reader: FrameReader
    annotations: Mapping[int, Annotation]
    following: Pass

    def begin(self) -> None:
        """Starts the stream with the pass's first frame; whatever it was before is forgotten.

        Room is made for the pass's own objects and no more: with another program, the same pass
        could give other bits.
        """
        start = self.following.start
        given = self.annotations[start]
        self.segmenter.start(
            self.reader[start],
            given.mask,
            length=self.reader.count,
            object_ids=sorted(given.objects),
        )
        self._pin(start)

    def answers(self, done: int = 0) -> Iterator[tuple[int, Soft]]:
        """Yields frame and probabilities, the first `done` frames of the pass left out."""
        for frame in self.following.frames[done:]:
            picture = self.reader[frame]
            planes = self.segmenter.step(picture, soft=True)
            soft = sorted_by_id(self.segmenter.object_ids, planes)
            given = self.annotations.get(frame)
            if given is not None:
                self.segmenter.correct(picture, given.mask, given.objects)
                self._pin(frame)
            yield frame, soft

    def in_memory(self, done: int) -> tuple[int, ...]:
        """Returns which frames are in the stream's memory after so many, ascending."""
        stream = (self.following.start, *self.following.frames[:done])
        stages = [e for e in self.following.stages if e.begin in stream]
        staying = {stream[number] for number in self.segmenter.kept_frames}
        return tuple(sorted({*staying, *stages[-1].pinned, stream[-1]}))

    def names_of(self, numbers: np.ndarray, pinned: int) -> np.ndarray:
        """Returns the video's numbers of frames in memory, -1 for none; see `Attention`."""
        stream = np.array((self.following.start, *self.following.frames))
        own = numbers[pinned:]
        named = np.where(own < 0, own, stream[np.maximum(own, 0)])
        return np.concatenate([numbers[:pinned], named])

    def _pin(self, frame: int) -> None:
        """Pins what a stage has in memory, if one begins at the frame."""
        stage = self.following.stage_from(frame)
        for each in stage.pinned if stage else ():
            given = self.annotations[each].of(stage.objects if stage else ())
            self.segmenter.pin(self.reader[each], given.mask, each, given.objects)
