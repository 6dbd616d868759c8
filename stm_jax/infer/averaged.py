"""Several segmenters of one video, flipped or at other sizes, whose answers are averaged."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from stm_jax.checks import MOST_SCALE, within
from stm_jax.errors import InputError
from stm_jax.infer.segmenter import Segmenter
from stm_jax.nn.model import Model


class AveragedSegmenter:
    """Follows objects as a `Segmenter` does, several times over, and averages.

    There is a stream for each scale, and one for its mirror image. The streams are independent:
    each has its own memory and memorises its own soft masks, as if it were alone. Only the answer
    of a frame is averaged: the mean of the streams' probabilities, and of that the most probable
    object at every pixel.

    Args:
        model: The network with its weights.
        memorize_every: Every how many frames a frame stays in memory.
        scales: Factors of the short side; each is a stream.
        flip: Whether each is also segmented mirrored, left to right.
        short_side: Segment at this short side, times the scale; None for the frames' own.
        options: The others of each stream's `Segmenter`.
    """

    waited = 0.0
    """See `Segmenter.waited`."""

    def __init__(
        self,
        model: Model,
        memorize_every: int = 5,
        *,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        short_side: int | None = None,
        **options: Any,
    ) -> None:
        if not scales:
            raise InputError("scales is empty: give one at least")
        for scale in scales:
            within("a scale", scale, 0, MOST_SCALE, above=True)
        if options.get("device") is not None:
            model = Model(model.config, jax.device_put(model.variables, options["device"]))
        self._model, self._memorize_every, self._options = model, memorize_every, options
        self._scales, self._short_side = tuple(scales), short_side
        self._sides = (False, True) if flip else (False,)
        self._streams: list[tuple[Segmenter, bool]] = []
        self._frame: np.ndarray | None = None
        self._ids: np.ndarray | None = None

    @property
    def object_ids(self) -> tuple[int, ...]:
        """The ids of the objects, in the order of the soft masks."""
        return self._first.object_ids

    @property
    def kept_frames(self) -> tuple[int, ...]:
        """The numbers of the frames that stay in memory; see `Segmenter.kept_frames`."""
        return self._first.kept_frames

    @property
    def memory_bytes(self) -> int:
        """How many bytes the memories of all streams take; see `Segmenter.memory_bytes`."""
        return sum(segmenter.memory_bytes for segmenter, _ in self._running())

    def start(self, frame: np.ndarray, mask: np.ndarray, **options: Any) -> np.ndarray:
        """Begins all streams; options, result and errors are those of `Segmenter.start`."""
        frame, mask = np.array(frame), np.array(mask)
        self._streams = [
            (self._segmenter(scale, frame), mirrored)
            for scale in self._scales
            for mirrored in self._sides
        ]
        answers = [
            segmenter.start(_turned(frame, mirrored), _turned(mask, mirrored), **options)
            for segmenter, mirrored in self._streams
        ]
        self._frame, self._ids = frame, mask
        return answers[0]

    def step(self, frame: np.ndarray, *, soft: bool = False) -> np.ndarray:
        """Segments the next frame in every stream; see `Segmenter.step`.

        Returns:
            (H, W) uint8 ids, or the mean probabilities, (1 + objects, H, W) float32.
        """
        frame = np.array(frame)
        answers = []
        for segmenter, mirrored in self._running():
            found = segmenter.step(_turned(frame, mirrored), soft=True)
            answers.append(found[..., ::-1] if mirrored else found)
        mean = np.mean(answers, axis=0)
        ids = np.array((0, *self.object_ids), np.uint8)
        self._frame, self._ids = frame, ids[mean.argmax(axis=0)]
        return mean if soft else self._ids.copy()

    def add_objects(self, frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Gives masks in the middle of all streams; see `Segmenter.add_objects`."""
        streams = self._running()
        frame, mask = np.array(frame), np.array(mask)
        if self._frame is None or not np.array_equal(frame, self._frame):
            self.step(frame)
        for segmenter, mirrored in streams:
            segmenter.add_objects(_turned(frame, mirrored), _turned(mask, mirrored))
        assert self._ids is not None
        self._ids = np.where(mask > 0, mask, self._ids)
        return self._ids.copy()

    @property
    def _first(self) -> Segmenter:
        return self._running()[0][0]

    def _running(self) -> list[tuple[Segmenter, bool]]:
        if not self._streams:
            raise InputError("no stream has begun; call start(frame, mask) first")
        return self._streams

    def _segmenter(self, scale: float, frame: np.ndarray) -> Segmenter:
        short_side = self._short_side
        if scale != 1:
            short_side = round(scale * (short_side or min(frame.shape[:2])))
        return Segmenter(self._model, self._memorize_every, short_side=short_side, **self._options)


def _turned(image: np.ndarray, mirrored: bool) -> np.ndarray:
    """Returns a frame or a mask, left and right exchanged if it is to be mirrored."""
    return np.ascontiguousarray(image[:, ::-1]) if mirrored else image
