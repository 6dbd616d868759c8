"""What a similarity is: what it makes of a query's key and of a memory's, so that reads need not
know it.
"""

import abc
import itertools
from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float

from stm_jax.reads.protocol import MemoryView


class Similarity(abc.ABC):
    """How alike two keys are: a frozen dataclass of knobs, with pure functions.

    A read's score is a dot product over the square root of the channels. A similarity says of what:
    of the features that it makes of the two keys. So whatever can be written as a dot product, as
    all below can, works in every read, rule and store, which see keys and arrays as before.

    A memory holds the keys that the network gives. Their features are made when it is read: what
    rules and stores compare, merge or choose are the keys themselves, by their own measures.

    What a similarity learns it names, and the network has it: heads beside the key's, 3x3
    convolutions of the same features, and single numbers, which only the query's side sees. What
    the memory's heads give is remembered behind the key, as further channels of it.
    """

    def memory_heads(self, channels: int) -> dict[str, int]:
        """Returns the names of the memory's heads and their channels, for keys of `channels`."""
        del channels
        return {}

    def query_heads(self, channels: int) -> dict[str, int]:
        """Returns the names of the query's heads and their channels, for keys of `channels`."""
        del channels
        return {}

    def numbers(self) -> dict[str, float]:
        """Returns the names of the numbers that are learnt, and what each begins as."""
        return {}

    @abc.abstractmethod
    def of_query(
        self, key: Float[Array, "*positions key"], learnt: Mapping[str, Array]
    ) -> Float[Array, "*positions features"]:
        """Returns the features of a query's keys.

        Args:
            key: Of every position.
            learnt: What each of the query's heads gives there, and the numbers.
        """

    @abc.abstractmethod
    def of_memory(
        self, key: Float[Array, "*positions key"], learnt: Mapping[str, Array]
    ) -> Float[Array, "*positions features"]:
        """Returns the features of a memory's keys.

        Args:
            key: Of every position.
            learnt: What each of the memory's heads gave there.
        """

    def view(self, memory: MemoryView, channels: int) -> MemoryView:
        """Returns one object's memory as reads are given it.

        Args:
            memory: With the keys that are remembered.
            channels: Of a key, what the heads gave not counted.
        """
        heads = self.memory_heads(channels)
        cuts = list(itertools.accumulate([channels, *heads.values()]))[:-1]

        key, *learnt = jnp.split(memory.keys, cuts, axis=-1) if heads else [memory.keys]
        return memory._replace(keys=self.of_memory(key, dict(zip(heads, learnt, strict=True))))
