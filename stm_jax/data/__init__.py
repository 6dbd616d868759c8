"""Frames, masks and video files; data sets as they lie on disk; training clips.

What a configuration names as its data is in `stm_jax.data.config` and `stm_jax.data.sources`.
"""
