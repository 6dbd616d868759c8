"""Which memories, reads and similarities there are, and which of them is chosen by words.

`fifo frames=8` is `Fifo(frames=8)`. What there is stands in the packages' own lists, one line a
class; help texts and tables are made from the classes' docstrings. The files are read and not run
for that, so this module imports no JAX until something is chosen.
"""

import ast
import contextlib
import dataclasses
import functools
import hashlib
import importlib.machinery
import importlib.util
import inspect
import os
import pathlib
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from stm_jax.checks import shown
from stm_jax.errors import InputError

if TYPE_CHECKING:
    from stm_jax.memory.protocol import Memory
    from stm_jax.reads.protocol import Read
    from stm_jax.similarities.protocol import Similarity

LARGEST = 2**31 - 1  # of a knob that is an integer
STM_EVERY = 5
"""What the commands' --memorize-every is unless it is given."""

ROOT = pathlib.Path(__file__).parent
RULES, STORES, READS, SIMILARITIES = "memory/rules", "memory/stores", "reads", "similarities"
PACKAGES = {"memory": (RULES, STORES), "read": (READS,), "similarity": (SIMILARITIES,)}
"""Where the classes are that --memory, --read and --similarity choose from."""
FACTS = {READS: ("Gradient", "Temporary memory", "Source"), SIMILARITIES: ("Learns", "Source")}
"""What their tables tell besides; of a memory, its source."""
WHAT = {READS: "what is read", SIMILARITIES: "what is alike"}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A rule, a store, a read or a similarity as its file declares it.

    Attributes:
        name: On the command line.
        module: Of its class.
        class_name: Of its class.
        summary: The first line of its docstring.
        facts: The lines "Source: ...", "Gradient: ...", "Temporary memory: ..." and "Learns: ..."
            of it.
        knobs: Their defaults, as they are written on the command line.
        meanings: Of the knobs, from the docstring's "Attributes".
    """

    name: str
    module: str
    class_name: str
    summary: str
    facts: dict[str, str]
    knobs: dict[str, str]
    meanings: dict[str, str]

    @property
    def kind(self) -> Any:
        """The class; importing it brings JAX."""
        return getattr(importlib.import_module(self.module), self.class_name)


@functools.cache
def entries(*packages: str) -> tuple[Entry, ...]:
    """Returns what the packages list, in their order; nothing of them is imported."""
    return tuple(
        _entry(line.module, line.names[0].name)
        for package in packages
        for line in ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8")).body
        if isinstance(line, ast.ImportFrom) and line.module
    )


def help_of(option: str) -> str:
    """Returns what --help says about "memory", "read" or "similarity": a line a choice."""
    lines = []
    for e in entries(*PACKAGES[option]):
        words = " ".join((e.name, *(f"{knob}={value}" for knob, value in e.knobs.items())))
        lines.append(f"{words}: {e.summary} Source: {e.facts.get('Source', 'none')}.")
    return "\n".join(lines)


def table_of(package: str) -> str:
    """Returns the Markdown table of a package, as docs/research_kit.md has it."""
    facts = FACTS.get(package, ("Source",))
    head = ("name", WHAT.get(package, "what stays"), *map(str.lower, facts), "knobs")
    rows = [head, ("---",) * len(head)]
    for e in entries(package):
        knobs = (f"`{knob}={value}` {e.meanings.get(knob, '')}" for knob, value in e.knobs.items())
        told = (e.facts.get(fact) for fact in facts)
        rows.append((f"`{e.name}`", e.summary, *told, "<br>".join(knobs)))
    cells = ([(cell or "-").replace("|", "\\|") for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def chosen(
    memory: Sequence[str], read: Sequence[str], memorize_every: int
) -> "tuple[Memory, Read | None]":
    """Returns what --memory and --read ask for.

    Args:
        memory: A name and its knobs, such as ("fifo", "frames=8"); the name is the class's, in
            small letters, dashes or not, or FILE.py:NAME for a class of the user's own or an
            object with its knobs set. Without words, STM's.
        read: Likewise; without words None, the memory's default.
        memorize_every: Of STM's rule.

    Raises:
        InputError: There is no such memory, read or knob, a value makes no sense, or the read
            cannot read the memory.
    """
    from stm_jax.memory import EveryNth
    from stm_jax.memory.protocol import check_read
    from stm_jax.reads import Window

    if memory and memorize_every != STM_EVERY:
        raise InputError("--memorize-every is of STM's rule: leave it out beside --memory")
    kept = chosen_memory(memory) or EveryNth(memorize_every)
    reader = chosen_read(read)
    if isinstance(reader, Window) and isinstance(kept, tuple(e.kind for e in entries(STORES))):
        raise InputError(f"--read {read[0]} looks at places in frames: {memory[0]} keeps none")
    check_read(kept, reader)
    return kept, reader


def chosen_memory(words: Sequence[str], option: str = "--memory") -> "Memory | None":
    """Returns the memory that the words ask for, None without any; see `chosen`."""
    from stm_jax.memory.protocol import Memory

    memory = _chosen(option, words, entries(*PACKAGES["memory"])) if words else None
    if memory is not None and not isinstance(memory, Memory):
        raise InputError(
            f"{option} {words[0]} is no Memory: derive it from stm_jax.memory.protocol.Memory"
        )
    return memory


def chosen_read(words: Sequence[str], option: str = "--read") -> "Read | None":
    """Returns the read that the words ask for, None without any; see `chosen`."""
    if not words:
        return None
    read: Read = _chosen(option, words, entries(*PACKAGES["read"]))
    if not callable(read):
        raise InputError(f"{option} {words[0]} is no Read: give it a method __call__")
    return cast("Read | None", read)


def chosen_similarity(words: Sequence[str], option: str = "--similarity") -> "Similarity":
    """Returns the similarity that the words ask for, the dot product without any; see `chosen`."""
    from stm_jax.similarities import DotProduct
    from stm_jax.similarities.protocol import Similarity

    similarity = _chosen(option, words, entries(*PACKAGES["similarity"])) if words else DotProduct()
    if not isinstance(similarity, Similarity):
        raise InputError(
            f"{option} {words[0]} is no Similarity: derive it from "
            "stm_jax.similarities.protocol.Similarity"
        )
    return similarity


def read_to_train(words: Sequence[str]) -> "Read":
    """Returns the read that a training configuration asks for; the dense one without words.

    Raises:
        InputError: There is no such read or knob, or it has no gradient.
    """
    from stm_jax.reads import Dense, Slots

    read = chosen_read(words, "read =") or Dense()
    if isinstance(read, Slots):
        raise InputError("read = slots has no gradient: dense and chunked read the same and have")
    return read


def name_of(class_name: str) -> str:
    """Returns how a class is called on the command line: "least-used" for "LeastUsed"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", class_name).lower()


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


class _LeavesNothing(importlib.machinery.SourceFileLoader):
    """Writes no `__pycache__` beside a user's file: nothing is written but results."""

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Keeps the compiled file to itself."""


def python_file(path: pathlib.Path) -> ModuleType:
    """Runs a Python file and returns it as a module.

    Raises:
        InputError: There is no such file, or running it fails, or leaves the program.
    """
    if path.suffix != ".py" or not os.path.isfile(path):
        raise InputError(f"{path} is no Python file that is there")
    name = str(path.resolve())  # no other module can have that name
    loader = _LeavesNothing(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    with _blaming(path):
        spec.loader.exec_module(module)
    return module


def answer_of(path: pathlib.Path, function: str) -> Any:
    """Runs a Python file, and returns what a function in it returns.

    Raises:
        InputError: As `python_file`; or there is no such function, or calling it fails.
    """
    called = getattr(python_file(path), function, None)
    if not callable(called):
        raise InputError(f"{path} has no {function}(): write one")
    with _blaming(path):
        return called()


@contextlib.contextmanager
def _blaming(path: pathlib.Path) -> Iterator[None]:
    """Turns whatever a user's own Python file raises into one line that names the file."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except SystemExit as error:
        raise InputError(
            f"{path} leaves the program ({shown(repr(error))}): it may only return"
        ) from error
    except BaseException as error:  # it may raise anything
        line = next(
            (
                each.lineno
                for each in reversed(traceback.extract_tb(error.__traceback__))
                if each.filename == str(path)
            ),
            getattr(error, "lineno", None),
        )
        at = "" if line is None else f" at line {line}"
        reason = _said_by(error)
        raise InputError(f"{path} cannot be run{at}: {type(error).__name__}: {reason}") from error


def _said_by(error: BaseException) -> str:
    try:
        return " ".join(str(error).split())[:200]
    except Exception:  # its class is the user's own, too
        return "an error that cannot be shown"


def _entry(module: str, class_name: str) -> Entry:
    """Returns what a class's file says, and those of the classes that it is made from."""
    declared = _classes(module.split(".")[1])
    line, *rest = (ast.get_docstring(declared[class_name]) or "").partition("\n")
    fact = r"^(Source|Gradient|Temporary memory|Learns): (.+)\.$"
    facts = re.findall(fact, "".join(rest), re.MULTILINE)
    knobs, meanings = _knobs(declared, class_name)
    return Entry(name_of(class_name), module, class_name, line, dict(facts), knobs, meanings)


def _knobs(
    declared: dict[str, ast.ClassDef], class_name: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Returns a class's defaults and meanings of knobs, those of its bases first."""
    knobs: dict[str, str] = {}
    meanings: dict[str, str] = {}
    node = declared[class_name]
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in declared:
            for mine, inherited in zip((knobs, meanings), _knobs(declared, base.id), strict=True):
                mine |= inherited
    for line in node.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.value:
            knobs[line.target.id] = _shown(line.value)
    _, _, attributes = (ast.get_docstring(node) or "").partition("\nAttributes:\n")
    for knob, meaning in re.findall(r"^    (\w+): (.+(?:\n {5,}.+)*)", attributes, re.MULTILINE):
        meanings[knob] = " ".join(meaning.split())
    return knobs, meanings


def _shown(default: ast.expr) -> str:
    """Returns a knob's default as it is written on the command line."""
    try:
        value = ast.literal_eval(default)
    except ValueError:
        return ast.unparse(default)
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


@functools.cache
def _classes(part: str) -> dict[str, ast.ClassDef]:
    """Returns the classes of a part of the package by name, as they are written."""
    files = (ROOT / part).rglob("*.py")
    nodes = [node for file in files for node in ast.parse(file.read_text(encoding="utf-8")).body]
    return {node.name: node for node in nodes if isinstance(node, ast.ClassDef)}


def _chosen(option: str, words: Sequence[str], there: Sequence[Entry]) -> Any:
    name, *changes = words
    called = shown(name)
    if ".py:" in name:
        file, _, attribute = name.rpartition(":")
        called = f"{pathlib.Path(file).name}:{shown(attribute)}"  # its folders may be long
        kind = getattr(python_file(pathlib.Path(file)), attribute, None)
        if kind is None:
            raise InputError(f"{option} {name}: the file has no {shown(attribute)}")
    else:
        found = [entry for entry in there if _letters(entry.name) == _letters(name)]
        if not found:
            names = ", ".join(entry.name for entry in there)
            raise InputError(f"{option} {called}: there is {names}, or FILE.py:CLASS of your own")
        kind = found[0].kind
    fields = _fields(kind)
    knobs = {}
    for change in changes:
        knob, equals, value = change.partition("=")
        knob = knob.replace("-", "_")
        if not equals or knob not in fields:
            has = ", ".join(f"{field}=..." for field in fields) or "no knobs"
            raise InputError(
                f"{option} {called}: {shown(change)} is none of its knobs; it has {has}"
            )
        knobs[knob] = _value(f"{option} {called}: {shown(change)}", value, fields[knob].default)
    if inspect.isfunction(kind):
        return kind
    make = kind if isinstance(kind, type) else functools.partial(dataclasses.replace, kind)
    try:
        return make(**knobs)
    except Exception as error:  # a class of the user's own may raise anything
        raise InputError(f"{option} {called}: {_said_by(error)}") from error


def _fields(kind: Any) -> dict[str, dataclasses.Field]:
    """Returns the knobs of a class or an object by name; a function has none."""
    return {f.name: f for f in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else {}


def _value(what: str, text: str, default: Any) -> Any:
    """Returns a knob's value, of its default's type."""
    try:
        if isinstance(default, int | float) and not isinstance(default, bool):
            number = type(default)(text)
            if number != number or (isinstance(number, int) and abs(number) > LARGEST):
                raise ValueError("NaN, or more than an int32 holds")
            return number
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
