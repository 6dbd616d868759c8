# ruff: noqa: I001 - the order of these lines is that of the help texts, tables and variants
"""Memories of single positions instead of whole frames: one store a file, and one line here."""

from stm_jax.memory.stores.xmem import XMem as XMem
from stm_jax.memory.stores.afb_urr import AfbUrr as AfbUrr
from stm_jax.memory.stores.swiftnet import SwiftNet as SwiftNet
from stm_jax.memory.stores.livos import Livos as Livos
