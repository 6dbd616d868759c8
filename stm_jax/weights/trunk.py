"""ImageNet trunks as the start of training."""

from typing import Any

import flax.traverse_util
import jax
import numpy as np

from stm_jax.nn.model import Model
from stm_jax.weights.pytorch import COUNTS, assemble, variable_shapes
from stm_jax.weights.table import trunk_table

ENCODERS = ("memory_encoder", "query_encoder")


def with_trunk(model: Model, trunk: dict[str, np.ndarray]) -> Model:
    """Puts an ImageNet ResNet into both encoders, and lines up what has to match from the start.

    The memory encoder's convolution of the object's mask becomes small (a fifth of its draw) and
    that of the others' mask zero, so that it begins as the ImageNet network. The memory's
    key convolution begins equal to the query's: with both trunks equal, the affinity then is a
    similarity of ImageNet features from the first step on, instead of noise.

    Args:
        model: A model with fresh variables.
        trunk: Arrays by torchvision name (conv1, bn1, layer1 to layer3), OIHW.

    Raises:
        InputError: Entries are missing, unexpected or misshapen: one error tells of all.
    """
    trunk = {name: np.asarray(array, np.float32) for name, array in trunk.items()}
    flat: dict[str, Any] = {**flax.traverse_util.flatten_dict(model.variables, sep="/")}
    shapes = variable_shapes(model.config)
    for encoder in ENCODERS:
        wanted = {
            path: shape
            for path, shape in shapes.items()
            if f"/{encoder}/" in path
            and not any(part in path for part in ("conv_mask", "conv_others", "normalize"))
        }
        assembled = assemble(
            trunk,
            trunk_table(encoder),
            wanted,
            what=f"the trunk of {model.config.name}",
            remedy="give a ResNet with torchvision's names, from conv1 to layer3",
            optional=COUNTS,
        )
        flat.update(flax.traverse_util.flatten_dict(assembled, sep="/"))
    for plane, factor in (("conv_mask", 0.2), ("conv_others", 0.0)):
        path = f"params/memory_encoder/{plane}/kernel"
        flat[path] = flat[path] * factor
    for leaf in ("conv/kernel", "bias"):
        flat[f"params/memory_head/key/{leaf}"] = flat[f"params/query_head/key/{leaf}"]
    # Copied, so that no two variables share a buffer that a donating step deletes.
    variables = jax.tree.map(lambda a: a.copy(), flax.traverse_util.unflatten_dict(flat, sep="/"))
    return Model(model.config, variables)
