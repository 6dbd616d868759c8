"""The version of the package, and of what decides about its numbers."""

import importlib.metadata
import platform

__version__ = "0.1.0"


def versions() -> dict[str, str]:
    """Returns the versions of the program, of Python and of what decides about the numbers."""
    packages = {name: importlib.metadata.version(name) for name in ("jax", "flax", "numpy", "av")}
    return {"stm_jax": __version__, "python": platform.python_version()} | packages
