"""JSON from outside: the one place where it is parsed, and made the dataclass that it should be."""

import dataclasses
import json
import math
import pathlib
import types
import typing
from typing import Any, NoReturn, TypeVar

from stm_jax.checks import check_types, shown
from stm_jax.errors import InputError
from stm_jax.files import check_is_file

MOST_BYTES = 2**31  # COCO's annotations are half a gigabyte
MOST_DEPTH = 64
MOST_DIGITS = 18  # of an integer: it fits 64 bits

Kind = TypeVar("Kind")


def load_json(path: pathlib.Path) -> Any:
    """Returns what a JSON file holds: finite numbers, no key twice, nothing deeper than 64.

    Raises:
        InputError: It cannot be read, or is not of that kind.
    """
    check_is_file(path)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the name") from error
    if len(content) > MOST_BYTES:
        raise InputError(f"{path} has more than {MOST_BYTES} bytes: it is not what is asked for")
    return parse_json(content, path)


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Returns the object in a JSON file of this program; an empty one if there is none, or none
    that can be read.
    """
    try:
        content = load_json(path)
    except InputError:
        return {}
    return content if isinstance(content, dict) else {}


def parse_json(content: bytes | str, source: object) -> Any:
    """Returns what JSON holds; `source` says in errors where it is from. Raises as `load_json`."""
    try:
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
        parsed = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_no_number,
            parse_float=_float,
            parse_int=_integer,
        )
        _check_depth(parsed)
    except RecursionError:
        reason = "it is nested too deep"
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is no UTF-8"
    except ValueError as error:
        reason = shown(error)
    else:
        return parsed
    raise InputError(f"{source} is not JSON that can be used ({reason}): make or get it again")


def from_json(kind: type[Kind], content: Any, name: str = "", others: bool = False) -> Kind:
    """Makes a dataclass of a JSON object, and of those in it; lists become tuples.

    Args:
        kind: The dataclass. A field `dict[str, X]` holds any keys.
        content: What `load_json` gave.
        name: Of it in errors.
        others: Whether fields that the dataclass does not have are passed over, not refused.

    Raises:
        InputError: A field is missing, not known or of another type; it is named.
    """
    made = _made(content, kind, name, others)
    check_types(made, name)
    return made


def _made(content: Any, hint: Any, name: str, others: bool) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        if not isinstance(content, dict):
            raise InputError(f"{name or 'it'} is {shown(repr(content))}: give an object")
        fields = {each.name: each for each in dataclasses.fields(hint)}
        hints = typing.get_type_hints(hint)
        required = [
            each.name
            for each in fields.values()
            if each.default is each.default_factory is dataclasses.MISSING
        ]
        for key in (*required, *content):
            if key not in content or (key not in fields and not others):
                what = "is missing" if key not in content else "is not known"
                raise InputError(f"{shown(_below(name, key))} {what}")
        values = {
            key: _made(content[key], hints[key], _below(name, key), others)
            for key in fields
            if key in content
        }
        return typing.cast(Any, hint)(**values)
    if origin in (types.UnionType, typing.Union):
        return content if content is None else _made(content, arguments[0], name, others)
    if origin is tuple and isinstance(content, list):
        kinds = arguments[:1] * len(content) if arguments[-1] is ... else arguments
        if len(kinds) == len(content):
            pairs = enumerate(zip(content, kinds, strict=True))
            return tuple(
                _made(each, of_each, _below(name, i), others) for i, (each, of_each) in pairs
            )
    if origin is dict and isinstance(content, dict):
        return {k: _made(v, arguments[1], _below(name, k), others) for k, v in content.items()}
    return tuple(content) if isinstance(content, list) else content


def _below(name: str, key: object) -> str:
    return f"{name}.{key}" if name else str(key)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"it has {shown(twice)} twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"it holds {text}, which is no number")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {shown(text)} is too large")
    return value


def _integer(text: str) -> int:
    if len(text) > MOST_DIGITS + 1:
        raise ValueError(f"the number {text[:20]}... is too large")
    return int(text)


def _check_depth(parsed: Any) -> None:
    level = [parsed]
    for _ in range(MOST_DEPTH):
        level = (
            [
                each
                for item in level
                for each in (item.values() if isinstance(item, dict) else item)
                if isinstance(each, dict | list)
            ]
            if level and isinstance(level[0], dict | list)
            else []
        )
        if not level:
            return
    raise ValueError(f"it is nested deeper than {MOST_DEPTH}")
