"""Weights of PyTorch, both ways."""

from stm_jax.weights.pth import read_pth, write_pth
from stm_jax.weights.pytorch import from_pytorch, to_pytorch
from stm_jax.weights.trunk import with_trunk

__all__ = ["from_pytorch", "read_pth", "to_pytorch", "with_trunk", "write_pth"]
