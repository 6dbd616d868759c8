"""Following objects through a video: frame by frame, or a whole clip at once."""

import contextlib
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stm_jax.compiling import telling_of_long_compiles
from stm_jax.errors import InputError
from stm_jax.infer import edits, saved_state
from stm_jax.infer.attention import Attention, look
from stm_jax.infer.given import check_options, checked_frame, checked_mask, planes_of, size_of
from stm_jax.infer.openvino import OpenVino
from stm_jax.infer.stream import Recipe, VideoState, advance, advance_clip, begin, must_drop
from stm_jax.memory.bank import CAPACITIES, OBJECT_COUNTS, round_up
from stm_jax.memory.protocol import EMPTY, Memory
from stm_jax.memory.rules.every_nth import EveryNth
from stm_jax.nn.model import Model
from stm_jax.reads.protocol import Read

DEFAULT_CAPACITY = 64
"""Slots of a stream's memory: with every fifth frame kept, 315 frames until one gives way."""

CLIP_LENGTHS = (8, 16, 32, 64, 96, 128, 192, 256, 384, 512)
LOG = logging.getLogger("stm_jax")


class Segmenter:
    """Follows the objects of a first mask through a video.

    Ids are kept as given: a mask with 1, 4 and 9 gives answers with 1, 4 and 9. One program is
    compiled for each frame size, number of objects (rounded up) and capacity (rounded up).

    Args:
        model: The network with its weights.
        memorize_every: Every how many frames a frame stays in memory; frame 0 and the
            previous frame are always there.
        memory: What is written and dropped, instead: a rule or a store of stm_jax.memory.
        read: How it is read: a read of stm_jax.reads; None for STM's.
        short_side: Segment at this short side in pixels; answers keep the frames' size.
        dtype: float32 or bfloat16, of convolutions and memory.
        capacity: The most frames that a stream's memory holds, unless it has a bound of its
            own; beyond, the oldest but the first gives way. A clip given whole gets what it needs.
        device: Where it computes; None for JAX's default.
        runtime: What runs the network instead of JAX, made of the same model; `dtype` is then the
            memory's alone.
        zoom: Whether they are seen through a window that follows the objects: `infer/zoom.py`.
    """

    waited = 0.0
    """Seconds of its steps that were other videos'; see `stm_jax.infer.batch`."""

    def __init__(
        self,
        model: Model,
        memorize_every: int = 5,
        *,
        memory: Memory | None = None,
        read: Read | None = None,
        short_side: int | None = None,
        dtype: jax.typing.DTypeLike = jnp.float32,
        capacity: int = DEFAULT_CAPACITY,
        device: jax.Device | None = None,  # pyright: ignore[reportInvalidTypeForm]
        runtime: OpenVino | None = None,
        zoom: bool = False,
    ) -> None:
        check_options(memorize_every, short_side, capacity)
        memory = memory or EveryNth(memorize_every)
        dtype = jnp.dtype(dtype)
        self._recipe = Recipe(model.config, memory, dtype, short_side, read, runtime, zoom)
        self._device = device
        self._variables = model.variables
        if device is not None:
            self._variables = jax.device_put(model.variables, device)
        self._capacity = capacity
        self._state: VideoState | None = None
        self._object_ids: tuple[int, ...] = ()
        self._frame: np.ndarray | None = None
        self._answer: np.ndarray | None = None  # of _frame: ids, or soft masks
        self._told_full = False
        self._slots = 0
        self._called: set[tuple[object, ...]] = set()

    @property
    def object_ids(self) -> tuple[int, ...]:
        """The ids of the objects, in the order of the soft masks."""
        return self._object_ids

    @property
    def kept_frames(self) -> tuple[int, ...]:
        """The numbers of the frames that stay in memory, ascending; the previous is not counted.

        The first frame of a stream is number 0; a frame is written when the next one is segmented.
        """
        staying = self._recipe.memory.staying(self._running().bank)
        return tuple(sorted(staying[staying != EMPTY].tolist()))

    @property
    def memory_bytes(self) -> int:
        """How many bytes the memory takes, whether it is full or not."""
        return sum(leaf.nbytes for leaf in jax.tree.leaves(self._running().bank))

    def segment(
        self, frames: np.ndarray, first_mask: np.ndarray, *, soft: bool = False
    ) -> np.ndarray:
        """Segments a whole clip in one program.

        Args:
            frames: (T, H, W, 3) uint8 RGB.
            first_mask: (H, W) uint8: object ids in the first frame, 0 is background.
            soft: Whether probabilities are returned.

        Returns:
            (T, H, W) uint8 ids, or (T, 1 + objects, H, W) float32 probabilities of background
            and the objects by ascending id. Frame 0 is the given mask.

        Raises:
            InputError: Shapes or dtypes do not fit, or the mask is empty.
        """
        try:
            frames = np.asarray(frames)
        except ValueError as error:  # frames of several sizes
            raise InputError(f"frames must be (T, H, W, 3), all of one size ({error})") from None
        if frames.ndim != 4 or len(frames) == 0:
            raise InputError(f"frames must be (T, H, W, 3) with T >= 1, not {frames.shape}")
        slots = self._slots_for(len(frames))
        first = self._start(frames[0], first_mask, slots, 0, soft, len(frames))
        if len(frames) == 1:
            return first[None]
        padded = round_up(len(frames) - 1, CLIP_LENGTHS)
        later = np.zeros((padded, *frames.shape[1:]), np.uint8)
        later[: len(frames) - 1] = frames[1:]
        with self._first_call(frames[0], padded, soft):
            begun = self._recipe, soft, self._variables, self._running()
            rest = later, jnp.int32(len(frames) - 1), self._padded_ids()
            self._state, results = advance_clip(*begun, *rest)
        results = np.asarray(results[: len(frames) - 1])
        if soft:
            results = results[:, : 1 + len(self._object_ids)]
        self._frame, self._answer = frames[-1].copy(), results[-1].copy()
        return np.concatenate([first[None], results])

    def start(
        self,
        frame: np.ndarray,
        mask: np.ndarray,
        *,
        length: int | None = None,
        objects: int = 0,
        object_ids: Sequence[int] = (),
        soft: bool = False,
    ) -> np.ndarray:
        """Begins a stream with its first frame and mask; forgets any stream before.

        Args:
            frame: (H, W, 3) uint8 RGB.
            mask: (H, W) uint8 object ids, 0 is background.
            length: Frames of the whole video, if known: a short one needs less memory, and some
                memories must know.
            objects: Make room for so many at least, if more will appear later: then nothing is
                compiled again for them. Videos of one size share a program if both this and the
                length are the same.
            object_ids: Objects that the mask need not show: it then says that they are not there.
            soft: Whether the first frame's probabilities are returned rather than ids.

        Returns:
            The given mask, or (1 + objects, H, W) float32.

        Raises:
            InputError: Shapes or dtypes do not fit, or the mask is empty.
        """
        memory = self._recipe.memory
        if memory.needs_length and length is None:
            raise InputError(
                f"{type(memory).__name__} needs the length of the video: start(..., length=frames)"
            )
        slots = self._slots_for(length)
        if memory.slots_for(None) is None:
            slots = min(slots, self._capacity)
        return self._start(frame, mask, slots, objects, soft, length or 0, object_ids)

    def step(self, frame: np.ndarray, *, soft: bool = False) -> np.ndarray:
        """Segments the next frame of the stream.

        Args:
            frame: (H, W, 3) uint8 RGB, of the first frame's size.
            soft: Whether probabilities are returned rather than ids.

        Returns:
            (H, W) uint8 ids, or (1 + objects, H, W) float32.

        Raises:
            InputError: There is no stream, or the frame does not fit.
        """
        state = self._running()
        frame = checked_frame(frame)
        if self._frame is not None and frame.shape != self._frame.shape:
            raise InputError(
                f"a frame of {size_of(frame)} in a video of {size_of(self._frame)}; "
                "start a new stream, or resize it"
            )
        self._tell_when_full(state)
        with self._first_call(frame, 1, soft):
            self._answer = self._advanced(state, frame, soft)
        self._frame = frame
        return np.array(self._answer[: 1 + len(self._object_ids)] if soft else self._answer)

    def add_objects(self, frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Gives masks in the middle of a stream: objects that appear later, or corrections.

        Args:
            frame: (H, W, 3) uint8. Either the frame that was given last, whose answer is then
                corrected, or the next one, which is segmented first. A next frame that is the same
                to the last pixel counts as the one given last.
            mask: (H, W) uint8. Where it is not 0 it overwrites the estimate; an id that was
                not there before is one more object from this frame on.

        Returns:
            (H, W) uint8 ids of this frame.

        Raises:
            InputError: There is no stream, or shapes or dtypes do not fit.
        """
        return self._give(frame, mask, ())

    def correct(
        self, frame: np.ndarray, mask: np.ndarray, objects: Collection[int] | None = None
    ) -> np.ndarray:
        """Says where objects are in a frame, and so that they are nowhere else in it.

        Arguments, result and errors are those of `add_objects`, and `objects`: the ids that the
        mask speaks of, None for all of the stream. Where the estimate has one of them and the mask
        does not, there is background: an object that the mask does not show is erased. It may
        come back. The others are left where they are estimated.
        """
        return self._give(frame, mask, self._object_ids if objects is None else objects)

    def pin(
        self, frame: np.ndarray, mask: np.ndarray, number: int, objects: Collection[int] = ()
    ) -> None:
        """Puts a frame in the memory to stay there, whatever its rule; see `stm_jax.memory.pinned`.

        Args:
            frame: (H, W, 3) uint8, of the stream or not.
            mask: (H, W) uint8 ids; those that the stream does not have are passed over.
            number: By which it is known, from 0 on: one of the same number gives way to it.
            objects: The ids that the mask speaks of, besides those that it shows.
        """
        state, frame = self._running(), checked_frame(frame)
        shown = checked_mask(mask, frame), self._object_ids, objects
        self._recipe = edits.with_place(self._recipe, state, number)
        self._state = self._on_device(
            edits.pin, self._recipe, self._variables, state, frame, *shown, number
        )

    def remove_objects(self, object_ids: Collection[int]) -> None:
        """Forgets objects of the stream; their room is that of the next to come."""
        state, gone = self._running(), set(object_ids)
        if not gone <= set(self._object_ids):
            raise InputError(f"the stream has objects {self._object_ids}, not {sorted(gone)}")
        kept = [i for i, each in enumerate(self._object_ids) if each not in gone]
        self._answer = edits.overlaid(ids := self._last_ids(), np.zeros_like(ids), gone)
        self._state = self._on_device(edits.of_objects, self._recipe, state, kept)
        self._object_ids = tuple(self._object_ids[i] for i in kept)

    def look(self, frame: np.ndarray, row: int, column: int) -> Attention:
        """Returns where the next frame's read goes at a pixel; the stream stays where it is."""
        frame = checked_frame(frame)
        return look(self._recipe, self._variables, self._running(), frame, row, column)

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Returns all that the stream depends on, for saving; see `restore`.

        Raises:
            InputError: There is no stream.
        """
        arrays = saved_state.arrays_of(self._running())
        arrays["object_ids"] = np.array(self._object_ids, np.uint8)
        arrays["last_frame"] = np.array(self._frame)
        arrays["last_ids"] = np.array(self._last_ids())
        return arrays

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Goes on exactly where `state_arrays` was called, with the same model and options.

        Raises:
            InputError: Something is missing: the arrays are of another version or memory.
        """
        try:
            frame = np.array(arrays["last_frame"])
            self._recipe = edits.with_places_of(self._recipe, arrays)
            self._state = self._on_device(saved_state.state_of, self._recipe, arrays, frame)
            self._object_ids = tuple(int(i) for i in arrays["object_ids"])
            self._frame = frame
            self._answer = np.array(arrays["last_ids"])
        except KeyError as error:
            raise InputError(f"the saved state has no {error}; start the video anew") from error

    def _slots_for(self, length: int | None) -> int:
        needed = self._recipe.memory.slots_for(length)
        return self._capacity if needed is None else round_up(needed, CAPACITIES)

    def _start(
        self,
        frame: np.ndarray,
        mask: np.ndarray,
        slots: int,
        objects: int,
        soft: bool,
        length: int,
        named: Sequence[int] = (),
    ) -> np.ndarray:
        frame = checked_frame(frame)
        mask = checked_mask(mask, frame)
        object_ids = tuple(sorted({*np.unique(mask).tolist(), *named} - {0}))
        if not object_ids:
            raise InputError("the first mask is empty: it must show at least one object")
        self._object_ids = object_ids
        count = len(object_ids)
        room = max(objects, count) if objects else round_up(count, OBJECT_COUNTS)
        planes, present = planes_of(mask, object_ids, room)
        self._recipe = edits.without_pinned(self._recipe)
        with telling_of_long_compiles(f"{size_of(frame)}, objects: {room}"):
            self._state = self._on_device(
                begin, self._recipe, slots, frame, planes, present, length
            )
        self._slots = slots
        self._frame, self._answer, self._told_full = frame, mask, False
        if not soft:
            return mask.copy()
        return np.concatenate([(mask == 0)[None], planes[: len(object_ids)]]).astype(np.float32)

    def _give(self, frame: np.ndarray, mask: np.ndarray, told: Collection[int]) -> np.ndarray:
        self._running()
        frame = checked_frame(frame)
        mask = checked_mask(mask, frame)
        if self._frame is None or not np.array_equal(frame, self._frame):
            self.step(frame)
        self._answer = edits.overlaid(self._last_ids(), mask, told)
        self._object_ids = edits.joined(self._object_ids, mask, told)
        self._state = self._on_device(
            edits.give, self._recipe, self._running(), self._object_ids, mask, told
        )
        return self._answer.copy()

    def _advanced(self, state: VideoState, frame: np.ndarray, soft: bool) -> np.ndarray:
        ids = self._padded_ids()
        self._state, result = advance(self._recipe, soft, self._variables, state, frame, ids)
        return np.asarray(result)

    def _first_call(
        self, frame: np.ndarray, frames: int, soft: bool
    ) -> contextlib.AbstractContextManager[None]:
        """Returns what tells of a long compilation, where this call may be one."""
        objects = self._running().present.shape[0]
        call = frame.shape, objects, self._slots, frames, soft
        if call in self._called:
            return contextlib.nullcontext()
        self._called.add(call)
        return telling_of_long_compiles(f"{size_of(frame)}, objects: {objects}")

    def _on_device(self, make: Callable[..., VideoState], *arguments: Any) -> VideoState:
        """Returns the state that is made of the arguments, made on the device."""
        if self._device is None:
            return make(*arguments)
        with jax.default_device(self._device):
            return jax.device_put(make(*arguments), self._device)

    def _running(self) -> VideoState:
        if self._state is None:
            raise InputError("no stream has begun; call start(frame, mask) first")
        return self._state

    def _last_ids(self) -> np.ndarray:
        """The ids of the last frame, (H, W) uint8."""
        assert self._answer is not None
        if self._answer.ndim == 2:
            return self._answer
        return self._padded_ids()[self._answer.argmax(axis=0)]

    def _padded_ids(self) -> np.ndarray:
        """Ids by channel: 0 for the background, then the objects', then padding."""
        ids = np.zeros(1 + self._running().present.shape[0], np.uint8)
        ids[1 : 1 + len(self._object_ids)] = self._object_ids
        return ids

    def _tell_when_full(self, state: VideoState) -> None:
        if self._told_full or not must_drop(self._recipe.memory, state):
            return
        self._told_full = True
        LOG.warning(
            "the memory is full at frame %d: from here on the oldest of its %d frames but the "
            "first gives way (a larger capacity, or a larger memorize_every, keeps more)",
            int(state.frame_number),
            state.bank.frame_numbers.shape[0] - 1,
        )
