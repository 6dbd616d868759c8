"""A function of JAX as OpenVINO takes it and is quick with it.

OpenVINO's own front end reads the traced program, but not calls within it, and it transposes before
and after every convolution whose channels come last: 15 % of a frame of stm-r50 in bfloat16. So
the program is traced once more, without calls, and with the channels in front from the first
convolution on. What depends on the weights alone is computed meanwhile: kernels that are constants
are what OpenVINO fuses with their neighbours and NNCF quantizes.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from stm_jax.ops.platforms import as_they_are

CALLS = ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call")
ELEMENTWISE = ("add", "sub", "mul", "div", "max")
TO_FRONT, TO_BACK = (0, 3, 1, 2), (0, 2, 3, 1)


def converted(function: Callable[..., Any], shapes: Sequence[tuple[int, ...]]) -> Any:
    """Returns OpenVINO's model of a function of float32 arrays of these shapes."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.jax.jaxpr_decoder import JaxprPythonDecoder

    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    jaxpr = jax.make_jaxpr(channels_in_front(function))(*arguments)
    front_end = FrontEndManager().load_by_framework("jax")
    decoder = JaxprPythonDecoder(jaxpr)  # named, for the front end does not keep it
    return front_end.convert(front_end.load(decoder))


def channels_in_front(function: Callable[..., Any]) -> Callable[..., list[Any]]:
    """Returns the function without calls and stacks, its convolutions with the channels in front.

    Its arguments and answers are as they were.
    """

    def called(*arrays: Any) -> list[Any]:
        with as_they_are(True):
            closed = jax.make_jaxpr(function)(*arrays)
        inputs = [*map(_constant, closed.consts), *map(_Value, arrays)]
        return [each.plain for each in _evaluated(closed.jaxpr, inputs)]

    return called


@dataclasses.dataclass
class _Value:
    """An array of the program: as it is there, or with the channels in front, or both."""

    as_it_is: Any = None
    in_front: Any = None

    @property
    def plain(self) -> Any:
        if self.as_it_is is None:
            self.as_it_is = self.in_front.transpose(TO_BACK)
        return self.as_it_is

    @property
    def turned(self) -> Any:
        """With the channels in front; what has not four axes stays."""
        if self.in_front is None:
            if np.ndim(self.as_it_is) != 4:
                return self.as_it_is
            self.in_front = self.as_it_is.transpose(TO_FRONT)
        return self.in_front


def _constant(array: Any) -> _Value:
    return _Value(np.asarray(array))


def _evaluated(jaxpr: core.Jaxpr, inputs: Sequence[_Value]) -> list[_Value]:
    values = dict(zip((*jaxpr.constvars, *jaxpr.invars), inputs, strict=True))

    def of(atom: Any) -> _Value:
        return _constant(atom.val) if isinstance(atom, core.Literal) else values[atom]

    for equation in jaxpr.eqns:
        given = [of(atom) for atom in equation.invars]
        if all(isinstance(each.as_it_is, np.ndarray) for each in given):
            with jax.ensure_compile_time_eval():
                found = [_constant(each.plain) for each in _of_equation(equation, given)]
        else:
            found = _of_equation(equation, given)
        values.update(zip(equation.outvars, found, strict=True))
    return [of(atom) for atom in jaxpr.outvars]


def _of_equation(equation: core.JaxprEqn, inputs: list[_Value]) -> list[_Value]:
    primitive, params = equation.primitive, equation.params
    name = primitive.name
    if name in CALLS:
        inner: Any = params.get("jaxpr", params.get("call_jaxpr"))
        return _evaluated(inner.jaxpr, [*map(_constant, inner.consts), *inputs])
    if name == "conv_general_dilated":
        return [_Value(in_front=_convolved(inputs[0], inputs[1].plain, **params))]
    if name == "dot_general" and _is_convolution(equation):
        kernel = inputs[1].plain[None, None]
        return [_Value(in_front=_convolved(inputs[0], kernel, (1, 1), [(0, 0)] * 2))]
    if name == "transpose" and params["permutation"] == TO_FRONT:
        return [_Value(inputs[0].turned)]
    if name == "transpose" and params["permutation"] == TO_BACK:
        return [_Value(in_front=inputs[0].plain)]
    if any(each.in_front is not None for each in inputs):
        turned = [each.turned for each in inputs]
        if name in ELEMENTWISE:
            return [_Value(in_front=primitive.bind(*turned, **params))]
        if name == "slice" and turned[0].ndim == 4:
            moved = {key: _moved(value) for key, value in params.items()}
            return [_Value(in_front=primitive.bind(*turned, **moved))]
        if name == "concatenate" and turned[0].ndim == 4:
            axis = TO_FRONT.index(params["dimension"])
            return [_Value(in_front=primitive.bind(*turned, dimension=axis))]
    plain = [each.plain for each in inputs]
    if name == "stack":
        axis = params["axis"]
        return [_Value(jnp.concatenate([jnp.expand_dims(each, axis) for each in plain], axis))]
    found = primitive.bind(*plain, **params)
    return [*map(_Value, found if primitive.multiple_results else [found])]


def _convolved(
    features: _Value, kernel: Any, window_strides: Any, padding: Any, **_: Any
) -> jax.Array:
    """Convolves as the network does: all else that a convolution may have, it does not use."""
    return jax.lax.conv_general_dilated(
        features.turned,
        kernel.transpose(3, 2, 0, 1),
        window_strides,
        padding,
        dimension_numbers=("NCHW", "OIHW", "NCHW"),
    )


def _is_convolution(equation: core.JaxprEqn) -> bool:
    """Whether a product is that of every position's channels with a matrix."""
    axes = [len(getattr(each.aval, "shape", ())) for each in equation.invars]
    return axes == [4, 2] and equation.params["dimension_numbers"] == (((3,), (0,)), ((), ()))


def _moved(numbers: Sequence[int] | None) -> Any:
    """Returns numbers of the four axes, that of the channels in front."""
    return None if numbers is None else tuple(numbers[axis] for axis in TO_FRONT)
