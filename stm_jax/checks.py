"""Whether values from outside make sense: types by a dataclass's annotations, numbers by ranges.

Standard library only: a value is refused before anything heavy is imported.
"""

import dataclasses
import math
import pathlib
import types
import typing
from typing import Any, Literal

from stm_jax.config import ModelConfig
from stm_jax.errors import InputError

TOLD = 80  # characters of a wrong value that a message shows
MOST_PIXELS = 8192  # of a short side: that of 8K video is 4320
MOST_SCALE = 16.0  # of a video, to segment at
MOST_BLOCKS, MOST_CHANNELS = 48, 4096  # of a network: ResNet-152 has 36 blocks in a stage


def within(
    name: str, value: float, low: float, high: float = math.inf, *, above: bool = False
) -> None:
    """Checks that a number is finite and in a range.

    Args:
        name: Of the setting, such as "stages.0.steps".
        value: What it is.
        low: The least that it may be; with `above`, what it must be above.
        high: The most that it may be.
        above: Whether `low` itself is refused.

    Raises:
        InputError: It is not.
    """
    # A long integer is no float, and math.isfinite would fail.
    finite = isinstance(value, int) or math.isfinite(value)
    if finite and (low < value if above else low <= value) and value <= high:
        return
    wanted = f"above {low:g}" if above else f"{low:g} or more"
    most = "" if high == math.inf else f", at most {high:.10g}"
    raise InputError(f"{name} is {shown(value)}: give a number {wanted}{most}")


def shown(value: object) -> str:
    """Returns a wrong value as a message shows it, cut off if it is long."""
    if isinstance(value, int) and abs(value) >= 10**TOLD:  # longer ones Python refuses to print
        return f"an integer of {value.bit_length()} bits"
    text = str(value)
    return text if len(text) <= TOLD else f"{text[:TOLD]}..."


def check_types(item: Any, name: str = "") -> None:
    """Checks every field of a dataclass against its annotation, and those of what it holds.

    An int is taken for a float, a bool for no number.

    Args:
        item: An instance of a dataclass.
        name: Of it; its fields are then called `name.field`, the third of a tuple `name.field.2`.

    Raises:
        InputError: A field is of another type; it is named.
    """
    hints = typing.get_type_hints(type(item))
    for field in dataclasses.fields(item):
        where = f"{name}.{field.name}" if name else field.name
        _check_value(getattr(item, field.name), hints[field.name], where)


def _check_value(value: Any, hint: Any, name: str) -> None:
    if not _fits(value, hint):
        raise InputError(f"{name} is {shown(repr(value))}: give {called(hint)}")
    if dataclasses.is_dataclass(value):
        check_types(value, name)
    elif isinstance(value, dict):
        of_each = typing.get_args(_in_union(hint, dict))[1]
        for key, each in value.items():
            _check_value(each, of_each, shown(f"{name}.{key}"))
    elif isinstance(value, tuple):
        hints = _of_tuple(value, _in_union(hint, tuple))
        for index, (each, of_each) in enumerate(zip(value, hints, strict=True)):
            _check_value(each, of_each, f"{name}.{index}")


def kinds_of(item: Any, name: str = "") -> dict[str, Any]:
    """Returns the annotation of every field of a dataclass, and of those in it, by name."""
    found: dict[str, Any] = {}
    hints = typing.get_type_hints(type(item))
    for field in dataclasses.fields(item):
        where = f"{name}.{field.name}" if name else field.name
        value = getattr(item, field.name)
        found[where] = hints[field.name]
        inside = enumerate(value) if isinstance(value, tuple) else ()
        for where_in, each in [(where, value), *((f"{where}.{i}", each) for i, each in inside)]:
            if dataclasses.is_dataclass(each):
                found |= kinds_of(each, where_in)
    return found


def _fits(value: Any, hint: Any) -> bool:
    """Says whether a value is of a type; what a tuple holds is looked at by the caller."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in typing.get_args(hint))
    if origin in (types.UnionType, typing.Union):
        return any(_fits(value, each) for each in typing.get_args(hint))
    if origin is dict:
        return isinstance(value, dict)
    if origin is tuple:
        parts = typing.get_args(hint)
        return isinstance(value, tuple) and (parts[-1] is ... or len(parts) == len(value))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return hint is Any or isinstance(value, types.NoneType if hint is None else hint)


def _in_union(hint: Any, origin: type) -> Any:
    """Returns the tuple or dict among the kinds of a union, or what is given."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return next(each for each in typing.get_args(hint) if typing.get_origin(each) is origin)
    return hint


def _of_tuple(value: tuple, hint: Any) -> tuple[Any, ...]:
    parts = typing.get_args(hint)
    return (parts[0],) * len(value) if parts[-1] is ... else parts


def called(hint: Any) -> str:
    """Returns what a type is called in a message, such as "an integer"."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        return " or ".join(map(str, typing.get_args(hint)))
    if origin in (types.UnionType, typing.Union):
        return " or ".join(dict.fromkeys(called(each) for each in typing.get_args(hint)))
    names = {int: "an integer", float: "a number", str: "a text", bool: "True or False"}
    if origin is tuple:
        parts = typing.get_args(hint)
        return "a tuple" if parts[-1] is ... else f"a tuple of {len(parts)}"
    if origin is dict:
        return "an object"
    if hint is types.NoneType:
        return "None"
    return "a path" if hint is pathlib.Path else names.get(hint, f"a {hint.__name__}")


def check_model(config: ModelConfig, name: str = "model") -> None:
    """Checks the shape of a network, before anything of that shape is made.

    Raises:
        InputError: A field is of another type or out of its range; it is named.
    """
    check_types(config, name)
    for index, blocks in enumerate(config.blocks):
        within(f"{name}.blocks.{index}", blocks, 1, MOST_BLOCKS)
    for field in ("width", "decoder_width", "last_width", "key_width", "value_width"):
        channels = getattr(config, field)
        if channels is not None:
            within(f"{name}.{field}", channels, 1, MOST_CHANNELS)
