"""Whether a set of named arrays is the one that a network needs, told in one error."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from stm_jax.checks import shown
from stm_jax.errors import InputError

# A whole wrong network would fill the screen.
TOLD = 4  # names of each kind
CHARACTERS = 220  # of all names, but for the first of each kind


def check_entries(
    arrays: Mapping[str, np.ndarray],
    expected: Mapping[str, tuple[int, ...]],
    what: str,
    remedy: str,
) -> None:
    """Checks that the arrays have exactly the expected names and shapes, and are finite numbers.

    Args:
        arrays: Arrays by name.
        expected: Shapes by name.
        what: What the arrays are, the subject of the error.
        remedy: What to do, its end.

    Raises:
        InputError: Entries are missing, unexpected, misshapen, no numbers or not finite: one
            error tells of all five kinds, and names a few of each.
    """
    present = {name: array for name, array in arrays.items() if name in expected}
    problems = {
        "missing": [name for name in expected if name not in arrays],
        "unexpected": [name for name in arrays if name not in expected],
        "misshapen": [
            f"{name} is {_sizes(array.shape)} instead of {_sizes(expected[name])}"
            for name, array in present.items()
            if array.shape != expected[name]
        ],
        "no real numbers": [
            f"{name} is {array.dtype}"
            for name, array in present.items()
            if not _is_real(array.dtype)
        ],
        "not finite": [
            name
            for name, array in present.items()
            if _is_real(array.dtype) and not np.isfinite(array).all()
        ],
    }
    told, left = [], CHARACTERS
    for kind, names in problems.items():
        if names:
            some = _first(names, left)
            left -= len(", ".join(some))
            more = f" and {len(names) - len(some)} more" if len(names) > len(some) else ""
            told.append(f"{len(names)} {kind} ({', '.join(some)}{more})")
    if told:
        raise InputError(f"{what} does not fit: {', '.join(told)}; {remedy}")


def _first(names: list[str], characters: int) -> list[str]:
    first, *others = map(shown, sorted(names)[:TOLD])
    some = [first]
    for name in others:
        if len(", ".join([*some, name])) <= characters:
            some.append(name)
    return some


def _sizes(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a single number"


def _is_real(dtype: np.dtype) -> bool:
    # Numbers of 8 bits need a scale beside them, which is of no kind that is known here.
    is_float = jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize > 1
    return is_float or jnp.issubdtype(dtype, jnp.integer)
