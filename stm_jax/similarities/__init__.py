# ruff: noqa: I001 - the order of these lines is that of the help texts and tables
"""How alike two keys are: one similarity a file, and one line here."""

from stm_jax.similarities.dot_product import DotProduct as DotProduct
from stm_jax.similarities.negative_l2 import NegativeL2 as NegativeL2
from stm_jax.similarities.anisotropic_l2 import AnisotropicL2 as AnisotropicL2
from stm_jax.similarities.cosine import Cosine as Cosine
from stm_jax.similarities.gated import Gated as Gated
