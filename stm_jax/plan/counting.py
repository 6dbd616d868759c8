"""Counts what a compiled program does each time that it is called, on one device."""

import dataclasses
from collections.abc import Iterator

from stm_jax.plan.compiled_text import CompiledText, Computation, Instruction, Shape
from stm_jax.plan.products import CUSTOM, Product, product_of

LARGE = 10_000_000  # bytes
MOVES = ("copy", "copy-start", "slice", "slice-start", "dynamic-slice", "transpose")
ASYNC_MOVES = ("copy-start", "slice-start")
NOTHING = (
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "iota", "after-all"),
    *("copy-done", "slice-done", "async-done", "async-update", "partition-id", "replica-id"),
)
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
FREE_CALLS = ('"ConcatBitcast"', '"AllocateBuffer"', '"GetBuffer"')


@dataclasses.dataclass(frozen=True)
class Step:
    """One program that a device runs: a fusion, a copy, a collective, ...

    Attributes:
        name: In the compiled text.
        opcode: What it is.
        times: How often it runs in a call of the whole.
        read: Bytes of main memory that it reads each time ...
        written: ... and writes.
        touched: Bytes of all that it takes and gives, on the chip too.
        moved: Bytes that it moves from place to place, or to other devices, if that is all it does.
        products: The convolutions and matrix products in it.
        cycles: What the TPU's compiler thinks that it takes; None where it does not say.
        op_name: Where in the Python program it comes from.
        beside: Of a collective that runs in the background: the steps that run meanwhile.
    """

    name: str
    opcode: str
    times: float
    read: int
    written: int
    touched: int
    moved: int
    products: tuple[Product, ...]
    cycles: int | None
    op_name: str
    beside: tuple["Step", ...] | None = None

    @property
    def flop(self) -> float:
        """Work of its products, each time."""
        return sum(each.flop for each in self.products)

    @property
    def is_collective(self) -> bool:
        """Whether devices exchange something in it."""
        return self.opcode.removesuffix("-start") in COLLECTIVES


def steps_of(program: CompiledText, turns: int) -> list[Step]:
    """Returns all that a device runs, in order; of the branches of a condition the costliest.

    Args:
        program: The compiled text.
        turns: How often loops run of which the compiler does not know it.
    """
    return list(_steps(program, program.entry, 1, turns))


def _steps(
    program: CompiledText, computation: Computation, times: float, turns: int
) -> Iterator[Step]:
    shapes = {each.name: each.shapes for each in computation.instructions}
    begun: dict[str, tuple[Instruction, list[Step]]] = {}
    for each in computation.instructions:
        if each.opcode == "while":
            known = _turns(program, each) or turns
            inner = list(_steps(program, program.computations[each.called["body"]], known, turns))
            found = [dataclasses.replace(step, times=step.times * times) for step in inner]
        elif each.opcode == "conditional":
            names = [name for what, name in each.called.items() if what != "to_apply"]
            ways = [list(_steps(program, program.computations[n], times, turns)) for n in names]
            found = max(ways, key=lambda way: sum(cost(step) * step.times for step in way))
        elif each.opcode == "call":
            name = each.called["to_apply"]
            found = list(_steps(program, program.computations[name], times, turns))
        elif each.opcode in NOTHING or any(name in each.rest for name in FREE_CALLS):
            found = []
        elif each.opcode.endswith("-done"):
            found = []
            if each.operands and each.operands[0] in begun:
                start, meanwhile = begun.pop(each.operands[0])
                step = _step(program, computation, start, shapes, times)
                found = [dataclasses.replace(step, beside=tuple(meanwhile))]
        elif each.opcode.removesuffix("-start") in COLLECTIVES and each.opcode.endswith("-start"):
            begun[each.name] = each, []
            found = []
        else:
            found = [_step(program, computation, each, shapes, times)]
        for _, meanwhile in begun.values():
            meanwhile += found
        yield from found


def _turns(program: CompiledText, loop: Instruction) -> int | None:
    """Returns how often a loop runs: as it says, or as its condition compares with a constant."""
    if loop.turns is not None:
        return loop.turns
    condition = program.computations[loop.called["condition"]]
    for name in condition.by_name[condition.root].operands:
        compared = condition.by_name[name]
        if compared.opcode == "constant" and compared.operands[0].isdigit():
            return int(compared.operands[0])
    return None


def cost(step: Step) -> float:
    """Returns what compares steps with one another: cycles, or bytes and work where unknown."""
    if step.cycles is not None:
        return step.cycles
    return (step.read + step.written) / 500 + step.flop / 1e5


def _step(
    program: CompiledText,
    computation: Computation,
    instruction: Instruction,
    shapes: dict[str, tuple[Shape, ...]],
    times: float,
) -> Step:
    opcode, made = instruction.opcode, instruction.shapes
    if CUSTOM.search(instruction.rest):
        made = made[:1]  # the others are room to work in
    taken = [shapes.get(name, ()) for name in instruction.operands]
    inside = program.computations.get(instruction.called.get("calls", ""))
    moved = 0
    if opcode in ASYNC_MOVES:
        # (what is given, what is made, a counter) for a slice; the first two swapped for a copy.
        arrays = [shape for shape in made if shape.sizes]
        whole, part = arrays if opcode == "slice-start" else arrays[::-1]
        moved = part.bytes
        read = 0 if whole.on_chip else moved
        written = 0 if part.on_chip else moved
    elif opcode == "fusion" and inside is not None:
        read = sum(_read_of(inside, name, shape) for name, shape in _parameters(inside, taken))
        written = _written_by(inside, made)
        moved = _moved_by(inside, made)
    elif opcode == "dynamic-update-slice":
        part = sum(shape.bytes for shape in taken[1])
        read = 0 if taken[1][0].on_chip else part
        written = 0 if made[0].on_chip else part
    elif opcode in ("slice", "dynamic-slice"):
        moved = made[0].bytes
        read = 0 if taken[0] and taken[0][0].on_chip else moved
        written = _main(made)
    else:
        read, written = sum(_main(each) for each in taken), _main(made)
        if opcode.removesuffix("-start") in COLLECTIVES:
            moved = sum(shape.bytes for shapes in taken for shape in shapes)
        elif opcode in MOVES:
            moved = made[0].bytes
    return Step(
        name=instruction.name,
        opcode=opcode,
        times=times,
        read=read,
        written=written,
        touched=sum(shape.bytes for shapes in (*taken, made) for shape in shapes),
        moved=moved,
        products=tuple(_products(program, computation, instruction)),
        cycles=instruction.cycles,
        op_name=instruction.op_name,
    )


def _main(shapes: tuple[Shape, ...]) -> int:
    return sum(shape.bytes for shape in shapes if not shape.on_chip)


def _parameters(
    inside: Computation, taken: list[tuple[Shape, ...]]
) -> Iterator[tuple[str, tuple[Shape, ...]]]:
    for each in inside.instructions:
        if each.opcode == "parameter" and each.number < len(taken):
            yield each.name, taken[each.number]


def _read_of(inside: Computation, parameter: str, shapes: tuple[Shape, ...]) -> int:
    """Returns what a fusion reads of an argument: its slices, where it takes nothing else."""
    if not shapes or shapes[0].on_chip:
        return 0
    users = inside.users.get(parameter, [])
    total = 0
    for user in users:
        if user.opcode in ("slice", "dynamic-slice"):
            total += user.shapes[0].bytes
        elif user.opcode == "dynamic-update-slice" and user.operands[0] == parameter:
            continue  # it is written into where it lies
        else:
            return _main(shapes)
    return min(total, _main(shapes))


def _written_by(inside: Computation, made: tuple[Shape, ...]) -> int:
    root = inside.by_name[inside.root]
    if root.opcode == "dynamic-update-slice" and not made[0].on_chip:
        return sum(shape.bytes for shape in inside.by_name[root.operands[1]].shapes)
    return _main(made)


def _moved_by(inside: Computation, made: tuple[Shape, ...]) -> int:
    """Returns the bytes of a fusion that only puts things elsewhere."""
    kinds = {each.opcode for each in inside.instructions} - set(NOTHING)
    return made[0].bytes if kinds and kinds <= {"copy", "slice", "transpose", "reshape"} else 0


def _products(
    program: CompiledText, computation: Computation, instruction: Instruction
) -> Iterator[Product]:
    operands = [
        computation.by_name[name].shapes[0]
        for name in instruction.operands
        if name in computation.by_name and computation.by_name[name].shapes
    ]
    found = product_of(instruction, operands)
    if found is not None:
        yield found
    inside = program.computations.get(instruction.called.get("calls", ""))
    if inside is not None:
        for each in inside.instructions:
            yield from _products(program, inside, each)
