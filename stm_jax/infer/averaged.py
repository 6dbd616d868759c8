"""Several segmenters of one video, flipped or at other sizes, whose answers are averaged."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from stm_jax.errors import InputError
from stm_jax.infer.segmenter import DEFAULT_CAPACITY, Segmenter
from stm_jax.memory.protocol import Memory
from stm_jax.nn.model import Model
from stm_jax.reads.protocol import Read


class AveragedSegmenter:
    """Follows objects as a `Segmenter` does, several times over, and averages.

    There is a stream for each scale, and one for its mirror image. The streams are independent:
    each has its own memory and memorises its own soft masks, as if it were alone. Only the answer
    of a frame is averaged: the mean of the streams' probabilities, and of that the most probable
    object at every pixel.
    """

    def __init__(
        self,
        model: Model,
        memorize_every: int = 5,
        *,
        memory: Memory | None = None,
        read: Read | None = None,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        short_side: int | None = None,
        dtype: jax.typing.DTypeLike = jnp.float32,
        capacity: int = DEFAULT_CAPACITY,
        device: jax.Device | None = None,  # pyright: ignore[reportInvalidTypeForm]
    ) -> None:
        """Args:
        model: The network with its weights.
        memorize_every: Every how many frames a frame stays in memory.
        memory: What is written and dropped, instead: a rule or a store of stm_jax.memory.
        read: How it is read: a read of stm_jax.reads; None for STM's.
        scales: Factors of the short side; each is a stream.
        flip: Whether each is also segmented mirrored, left to right.
        short_side: Segment at this short side, times the scale; None for the frames' own.
        dtype: float32 or bfloat16, of convolutions and memory.
        capacity: The most frames that each stream's memory holds.
        device: Where it computes; None for JAX's default.
        """
        if not scales or min(scales) <= 0:
            raise InputError(f"scales must be positive, at least one, not {tuple(scales)}")
        if device is not None:
            model = Model(model.config, jax.device_put(model.variables, device))
        self._model, self._memorize_every = model, memorize_every
        self._memory, self._read = memory, read
        self._scales, self._short_side = tuple(scales), short_side
        self._sides = (False, True) if flip else (False,)
        self._dtype, self._capacity, self._device = dtype, capacity, device
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

    def start(
        self,
        frame: np.ndarray,
        mask: np.ndarray,
        *,
        length: int | None = None,
        objects: int = 0,
        soft: bool = False,
    ) -> np.ndarray:
        """Begins all streams; arguments, result and errors are those of `Segmenter.start`."""
        frame = np.array(frame)
        self._streams = [
            (self._segmenter(scale, frame), mirrored)
            for scale in self._scales
            for mirrored in self._sides
        ]
        answers = [
            segmenter.start(
                _turned(frame, mirrored),
                _turned(np.asarray(mask), mirrored),
                length=length,
                objects=objects,
                soft=soft,
            )
            for segmenter, mirrored in self._streams
        ]
        self._frame, self._ids = frame, np.array(mask)
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
        return Segmenter(
            self._model,
            self._memorize_every,
            memory=self._memory,
            read=self._read,
            short_side=short_side,
            dtype=self._dtype,
            capacity=self._capacity,
            device=self._device,
        )


def _turned(image: np.ndarray, mirrored: bool) -> np.ndarray:
    """Returns a frame or a mask, left and right exchanged if it is to be mirrored."""
    return np.ascontiguousarray(image[:, ::-1]) if mirrored else image
