"""Space-Time Memory Networks for JAX: follow an object through a video from its first mask."""
