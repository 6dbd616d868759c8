"""Scores: J and F as the DAVIS benchmark defines them."""

from stm_jax.eval import davis, youtube_vos

__all__ = ["davis", "youtube_vos"]
