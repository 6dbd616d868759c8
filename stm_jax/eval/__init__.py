"""Scores: J and F as the DAVIS benchmark defines them, and what others rank by besides."""

from stm_jax.eval import davis, hota, lvos, vost, youtube_vos

__all__ = ["davis", "hota", "lvos", "vost", "youtube_vos"]
