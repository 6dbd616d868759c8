"""Devices: the state on each of them, the clips of a batch shared out over all."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

DATA = "data"
"""The name of the mesh's only axis."""


def data_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """Returns a mesh of all devices of all processes, or of the given ones, along one axis."""
    return Mesh(np.array(jax.devices() if devices is None else devices), (DATA,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole."""
    return NamedSharding(mesh, PartitionSpec())


def by_clip(mesh: Mesh) -> NamedSharding:
    """Every device holds its share of the clips."""
    return NamedSharding(mesh, PartitionSpec(DATA))


def place_clips(mesh: Mesh, clips: dict[str, np.ndarray]) -> dict[str, jax.Array]:
    """Puts this process's clips of a batch on its devices, as its part of the global batch."""
    sharding = by_clip(mesh)
    return {
        name: jax.make_array_from_process_local_data(sharding, array)
        for name, array in clips.items()
    }


def place_state(mesh: Mesh, state: dict) -> dict:
    """Puts a state on every device.

    Copied first: `device_put` may alias a buffer, which a donating step would then delete.
    """
    sharding = replicated(mesh)

    def placed(leaf: jax.Array) -> jax.Array:
        whole = np.array(leaf)
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    return jax.tree.map(placed, state)


def abstract_state(mesh: Mesh, shapes: dict) -> dict:
    """Returns the shapes of a state that lies on every device."""
    sharding = replicated(mesh)
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), shapes
    )
