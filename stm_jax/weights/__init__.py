"""Weights as files: ours, PyTorch's both ways, ImageNet trunks, checkpoints of runs."""

from stm_jax.weights.files import load, save
from stm_jax.weights.pth import read_pth, write_pth
from stm_jax.weights.pytorch import from_pytorch, to_pytorch
from stm_jax.weights.trunk import with_trunk

__all__ = ["from_pytorch", "load", "read_pth", "save", "to_pytorch", "with_trunk", "write_pth"]
