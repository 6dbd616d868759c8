"""The functions that are exported: of named arrays alone, with all that is static decided."""

import dataclasses
import operator
from collections.abc import Callable, Mapping
from typing import Any, cast

import flax.traverse_util
import jax
import jax.export
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, UInt8

from stm_jax.errors import InputError
from stm_jax.infer.stream import Recipe, VideoState, advance, default_read, nearest
from stm_jax.nn.stm import view_of
from stm_jax.ops.aggregate import aggregate, softmax_over_objects
from stm_jax.ops.padding import STRIDE, crop, pad, padding_to_stride
from stm_jax.reads.protocol import MemoryView

Named = dict[str, Array]
"""Arrays by name: weights as in a .safetensors file, or the state of a video."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What an exported program is for.

    Attributes:
        size: Rows and columns of the frames; None for any that are multiples of 16.
        objects: How many objects there is room for.
        slots: How many frames there is room for in the memory.
    """

    size: tuple[int, int] | None
    objects: int
    slots: int

    def symbols(self) -> tuple[Any, Any]:
        """Returns rows and columns as shapes have them: numbers, or multiples of two symbols."""
        if self.size is not None:
            return self.size
        rows, columns = jax.export.symbolic_shape("rows, columns")
        return STRIDE * rows, STRIDE * columns


@dataclasses.dataclass(frozen=True)
class Program:
    """A function, and the shapes that it is exported for.

    Attributes:
        function: What is exported.
        arguments: The shapes and dtypes of its arguments.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


def programs(
    recipe: Recipe, variables: Mapping[str, Any], sizes: Sizes, *, unrolled: bool = False
) -> dict[str, Program]:
    """Returns the programs by name: begin, step, memorize and segment.

    Args:
        recipe: Of the stream; frames are segmented at their own size.
        variables: Of the network, for their shapes.
        sizes: What they are for.
        unrolled: Whether `segment` reads for each object in lines of its own, not in a loop.

    Raises:
        InputError: The memory is read by a read of its own: `segment` is given frames.
    """
    if recipe.memory.own_read:
        name = type(recipe.memory).__name__
        raise InputError(f"{name} holds no keys that could be given: choose another memory")
    height, width = sizes.symbols()
    shape = jax.ShapeDtypeStruct
    working = (height, width) if sizes.size is None else recipe.working_size(*sizes.size)
    padding = padding_to_stride(*working)
    features = tuple((n + a + b) // STRIDE for n, a, b in _padded(working, padding))
    weights = jax.tree.map(lambda a: shape(a.shape, a.dtype), named(variables))
    frame = shape((height, width, 3), jnp.uint8)
    given = shape((sizes.objects, height, width), jnp.float32)
    masks = shape((sizes.objects, *working), jnp.float32)
    present = shape((sizes.objects,), jnp.bool)
    key, value = (
        shape((sizes.objects, sizes.slots, *features, channels), recipe.dtype)
        for channels in recipe.channels
    )
    filled = shape((sizes.objects, sizes.slots), jnp.bool)

    def begin(
        frame: UInt8[Array, "h w 3"],
        masks: Float[Array, "objects h w"],
        present: Bool[Array, " objects"],
    ) -> Named:
        bank = _empty(recipe, sizes, features)
        numbers = (jnp.zeros((), jnp.int32), jnp.ones((), bool), jnp.zeros((), jnp.int32))
        small = (
            masks if working == (height, width) else jnp.asarray(nearest(cast(Any, masks), working))
        )
        return named(VideoState(bank, frame, small, present, *numbers))

    like = _like(recipe, sizes)

    def step(weights: Named, state: Named, frame: UInt8[Array, "h w 3"]) -> tuple:
        ids = jnp.arange(sizes.objects + 1, dtype=jnp.uint8)
        new, probabilities = advance(
            recipe, True, _variables(weights), _state(like, state), frame, ids
        )
        return named(new), probabilities.argmax(axis=0).astype(jnp.uint8), probabilities

    def remember(
        weights: Named, frame: UInt8[Array, "h w 3"], masks: Float[Array, "objects h w"]
    ) -> tuple:
        padded = pad(masks, padding)[None]
        found = recipe.memorized(_variables(weights), recipe.prepared(frame), padded)
        return found.key[0].astype(recipe.dtype), found.value[0].astype(recipe.dtype)

    def segment(
        weights: Named,
        frame: UInt8[Array, "h w 3"],
        keys: Float[Array, "objects slots h16 w16 key"],
        values: Float[Array, "objects slots h16 w16 value"],
        filled: Bool[Array, "objects slots"],
    ) -> Array:
        asked, skips = recipe.queried(_variables(weights), recipe.prepared(frame))
        view = MemoryView(keys, values, filled, jnp.ones(keys.shape[:-1], bool))
        read = recipe.read or default_read(view)

        def read_object(each: MemoryView) -> Array:
            return read(asked.key[0], view_of(recipe.network, each)).values

        if unrolled:
            each = (jax.tree.map(operator.itemgetter(i), view) for i in range(sizes.objects))
            found = jnp.stack([*map(read_object, each)])
        else:
            found = jax.lax.map(read_object, view)
        log_odds = recipe.decoded(_variables(weights), found, asked.value, skips)
        exists = filled.any(axis=1)
        return softmax_over_objects(aggregate(crop(log_odds, padding), exists))

    state = jax.eval_shape(begin, frame, given, present)
    return {
        "begin": Program(begin, (frame, given, present)),
        "step": Program(step, (weights, state, frame)),
        "memorize": Program(remember, (weights, frame, masks)),
        "segment": Program(segment, (weights, frame, key, value, filled)),
    }


def named(tree: Any) -> Named:
    """Returns the arrays of a pytree by their paths in it, a/b/c."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {"/".join(map(_entry, path)): leaf for path, leaf in leaves}


def _entry(entry: Any) -> str:
    return str(getattr(entry, "key", None) or entry.name)


def _variables(weights: Named) -> dict[str, Any]:
    return flax.traverse_util.unflatten_dict(weights, sep="/")


def _state(like: VideoState, arrays: Named) -> VideoState:
    leaves, tree = jax.tree_util.tree_flatten_with_path(like)
    names = ["/".join(map(_entry, path)) for path, _ in leaves]
    return jax.tree_util.tree_unflatten(tree, [arrays[name] for name in names])


def _like(recipe: Recipe, sizes: Sizes) -> VideoState:
    bank = recipe.memory.empty(sizes.objects, sizes.slots, (1, 1), recipe.channels, recipe.dtype)
    return VideoState(bank, *[jnp.zeros(())] * 6)


def _empty(recipe: Recipe, sizes: Sizes, features: tuple) -> Any:
    """Returns an empty memory, whose rows and columns may be symbols, which NumPy cannot have."""

    def of(rows: int, columns: int) -> Any:
        return recipe.memory.empty(
            sizes.objects, sizes.slots, (rows, columns), recipe.channels, recipe.dtype
        )

    def grown(small: Array, other: Array) -> Array:
        # Where another size of features makes another length, there are the rows and the columns.
        sides = iter(features)
        shape = [
            length if length == another else next(sides)
            for length, another in zip(small.shape, other.shape, strict=True)
        ]
        return jnp.broadcast_to(small, shape)

    return jax.tree.map(grown, of(1, 1), of(2, 3))


def _padded(size: tuple, padding: Any) -> list[tuple]:
    return [(size[0], padding.top, padding.bottom), (size[1], padding.left, padding.right)]
