"""A network as two ONNX graphs, for runtimes that know no JAX: memorize and segment.

The conversion is jax2onnx's. It asks for an older Orbax than training here does, and needs none of
it: `pip install --no-deps jax2onnx` beside the extra `onnx`.
"""

import dataclasses
import functools
import json
import logging
import pathlib
from typing import Any

import jax

from stm_jax.errors import InputError
from stm_jax.export.programs import Sizes, named, programs
from stm_jax.export.stablehlo import LICENCE
from stm_jax.files import write_whole
from stm_jax.infer.stream import Recipe
from stm_jax.memory.rules.every_nth import EveryNth
from stm_jax.nn.model import Model
from stm_jax.ops.platforms import as_they_are
from stm_jax.reads import Dense
from stm_jax.version import __version__
from stm_jax.weights.files import hash_of

OPSET = 23
GRAPHS = {
    "memorize": (("frame", "masks"), ("key", "value")),
    "segment": (("frame", "keys", "values", "filled"), ("probabilities",)),
}
"""Names of the inputs and outputs of each graph; shapes are those of `stm_jax.exported`."""


def export_onnx(
    model: Model,
    folder: pathlib.Path,
    sizes: Sizes,
    *,
    dtype: str = "float32",
    about: str = "",
) -> list[pathlib.Path]:
    """Writes memorize.onnx and segment.onnx, weights within.

    Frames are uint8 of one size. The memory is read densely: all `slots` at once, of which those
    that are not `filled` weigh 0.

    In float16 are the kernels, as files and in the convolutions, and keys and values. Masks and
    probabilities are float32, and so is what stays so in the library: the normalisation of frames
    and of features, the softmax of the read and soft aggregation.

    Args:
        model: The network.
        folder: Where the files are written.
        sizes: What frames, how many objects, how long a memory; `size` must be given.
        dtype: What the convolutions and the memory work in, "float32" or "float16".
        about: A line on where the weights come from.

    Raises:
        InputError: jax2onnx is not installed.
        OSError: They cannot be written.
    """
    try:
        import onnx.helper
        from jax2onnx import to_onnx
    except ImportError as error:
        raise InputError(
            "ONNX needs jax2onnx: pip install 'stm_jax[onnx]' && pip install --no-deps jax2onnx"
        ) from error
    # Its own examples want packages that it is installed without here: a trace for each of them.
    logging.getLogger("jax2onnx.plugins.plugin_system").setLevel(logging.ERROR)
    assert sizes.size is not None
    recipe = Recipe(model.config, EveryNth(), jax.numpy.dtype(dtype), None, Dense())
    made = programs(recipe, model.variables, sizes, unrolled=True)
    weights = {
        # The rest is small, and squares of small numbers are in it.
        name: array.astype(dtype) if name.endswith("/kernel") else array
        for name, array in named(model.variables).items()
    }
    description = {
        "stm_jax": __version__,
        "licence": LICENCE,
        "about": about,
        **dataclasses.asdict(sizes),
        "dtype": dtype,
        "config": dataclasses.asdict(model.config),
        "weights": hash_of(model),  # the same in both, else they are no pair
    }
    files = {}
    for name, (inputs, outputs) in GRAPHS.items():
        program = made[name]
        with as_they_are(True):
            graph: Any = to_onnx(
                functools.partial(program.function, weights),
                inputs=program.arguments[1:],
                model_name=f"stm_jax_{name}",
                opset=OPSET,
                input_names=inputs,
                output_names=outputs,
            )
        onnx.helper.set_model_props(graph, {"stm_jax": json.dumps(description)})
        files[folder / f"{name}.onnx"] = graph.SerializeToString()
    for path, content in files.items():  # once all are made, for they are of use together
        write_whole(path, content)
    return list(files)
