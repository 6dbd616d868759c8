"""What a study compares: a variant; and the published memories and reads with their defaults."""

import dataclasses
from collections.abc import Iterator

from stm_jax.catalogue import PACKAGES, entries
from stm_jax.memory import EveryNth, First, XMem
from stm_jax.memory.protocol import Memory
from stm_jax.reads import TopK
from stm_jax.reads.protocol import Read
from stm_jax.train.config import TrainConfig


@dataclasses.dataclass(frozen=True)
class Variant:
    """A memory with a read, a similarity of keys, and a training where a study asks for one.

    Attributes:
        name: Of its row, and of its masks' folder: letters, digits, dots, dashes, underscores.
        memory: What is written and dropped.
        read: How it is read; None for the memory's default.
        similarity: How alike two keys are, in the words of --similarity; none for the weights' own.
        training: What the network is trained by first; None to take weights as they are.
        seeds: Of repetitions: of the training, and of a memory that draws (its knob `seed`).
    """

    name: str
    memory: Memory
    read: Read | None = None
    similarity: tuple[str, ...] = ()
    training: TrainConfig | None = None
    seeds: tuple[int, ...] = (0,)


def _variants() -> Iterator[Variant]:
    """Yields every memory as it is by default, then every other read of STM's."""
    for entry in entries(*PACKAGES["memory"]):
        if entry.kind.own_read is not None:
            continue  # it reads what weights must be trained for
        yield Variant("stm" if entry.name == "every-nth" else entry.name, entry.kind())
        if entry.name == "first":
            yield Variant("first-previous", First(previous=True))
        if entry.name == "xmem":
            yield Variant("xmem-top-k", XMem(), TopK(30))
    for entry in entries(*PACKAGES["read"]):
        if entry.name != "slots":  # what frames are read with anyway
            yield Variant(f"stm-{entry.name}", EveryNth(), entry.kind())


VARIANTS = tuple(_variants())
"""STM first, its rule's siblings, the stores, then the other reads of STM's memory."""
