"""Which memory and which read: chosen by words, as commands and configurations have them.

`fifo frames=8` is `Fifo(frames=8)`. What was chosen is noted in a run's settings. Imports JAX, so
commands import it only once they run.
"""

import ast
import dataclasses
import functools
import hashlib
import importlib.util
import inspect
import pathlib
import re
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from stm_jax.errors import InputError
from stm_jax.memory import rules
from stm_jax.memory.protocol import Memory
from stm_jax.memory.stores.afb_urr import AfbUrr
from stm_jax.memory.stores.swiftnet import SwiftNet
from stm_jax.memory.stores.xmem import XMem
from stm_jax.reads.chunked import Chunked
from stm_jax.reads.dense import read_dense
from stm_jax.reads.kernelized import Kernelized
from stm_jax.reads.protocol import Read
from stm_jax.reads.regional import Regional
from stm_jax.reads.slots import read_slots
from stm_jax.reads.top_k import TopK
from stm_jax.reads.window import Window

STM_EVERY = 5
"""What the commands' --memorize-every is unless it is given."""

STORES = (XMem, AfbUrr, SwiftNet)
MEMORIES: tuple[type, ...] = (
    rules.EveryNth,
    rules.Previous,
    rules.First,
    rules.EvenlySpread,
    rules.Fifo,
    rules.Annotated,
    rules.Recent,
    rules.RandomFrame,
    rules.Reservoir,
    rules.Confident,
    rules.LeastUsed,
    rules.Ucb,
    rules.Diverse,
    *STORES,
)
READS: tuple[Any, ...] = (
    read_dense,
    read_slots,
    Chunked,
    TopK,
    Kernelized,
    Regional,
    Window,
)


def chosen(
    memory: Sequence[str], read: Sequence[str], memorize_every: int
) -> tuple[Memory, Read | None]:
    """Returns what --memory and --read ask for.

    Args:
        memory: A name and its knobs, such as ("fifo", "frames=8"); the name is the class's, in
            small letters, dashes or not, or FILE.py:NAME for a class of the user's own or an
            object with its knobs set. Without words, STM's.
        read: Likewise, of a class or a function; without words None, the memory's default.
        memorize_every: Of STM's rule.

    Raises:
        InputError: There is no such memory, read or knob, a value makes no sense, or the read
            cannot read the memory.
    """
    if memory and memorize_every != STM_EVERY:
        raise InputError("--memorize-every is of STM's rule: leave it out beside --memory")
    kept = chosen_memory(memory) or rules.EveryNth(memorize_every)
    reader = chosen_read(read)
    if isinstance(reader, Window) and isinstance(kept, STORES):
        raise InputError(f"--read {read[0]} looks at places in frames: {memory[0]} keeps none")
    return kept, reader


def chosen_memory(words: Sequence[str], option: str = "--memory") -> Memory | None:
    """Returns the memory that the words ask for, None without any; see `chosen`."""
    return _chosen(option, words, MEMORIES) if words else None


def chosen_read(words: Sequence[str], option: str = "--read") -> Read | None:
    """Returns the read that the words ask for, None without any; see `chosen`."""
    return _chosen(option, words, READS) if words else None


def read_to_train(words: Sequence[str]) -> Read:
    """Returns the read that a training configuration asks for; the dense one without words.

    Raises:
        InputError: There is no such read or knob, or it has no gradient.
    """
    read = chosen_read(words, "read =") or read_dense
    if read is read_slots:
        raise InputError("read = slots has no gradient: dense and chunked read the same and have")
    return read


def noted(choice: Any) -> dict[str, Any] | None:
    """Returns all that a memory's or a read's results depend on, as JSON values.

    Of one that is not the package's, that is also what its file says.
    """
    if choice is None:
        return None
    kind: Any = choice if inspect.isfunction(choice) else type(choice)
    knobs = {name: getattr(choice, name) for name in _fields(kind)}
    note = {"type": kind.__name__} | {name: _plain(knob) for name, knob in knobs.items()}
    if not kind.__module__.startswith("stm_jax."):
        file = inspect.getsourcefile(kind)
        note["source"] = hashlib.sha256(
            pathlib.Path(file).read_bytes() if file else b""
        ).hexdigest()
    return note


def name_of(kind: Any) -> str:
    """Returns how a memory or a read is called on the command line, such as "least-used"."""
    name = kind.__name__.removeprefix("read_").removesuffix("Read")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


def python_file(path: pathlib.Path) -> ModuleType:
    """Runs a Python file and returns it as a module.

    Raises:
        InputError: There is no such file, or running it fails.
    """
    if path.suffix != ".py" or not path.is_file():
        raise InputError(f"{path} is no Python file that is there")
    name = str(path.resolve())  # no other module can have that name
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    return module


def _chosen(option: str, words: Sequence[str], kinds: Sequence[Any]) -> Any:
    name, *changes = words
    if ".py:" in name:
        file, _, attribute = name.rpartition(":")
        kind = getattr(python_file(pathlib.Path(file)), attribute, None)
        if kind is None:
            raise InputError(f"{option} {name}: the file has no {attribute}")
    else:
        found = [each for each in kinds if _letters(name_of(each)) == _letters(name)]
        if not found:
            names = ", ".join(map(name_of, kinds))
            raise InputError(f"{option} {name}: there is {names}, or FILE.py:CLASS of your own")
        kind = found[0]
    fields = _fields(kind)
    knobs = {}
    for change in changes:
        knob, equals, value = change.partition("=")
        knob = knob.replace("-", "_")
        if not equals or knob not in fields:
            has = ", ".join(f"{field}=..." for field in fields) or "no knobs"
            raise InputError(f"{option} {name}: {change} is none of its knobs; it has {has}")
        knobs[knob] = _value(f"{option} {name}: {change}", value, fields[knob].default)
    if inspect.isfunction(kind):
        return kind
    make = kind if isinstance(kind, type) else functools.partial(dataclasses.replace, kind)
    try:
        return make(**knobs)
    except (TypeError, ValueError) as error:
        raise InputError(f"{option} {name}: {error}") from error


def _fields(kind: Any) -> dict[str, dataclasses.Field]:
    """Returns the knobs of a class or an object by name; a function has none."""
    return {f.name: f for f in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else {}


def _value(what: str, text: str, default: Any) -> Any:
    """Returns a knob's value, of its default's type."""
    try:
        if isinstance(default, int | float) and not isinstance(default, bool):
            return type(default)(text)
        value = ast.literal_eval(text.title() if isinstance(default, bool) else text)
    except (ValueError, SyntaxError) as error:
        raise InputError(f"{what} is no {type(default).__name__}") from error
    if isinstance(default, bool) and not isinstance(value, bool):
        raise InputError(f"{what} is neither true nor false")
    return value


def _letters(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _plain(value: Any) -> Any:
    """Returns a value as JSON has it, so that what was read back is equal."""
    if dataclasses.is_dataclass(value):
        return noted(value)
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
