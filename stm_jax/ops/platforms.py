"""Which of two equal functions a program has: as the platform that it is compiled for likes it."""

from collections.abc import Callable
from typing import Any, cast

import jax

as_they_are = jax.make_user_context(default_value=False)
"""`with as_they_are(True):` traces the network as it is defined, for compilers other than XLA."""


def on_tpu(
    tpu: Callable[..., jax.Array],
    elsewhere: Callable[..., jax.Array],
    with_gradient: Callable[..., jax.Array] | None = None,
) -> Callable[..., jax.Array]:
    """Returns a function that is one of equal ones, as the program is compiled for.

    Its gradient is that of the chosen one, and keeps the arguments alone.

    Args:
        tpu: What TPUs are given.
        elsewhere: What other devices are given.
        with_gradient: What TPUs are given where a gradient is asked for; None: the same.
    """

    if as_they_are.value:
        return elsewhere
    learning = tpu if with_gradient is None else with_gradient

    @jax.custom_vjp
    def chosen(*arguments: jax.Array) -> jax.Array:
        return jax.lax.platform_dependent(*arguments, tpu=tpu, default=elsewhere)

    def forward(*arguments: jax.Array) -> tuple[jax.Array, tuple]:
        result = jax.lax.platform_dependent(*arguments, tpu=learning, default=elsewhere)
        return result, arguments

    def backward(arguments: tuple, gradient: jax.Array) -> tuple:
        def of(function: Callable[..., jax.Array]) -> Callable[..., Any]:
            return lambda gradient, *arguments: jax.vjp(function, *arguments)[1](gradient)

        return jax.lax.platform_dependent(
            gradient, *arguments, tpu=of(learning), default=of(elsewhere)
        )

    chosen.defvjp(forward, backward)
    return cast(Callable[..., jax.Array], chosen)
