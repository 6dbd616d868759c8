"""The published memories and reads with their defaults: what `stm-jax variants` compares.

A Python file with `get_variants()`, which returns such a tuple, takes the place of this one.
"""

import dataclasses

from stm_jax.memory.afb_urr import AfbUrr
from stm_jax.memory.memory import Memory
from stm_jax.memory.rules import (
    Annotated,
    EvenlySpread,
    EveryNth,
    Fifo,
    First,
    Previous,
    RandomFrame,
    Recent,
    Reservoir,
)
from stm_jax.memory.rules_scored import Confident, Diverse, LeastUsed, Ucb
from stm_jax.memory.swiftnet import SwiftNet
from stm_jax.memory.xmem import XMem
from stm_jax.ops.chunked_read import ChunkedRead
from stm_jax.ops.local_reads import KernelizedRead, RegionalRead, WindowRead
from stm_jax.ops.memory_read import Read, read_dense
from stm_jax.ops.top_k_read import TopKRead


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
    Variant("xmem-top-k", XMem(), TopKRead(30)),
    Variant("afb-urr", AfbUrr()),
    Variant("swift-net", SwiftNet()),
    Variant("stm-dense", EveryNth(), read_dense),
    Variant("stm-chunked", EveryNth(), ChunkedRead()),
    Variant("stm-top-k", EveryNth(), TopKRead()),
    Variant("stm-kernelized", EveryNth(), KernelizedRead()),
    Variant("stm-regional", EveryNth(), RegionalRead()),
    Variant("stm-window", EveryNth(), WindowRead()),
)
"""STM first, its rule's siblings, the element stores, then the other reads of STM's memory."""
