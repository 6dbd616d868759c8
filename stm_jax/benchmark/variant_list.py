"""The published memories and reads with their defaults: what `stm-jax variants` compares.

A Python file with `get_variants()`, which returns such a tuple, takes the place of this one.
"""

import dataclasses

from stm_jax.memory.protocol import Memory
from stm_jax.memory.rules.annotated import Annotated
from stm_jax.memory.rules.confident import Confident
from stm_jax.memory.rules.diverse import Diverse
from stm_jax.memory.rules.evenly_spread import EvenlySpread
from stm_jax.memory.rules.every_nth import EveryNth
from stm_jax.memory.rules.fifo import Fifo
from stm_jax.memory.rules.first import First
from stm_jax.memory.rules.least_used import LeastUsed
from stm_jax.memory.rules.previous import Previous
from stm_jax.memory.rules.random_frame import RandomFrame
from stm_jax.memory.rules.recent import Recent
from stm_jax.memory.rules.reservoir import Reservoir
from stm_jax.memory.rules.ucb import Ucb
from stm_jax.memory.stores.afb_urr import AfbUrr
from stm_jax.memory.stores.swiftnet import SwiftNet
from stm_jax.memory.stores.xmem import XMem
from stm_jax.reads.chunked import Chunked
from stm_jax.reads.dense import read_dense
from stm_jax.reads.kernelized import Kernelized
from stm_jax.reads.protocol import Read
from stm_jax.reads.regional import Regional
from stm_jax.reads.top_k import TopK
from stm_jax.reads.window import Window


@dataclasses.dataclass(frozen=True)
class Variant:
    """A memory with a read.

    Attributes:
        name: Of its row and its folder: letters, digits, dots, dashes and underscores.
        memory: What is written and dropped.
        read: How it is read; None for the memory's default.
    """

    name: str
    memory: Memory
    read: Read | None = None


VARIANTS = (
    Variant("stm", EveryNth()),
    Variant("previous", Previous()),
    Variant("first", First()),
    Variant("first-previous", First(previous=True)),
    Variant("evenly-spread", EvenlySpread()),
    Variant("fifo", Fifo()),
    Variant("annotated", Annotated()),
    Variant("recent", Recent()),
    Variant("confident", Confident()),
    Variant("least-used", LeastUsed()),
    Variant("ucb", Ucb()),
    Variant("diverse", Diverse()),
    Variant("reservoir", Reservoir()),
    Variant("random-frame", RandomFrame()),
    Variant("xmem", XMem()),
    Variant("xmem-top-k", XMem(), TopK(30)),
    Variant("afb-urr", AfbUrr()),
    Variant("swift-net", SwiftNet()),
    Variant("stm-dense", EveryNth(), read_dense),
    Variant("stm-chunked", EveryNth(), Chunked()),
    Variant("stm-top-k", EveryNth(), TopK()),
    Variant("stm-kernelized", EveryNth(), Kernelized()),
    Variant("stm-regional", EveryNth(), Regional()),
    Variant("stm-window", EveryNth(), Window()),
)
"""STM first, its rule's siblings, the element stores, then the other reads of STM's memory."""
