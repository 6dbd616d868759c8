"""Reads the text of a compiled program, as XLA prints it for TPUs and GPUs."""

import dataclasses
import functools
import math
import re
from typing import NamedTuple

_SHAPE = re.compile(r"([a-z]+\d*(?:e\d+m\d+\w*)?)\[([\d,]*)\](?:\{([^{}]*)\})?")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (.*?) ([a-z][a-z\-]*\d*)\((.*)$")
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) (?:\(.*)?\{$")
_OPERAND = re.compile(r"%?([\w.\-]+)(?=,|$)")
_CALLED = re.compile(
    r"(calls|body|condition|to_apply|true_computation|false_computation)=%?([\w.\-]+)"
)
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TURNS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_SPACE = re.compile(r"S\((\d+)\)")
_TILE = re.compile(r"T\(([\d,]+)\)")
_BITS = re.compile(r"\d+")


class Shape(NamedTuple):
    """One array of a program.

    Attributes:
        dtype: As XLA calls it, such as "bf16".
        sizes: Along each axis.
        order: Its axes, the one that lies closest in memory first.
        tile: In what blocks it is stored; each of its last axes is padded to them.
        on_chip: Whether it lies in another memory than the main one.
    """

    dtype: str
    sizes: tuple[int, ...]
    order: tuple[int, ...] = ()
    tile: tuple[int, ...] = ()
    on_chip: bool = False

    @property
    def bytes(self) -> int:
        """How much memory it takes, padding included."""
        bits = 8 if self.dtype == "pred" else int((_BITS.search(self.dtype) or ["0"])[0])
        sizes = [self.sizes[axis] for axis in self.order] or list(self.sizes[::-1])
        for place, block in enumerate(reversed(self.tile)):
            if place < len(sizes):
                sizes[place] = -(-sizes[place] // block) * block
        return math.prod(sizes) * bits // 8


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of a program.

    Attributes:
        name: What others call it.
        opcode: What it does, such as "fusion".
        shapes: Of what it gives: of a tuple all, whatever is nested in it.
        operands: The names of what it takes.
        number: Of a parameter: which one of its computation it is.
        called: The computations that it calls, by what as, such as {"body": "region_3"}; branches
            by their numbers.
        rest: All that stands behind its operands.
    """

    name: str
    opcode: str
    shapes: tuple[Shape, ...]
    operands: tuple[str, ...]
    number: int
    called: dict[str, str]
    rest: str

    @property
    def turns(self) -> int | None:
        """How often a loop's body runs; None where the compiler does not know."""
        found = _TURNS.search(self.rest)
        return None if found is None else int(found[1])

    @property
    def cycles(self) -> int | None:
        """How many cycles the TPU's compiler thinks that it takes; None if it does not say."""
        found = _CYCLES.search(self.rest)
        return None if found is None else int(found[1])

    @property
    def op_name(self) -> str:
        """Where in the Python program it comes from."""
        found = re.search(r'op_name="([^"]*)"', self.rest)
        return "" if found is None else found[1]


@dataclasses.dataclass(frozen=True)
class Computation:
    """A list of instructions, in the order in which they run."""

    name: str
    instructions: tuple[Instruction, ...]
    root: str

    @functools.cached_property
    def by_name(self) -> dict[str, Instruction]:
        """The instructions by their names."""
        return {each.name: each for each in self.instructions}

    @functools.cached_property
    def users(self) -> dict[str, list[Instruction]]:
        """Who takes what each instruction gives."""
        found: dict[str, list[Instruction]] = {}
        for each in self.instructions:
            for operand in each.operands:
                found.setdefault(operand, []).append(each)
        return found


@dataclasses.dataclass(frozen=True)
class CompiledText:
    """A whole program: its computations, one of which it begins with."""

    computations: dict[str, Computation]
    entry: Computation


def parsed(text: str) -> CompiledText:
    """Returns the program that a compiled text describes.

    Args:
        text: What `jax.stages.Compiled.as_text()` gives.
    """
    computations: dict[str, Computation] = {}
    entry, name, root = "", "", ""
    lines: list[Instruction] = []
    for line in text.split("\n"):
        begun = _COMPUTATION.match(line)
        if begun is not None:
            name, lines, root = begun[2], [], ""
            entry = name if begun[1] else entry
        elif line.startswith("}") and name:
            computations[name] = Computation(name, tuple(lines), root)
            name = ""
        elif name and (found := _INSTRUCTION.match(line)) is not None:
            lines.append(_instruction(found))
            root = found[2] if found[1] else root
    return CompiledText(computations, computations[entry])


def shapes_of(text: str) -> tuple[Shape, ...]:
    """Returns the arrays that a type names, such as "(f32[2,3]{1,0:T(8,128)S(1)}, s32[])"."""
    return tuple(_shape(found) for found in _SHAPE.finditer(text))


def _shape(found: re.Match[str]) -> Shape:
    order, _, stored = (found[3] or "").partition(":")
    tile, space = _TILE.search(stored), _SPACE.search(stored)
    return Shape(
        found[1],
        _numbers(found[2]),
        _numbers(order),
        () if tile is None else _numbers(tile[1]),
        space is not None and space[1] != "0",
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part)


def _instruction(found: re.Match[str]) -> Instruction:
    operands, rest = _split(found[5])
    called = {what: name for what, name in _CALLED.findall(rest)}
    branches = _BRANCHES.search(rest)
    if branches is not None:
        for index, name in enumerate(re.findall(r"[\w.\-]+", branches[1])):
            called[str(index)] = name
    return Instruction(
        found[2],
        found[4],
        shapes_of(found[3]),
        tuple(_OPERAND.findall(operands)),
        int(operands) if found[4] == "parameter" else 0,
        called,
        rest,
    )


def _split(text: str) -> tuple[str, str]:
    """Returns what stands within the brackets that are open, and what follows."""
    depth = 1
    for index, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return text[:index], text[index + 1 :]
    return text, ""
