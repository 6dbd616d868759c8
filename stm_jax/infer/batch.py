"""Streams that step together: videos of one program as one batch, shared out over devices."""

import contextlib
import dataclasses
import functools
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int, UInt8

from stm_jax.compiling import telling_of_long_compiles
from stm_jax.errors import InputError
from stm_jax.infer.given import size_of
from stm_jax.infer.segmenter import Segmenter
from stm_jax.infer.stream import Recipe, VideoState, advance
from stm_jax.nn.model import Model
from stm_jax.nn.stm import Variables

EVERYWHERE, SHARED_OUT = PartitionSpec(), PartitionSpec("videos")

Asked = Mapping[int, tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, " 1+objects"]]]
"""The next frame of streams and their ids by channel, by the place of the stream."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """An array of a stream that has a place in a batch: copied only where NumPy looks at it."""

    copy: Callable[[], np.ndarray]
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        """How many bytes it takes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        del copy
        return self.copy().astype(dtype or self.dtype)

    def __int__(self) -> int:
        return int(self.copy())


class Places:
    """The states of several streams, side by side on devices, and the step that they share.

    The first state that is put somewhere decides the shapes; the first step compiles the program.

    Args:
        model: The network with its weights.
        videos: How many streams there are at most.
        devices: What they are shared out over. Where that does not come out even, there are further
            places, which stay empty.
        at_once: Whether a device segments its videos at once, by `vmap`, or one after the other
            within the program; None for at once unless it is a CPU, which is no quicker then. At
            once, a memory's choice between two computations is both of them: one that seldom
            consolidates does so with every frame.

    Attributes:
        count: How many places there are.
        compile_seconds: How long it took to compile the step.
    """

    def __init__(
        self, model: Model, videos: int, devices: Sequence[Any], at_once: bool | None = None
    ) -> None:
        share = -(-videos // len(devices))
        used = devices[: -(-videos // share)]
        self.count = share * len(used)
        self.compile_seconds = 0.0
        self._at_once = devices[0].platform != "cpu" if at_once is None else at_once
        self._mesh = Mesh(np.array(used), ("videos",))
        self._variables = jax.device_put(model.variables, NamedSharding(self._mesh, EVERYWHERE))
        self._leaves: list[Array] = []  # of a state, each with places before its own axes
        self._made_for: tuple[Any, ...] = ()
        self._program: Any = None

    def put(self, place: int, recipe: Recipe, state: VideoState) -> None:
        """Puts a stream's state in its place; what is `Seen` of it is there already.

        Raises:
            InputError: It needs another program than the streams before it.
        """
        leaves, tree = jax.tree.flatten(state)
        made_for = recipe, tree, [leaf.shape for leaf in leaves]
        if not self._leaves:
            self._made_for = made_for
            self._leaves = _in_every_place(self._mesh, self.count, leaves)
        if made_for != self._made_for:
            raise InputError(
                "videos side by side need one size, one length and one room for objects:"
                " start(..., length=..., objects=...) with the most of all, and pin no frame"
            )
        new = [index for index, leaf in enumerate(leaves) if not isinstance(leaf, Seen)]
        old, given = [self._leaves[i] for i in new], [leaves[i] for i in new]
        for index, leaf in zip(new, _put(self._mesh, old, np.int32(place), given), strict=True):
            self._leaves[index] = leaf

    def seen(self, place: int, lock: contextlib.AbstractContextManager[Any]) -> VideoState | None:
        """Returns the state of a stream, of which NumPy copies under the lock what it looks at."""

        def of(index: int, leaf: Array) -> Seen:
            def copy() -> np.ndarray:
                with lock:
                    return np.asarray(self._leaves[index])[place, ...]

            return Seen(copy, leaf.shape[1:], leaf.dtype)

        if not self._leaves:
            return None
        _, tree, _ = self._made_for
        return jax.tree.unflatten(tree, [of(*each) for each in enumerate(self._leaves)])

    def step(self, asked: Asked) -> dict[int, UInt8[np.ndarray, "h w"]]:
        """Segments the next frames of these streams, and returns their ids.

        What is in the other places goes on with a black frame.
        """
        recipe, tree, _ = self._made_for
        frame, ids = next(iter(asked.values()))
        frames = np.zeros((self.count, *frame.shape), np.uint8)
        object_ids = np.zeros((self.count, *ids.shape), np.uint8)
        for place, each in asked.items():
            frames[place], object_ids[place] = each
        given = jax.device_put((frames, object_ids), NamedSharding(self._mesh, SHARED_OUT))
        arguments = self._variables, jax.tree.unflatten(tree, self._leaves), *given
        if self._program is None:
            begun = time.perf_counter()
            what = f"{self.count} videos of {size_of(frame)}, objects: {len(ids) - 1}"
            with telling_of_long_compiles(what):
                lowered = advance_places.lower(recipe, self._mesh, self._at_once, *arguments)
                self._program = lowered.compile()
            self.compile_seconds = time.perf_counter() - begun
        state, answers = self._program(*arguments)
        self._leaves, found = jax.tree.leaves(state), np.asarray(answers)
        return {place: found[place] for place in asked}

    def clear(self) -> None:
        """Gives back what the states take on the devices."""
        self._leaves.clear()


class Batch:
    """Videos of one program, which wait for one another at every step.

    Each has a segmenter that a thread of its own works, with one video after the other: one that
    ends makes room for the next in its place, which is started with the same size, length and room
    for objects. The first arguments are those of `Places`, the options those of each `Segmenter`.

    Attributes:
        segmenters: One for each place that is used.
        steps: How many steps there were ...
        frames: ... and how many frames they segmented. The rest was padding.
    """

    def __init__(
        self,
        model: Model,
        videos: int,
        devices: Sequence[Any],
        *,
        at_once: bool | None = None,
        **options: Any,
    ) -> None:
        self.steps = self.frames = 0
        self._places = Places(model, videos, devices, at_once)
        self._turn = threading.Condition()  # held by whoever touches the places
        self._here = set(range(videos))
        self._asked: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._answers: dict[int, np.ndarray] = {}
        self._share = 0.0
        self._error: BaseException | None = None
        self.segmenters = [SharedSegmenter(self, i, model, **options) for i in range(videos)]

    @property
    def padded(self) -> int:
        """How many frames were padding."""
        return self.steps * self._places.count - self.frames

    def put(self, place: int, recipe: Recipe, state: VideoState) -> None:
        """Puts a stream's state in its place; see `Places.put`."""
        with self._turn:
            self._places.put(place, recipe, state)

    def seen(self, place: int) -> VideoState | None:
        """Returns the state of a stream for NumPy; see `Places.seen`."""
        return self._places.seen(place, self._turn)

    def advance(
        self,
        place: int,
        frame: UInt8[np.ndarray, "h w 3"],
        object_ids: UInt8[np.ndarray, " 1+objects"],
    ) -> tuple[UInt8[np.ndarray, "h w"], float]:
        """Segments the next frame of a stream, together with those of the others.

        Returns:
            The ids, and this stream's share of the seconds that it took.
        """
        with self._turn:
            self._asked[place] = frame, object_ids
            compiling = self._step_unless_one_is_missing()
            self._turn.wait_for(lambda: self._error is not None or place in self._answers)
            if self._error is not None:
                raise self._error
            return self._answers.pop(place), self._share + compiling

    def leave(self, place: int) -> None:
        """Says that no frame more comes here: the others wait for it no longer.

        With the last one, the states are gone.
        """
        with self._turn:
            self._here.discard(place)
            self._step_unless_one_is_missing()
            if not self._here:
                self._places.clear()

    def _step_unless_one_is_missing(self) -> float:
        """Steps if all have been given a frame; returns the seconds that compiling took."""
        if not self._asked or self._asked.keys() < self._here or self._error is not None:
            return 0.0
        begun, compiled_before = time.perf_counter(), self._places.compile_seconds
        try:
            self._answers = self._places.step(self._asked)
        except BaseException as error:
            self._error = error  # all stand in this step, whosever thread makes it
        compiling = self._places.compile_seconds - compiled_before
        self._share = (time.perf_counter() - begun - compiling) / len(self._asked)
        self.steps, self.frames = self.steps + 1, self.frames + len(self._asked)
        self._asked.clear()
        self._turn.notify_all()
        return compiling


class SharedSegmenter(Segmenter):
    """A segmenter whose stream has a place in a batch; when its block is left, so is the place.

    It answers with ids, not with soft masks.
    """

    def __init__(self, batch: Batch, place: int, model: Model, **options: Any) -> None:
        self._batch, self._place = batch, place
        super().__init__(model, **options)

    def __enter__(self) -> "SharedSegmenter":
        return self

    def __exit__(self, *_: object) -> None:
        self._batch.leave(self._place)

    @property
    def _state(self) -> VideoState | None:
        return self._batch.seen(self._place)

    @_state.setter
    def _state(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, state: VideoState | None
    ) -> None:
        if state is not None:
            self._batch.put(self._place, self._recipe, state)

    def _advanced(self, state: VideoState, frame: np.ndarray, soft: bool) -> np.ndarray:
        del state
        if soft:
            raise InputError("videos side by side are answered with ids: leave soft out")
        asked = time.perf_counter()
        answer, own = self._batch.advance(self._place, frame, self._padded_ids())
        self.waited += time.perf_counter() - asked - own
        return answer

    def _first_call(
        self, frame: np.ndarray, frames: int, soft: bool
    ) -> contextlib.AbstractContextManager[None]:
        del frame, frames, soft
        return contextlib.nullcontext()  # the batch tells of compiling


@functools.partial(jax.jit, static_argnames=("mesh", "count"))
def _in_every_place(mesh: Mesh, count: int, leaves: list[Array]) -> list[Array]:
    def repeated(leaves: list[Array]) -> list[Array]:
        shape = (count // mesh.size,)
        return [jnp.broadcast_to(leaf, (*shape, *leaf.shape)) for leaf in leaves]

    return jax.shard_map(
        repeated, mesh=mesh, in_specs=EVERYWHERE, out_specs=SHARED_OUT, check_vma=False
    )(leaves)


@functools.partial(jax.jit, static_argnames="mesh", donate_argnames="leaves")
def _put(mesh: Mesh, leaves: list[Array], place: Int[Array, ""], given: list[Array]) -> list[Array]:
    """Returns the leaves with what is given in one place."""

    def put(leaves: list[Array], place: Array, given: list[Array]) -> list[Array]:
        share = leaves[0].shape[0]
        here = place - jax.lax.axis_index("videos") * share
        at = jnp.clip(here, 0, share - 1)
        return [
            leaf.at[at].set(jnp.where(here == at, new, leaf[at]))
            for leaf, new in zip(leaves, given, strict=True)
        ]

    return jax.shard_map(
        put,
        mesh=mesh,
        in_specs=(SHARED_OUT, EVERYWHERE, EVERYWHERE),
        out_specs=SHARED_OUT,
        check_vma=False,
    )(leaves, place, given)


@functools.partial(jax.jit, static_argnames=("recipe", "mesh", "at_once"), donate_argnames="states")
def advance_places(
    recipe: Recipe,
    mesh: Mesh,
    at_once: bool,
    variables: Variables,
    states: VideoState,
    frames: UInt8[Array, "videos h w 3"],
    object_ids: UInt8[Array, "videos 1+objects"],
) -> tuple[VideoState, UInt8[Array, "videos h w"]]:
    """Returns what `advance` does of each video; no device waits for another."""

    def of_each(
        variables: Variables, states: VideoState, frames: Array, object_ids: Array
    ) -> tuple[VideoState, Array]:
        def of_one(video: tuple[VideoState, Array, Array]) -> tuple[VideoState, Array]:
            return advance(recipe, False, variables, *video)

        videos = states, frames, object_ids
        return jax.vmap(of_one)(videos) if at_once else jax.lax.map(of_one, videos)

    return jax.shard_map(
        of_each,
        mesh=mesh,
        in_specs=(EVERYWHERE, SHARED_OUT, SHARED_OUT, SHARED_OUT),
        out_specs=SHARED_OUT,
        check_vma=False,
    )(variables, states, frames, object_ids)
