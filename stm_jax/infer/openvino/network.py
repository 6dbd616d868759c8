"""The network's convolutions by OpenVINO, on processors whose instructions for few bits XLA leaves.

What surrounds them (memory, rules, reads, aggregation) stays the program that JAX compiles.
"""

import dataclasses
import functools
import importlib
import sys
import threading
from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stm_jax.errors import InputError
from stm_jax.infer.openvino.int8 import Example, quantized
from stm_jax.infer.openvino.program import converted
from stm_jax.nn.decoder import Skips
from stm_jax.nn.encoders import KeyValue
from stm_jax.nn.model import Model
from stm_jax.nn.stm import STM, decode, memorize, query

PRECISIONS = {"float32": "f32", "bfloat16": "bf16", "int8": "bf16"}
"""What OpenVINO computes in where nothing is quantized."""


@dataclasses.dataclass(frozen=True, eq=False)
class OpenVino:
    """Memorize, query and decode of a network with these weights, as OpenVINO runs them.

    Each is converted when shapes are first met, which takes seconds. Two of these are never equal,
    so each has compiled steps of its own.

    Attributes:
        model: The network with its weights.
        dtype: float32, bfloat16 or int8: what the convolutions compute in. Inputs and outputs are
            float32 whatever it is.
        examples: For int8: two or more frames of a video with their masks, which tell how large
            the numbers in the network are.

    Raises:
        InputError: OpenVINO is not installed, there are no examples, or JAX computes on another
            device than the CPU.
    """

    model: Model
    dtype: str = "bfloat16"
    examples: tuple[Example, ...] = dataclasses.field(default=(), repr=False)
    _compiled: dict[Any, Any] = dataclasses.field(default_factory=dict, init=False, repr=False)
    _lock: Any = dataclasses.field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        openvino()
        if self.dtype not in PRECISIONS:
            raise InputError(f"dtype is {self.dtype}: give one of {', '.join(PRECISIONS)}")
        if self.dtype == "int8" and len(self.examples) < 2:
            raise InputError("int8 needs two or more frames with their masks as examples")
        if jax.default_backend() != "cpu":
            raise InputError(
                f"OpenVINO is for CPUs, and JAX has a {jax.default_backend()} here: leave it out"
            )

    @property
    def name(self) -> str:
        """What it is, for whoever has to tell results apart."""
        return f"OpenVINO, {self.dtype}"

    def memorize(
        self,
        frames: Float[Array, "b h w 3"],
        masks: Float[Array, "b o h w"],
        others: Float[Array, "b o h w"],
    ) -> KeyValue:
        """As `stm_jax.nn.stm.memorize`."""
        return KeyValue(*self._call("memorize", frames, masks, others))

    def query(self, frames: Float[Array, "b h w 3"]) -> tuple[KeyValue, Skips]:
        """As `stm_jax.nn.stm.query`: key and value, and what `decode` takes.

        Of that the channels stand in front, (b, d, h8, w8): it is not turned about in between.
        """
        key, value, *skips = self._call("query", frames)
        return KeyValue(key, value), Skips(*skips)

    def decode(self, read: Float[Array, "b o h16 w16 c"], skips: Skips) -> Float[Array, "b o h w"]:
        """As `stm_jax.nn.stm.decode`."""
        return self._call("decode", read, skips.at_stride_8, skips.at_stride_4)[0]

    @functools.cached_property
    def _finer(self) -> "OpenVino":
        return OpenVino(self.model, "bfloat16")

    def _call(self, name: str, *arrays: Array) -> list[Array]:
        shapes = tuple(array.shape for array in arrays)
        self._request(name, shapes)  # here, for within the call nothing may be traced
        arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
        answers = jax.eval_shape(self._function(name), *arguments)
        found = jax.pure_callback(
            functools.partial(self._run, name), answers, *(a.astype(jnp.float32) for a in arrays)
        )
        return list(found)

    def _function(self, name: str) -> Callable[..., tuple[Array, ...]]:
        network, variables = STM(self.model.config), self.model.variables

        def memorized(*arrays: Array) -> tuple[Array, ...]:
            found = memorize(network, variables, *arrays)
            return found.key, found.value

        def queried(frames: Array) -> tuple[Array, ...]:
            features, skips = query(network, variables, frames)
            return features.key, features.value, *(each.transpose(0, 3, 1, 2) for each in skips)

        def decoded(read: Array, *skips: Array) -> tuple[Array, ...]:
            as_ours = Skips(*(each.transpose(0, 2, 3, 1) for each in skips))
            return (decode(network, variables, read, as_ours),)

        return {"memorize": memorized, "query": queried, "decode": decoded}[name]

    def _run(self, name: str, *arrays: Any) -> tuple[np.ndarray, ...]:
        inputs = [np.asarray(array) for array in arrays]
        # A request holds the tensors of one run, so streams in threads take turns.
        with self._lock:
            request = self._request(name, tuple(array.shape for array in inputs))
            found = request.infer(inputs, share_inputs=True)
            return tuple(np.array(found[i]) for i in range(len(found)))

    def _request(self, name: str, shapes: tuple[tuple[int, ...], ...]) -> Any:
        if (name, shapes) not in self._compiled:
            program = converted(self._function(name), shapes)
            if self.dtype == "int8":
                program = quantized(program, name, shapes, self.examples, self._finer._run)
            options = {
                "INFERENCE_PRECISION_HINT": PRECISIONS[self.dtype],
                "PERFORMANCE_HINT": "LATENCY",
            }
            compiled = openvino().compile_model(program, "CPU", options)
            self._compiled[name, shapes] = compiled.create_infer_request()
        return self._compiled[name, shapes]


def openvino() -> Any:
    """Returns the module, which otherwise reports to its maker as soon as it is imported.

    Raises:
        InputError: It is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", cast(Any, None))  # as if that were not there
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise InputError("OpenVINO is not installed: pip install 'stm_jax[openvino]'") from error
