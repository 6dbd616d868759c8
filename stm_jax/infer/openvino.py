"""The network's convolutions by OpenVINO, on processors whose bfloat16 instructions XLA leaves.

What surrounds them (memory, rules, reads, aggregation) stays the program that JAX compiles.
"""

import dataclasses
import functools
import importlib
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core
from jaxtyping import Array, Float

from stm_jax.errors import InputError
from stm_jax.nn.decoder import Skips
from stm_jax.nn.encoders import KeyValue
from stm_jax.nn.model import Model
from stm_jax.nn.stm import STM, decode, memorize, query

PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
CALLS = ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call")


@dataclasses.dataclass(frozen=True, eq=False)
class OpenVino:
    """Memorize, query and decode of a network with these weights, as OpenVINO runs them.

    Each is converted when shapes are first met, which takes seconds. Two of these are never equal,
    so each has compiled steps of its own.

    Attributes:
        model: The network with its weights.
        dtype: float32 or bfloat16: what the convolutions compute in. Inputs and outputs are
            float32 whatever it is.

    Raises:
        InputError: OpenVINO is not installed, or JAX computes on another device than the CPU.
    """

    model: Model
    dtype: str = "bfloat16"
    _compiled: dict[Any, Any] = dataclasses.field(default_factory=dict, init=False, repr=False)
    _lock: Any = dataclasses.field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        openvino()
        if self.dtype not in PRECISIONS:
            raise InputError(f"dtype is {self.dtype}: give one of {', '.join(PRECISIONS)}")
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
        """As `stm_jax.nn.stm.query`, of which key and value are returned."""
        key, value, *skips = self._call("query", frames)
        return KeyValue(key, value), Skips(*skips)

    def decode(self, read: Float[Array, "b o h16 w16 c"], skips: Skips) -> Float[Array, "b o h w"]:
        """As `stm_jax.nn.stm.decode`."""
        return self._call("decode", read, skips.at_stride_8, skips.at_stride_4)[0]

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
            return features.key, features.value, skips.at_stride_8, skips.at_stride_4

        def decoded(read: Array, *skips: Array) -> tuple[Array, ...]:
            return (decode(network, variables, read, Skips(*skips)),)

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
            arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
            jaxpr = jax.make_jaxpr(inlined(self._function(name)))(*arguments)
            options = {
                "INFERENCE_PRECISION_HINT": PRECISIONS[self.dtype],
                "PERFORMANCE_HINT": "LATENCY",
            }
            compiled = openvino().compile_model(_converted(jaxpr), "CPU", options)
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


def _converted(jaxpr: core.ClosedJaxpr) -> Any:
    from openvino.frontend import FrontEndManager
    from openvino.frontend.jax.jaxpr_decoder import JaxprPythonDecoder

    front_end = FrontEndManager().load_by_framework("jax")
    decoder = JaxprPythonDecoder(jaxpr)  # named, for the front end does not keep it
    return front_end.convert(front_end.load(decoder))


def inlined(function: Callable[..., Any]) -> Callable[..., list[Any]]:
    """Returns the function without calls of others and without stacks, which OpenVINO knows not."""

    def called(*arrays: Any) -> list[Any]:
        closed = jax.make_jaxpr(function)(*arrays)
        return _evaluated(closed.jaxpr, closed.consts, arrays)

    return called


def _evaluated(jaxpr: core.Jaxpr, consts: Sequence[Any], arrays: Sequence[Any]) -> list[Any]:
    values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *arrays), strict=True))

    def of(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    for equation in jaxpr.eqns:
        inputs = [of(atom) for atom in equation.invars]
        primitive, params = equation.primitive, equation.params
        inner: Any = params.get("jaxpr", params.get("call_jaxpr"))
        if primitive.name in CALLS:
            outputs = _evaluated(inner.jaxpr, inner.consts, inputs)
        elif primitive.name == "stack":
            axis = params["axis"]
            outputs = [jnp.concatenate([jnp.expand_dims(each, axis) for each in inputs], axis)]
        else:
            found = primitive.bind(*inputs, **params)
            outputs = found if primitive.multiple_results else [found]
        values.update(zip(equation.outvars, outputs, strict=True))
    return [of(atom) for atom in jaxpr.outvars]
