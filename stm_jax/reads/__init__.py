# ruff: noqa: I001 - the order of these lines is that of the help texts, tables and variants
"""Ways to read the memory: one read a file, and one line here."""

from stm_jax.reads.dense import Dense as Dense
from stm_jax.reads.slots import Slots as Slots
from stm_jax.reads.chunked import Chunked as Chunked
from stm_jax.reads.top_k import TopK as TopK
from stm_jax.reads.kernelized import Kernelized as Kernelized
from stm_jax.reads.regional import Regional as Regional
from stm_jax.reads.window import Window as Window
