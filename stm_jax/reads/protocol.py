"""What a read is: what it is given, what it answers."""

from typing import NamedTuple, Protocol

from jaxtyping import Array, Bool, Float


class MemoryView(NamedTuple):
    """What reads see of a memory: of all objects, or without the first axis of one.

    Attributes:
        keys: Of every slot; a slot is a frame, or a single element (mh = mw = 1).
        values: Of every slot; those of empty slots must be finite.
        filled: Which slots hold something of the object; the others weigh exactly 0.
        region: Where the object was in the remembered frames, for the reads that look there
            only. In a slot of a single element either value means that it may be read.
    """

    keys: Float[Array, "*objects slots mh mw key"]
    values: Float[Array, "*objects slots mh mw value"]
    filled: Bool[Array, "*objects slots"]
    region: Bool[Array, "*objects slots mh mw"] | None = None


class Answer(NamedTuple):
    """What a read answers.

    Attributes:
        values: The weighted sum of the memory values at every query position, in their dtype.
        mass: The sum of the weights that each memory position received, float32, which adds up
            to the number of query positions; None unless it was asked for.
    """

    values: Float[Array, "h w value"]
    mass: Float[Array, "slots mh mw"] | None = None


class Read(Protocol):
    """How the memory is read: a frozen dataclass of knobs that is called, static under `jit`."""

    def __call__(
        self,
        query_key: Float[Array, "h w key"],
        memory: MemoryView,
        expected: Bool[Array, "h w"] | None = None,
        *,
        with_mass: bool = False,
    ) -> Answer:
        """Reads one object's memory at every query position; `jax.vmap` or `jax.lax.map` all.

        Scores and softmax are float32 whatever the dtype of keys and values. A query position
        that has nothing to read, as all have where no slot is filled, gets the value 0 and gives
        no mass.

        Args:
            query_key: The frame's key at stride 16.
            memory: What is remembered of the object.
            expected: Where the object is expected in the frame: where it was in the one before.
                Reads that look everywhere ignore it.
            with_mass: Whether the attention mass is wanted too.
        """
        ...
