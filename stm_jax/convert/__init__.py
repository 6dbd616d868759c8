"""Weights of PyTorch, both ways."""

from stm_jax.convert.pth import read_pth, write_pth
from stm_jax.convert.pytorch import from_pytorch, to_pytorch
from stm_jax.convert.trunk import with_trunk

__all__ = ["from_pytorch", "read_pth", "to_pytorch", "with_trunk", "write_pth"]
