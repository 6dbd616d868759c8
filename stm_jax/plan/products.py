"""Counts the multiplications of convolutions and matrix products in a compiled text."""

import math
import re
from typing import NamedTuple

from stm_jax.plan.compiled_text import Instruction, Shape

_WINDOW = re.compile(r"window=\{([^}]*)\}")
_LABELS = re.compile(r"dim_labels=(\w+)_(\w+)->(\w+)")
_CONTRACTED = re.compile(r"lhs_contracting_dims=\{([\d,]*)\}")
_BATCHED = re.compile(r"lhs_batch_dims=\{([\d,]*)\}")
_GROUPS = re.compile(r"(feature|batch)_group_count=(\d+)")
CUSTOM = re.compile(r'custom_call_target="(__cudnn\$conv\w*|__cublas\$\w+)"')


class Product(NamedTuple):
    """A convolution or a product of matrices.

    Attributes:
        flop: A multiplication and an addition are two; what meets padding or holes is no work.
        summed: Over how many channels it sums at one tap of the kernel ...
        made: ... and how many channels it makes of them.
    """

    flop: int
    summed: int
    made: int

    def padded(self, side: int) -> float:
        """Returns the work of a matrix unit that takes and makes so many channels at once.

        The model: one tap of a kernel after the other, and the channels on both sides of it are
        filled up to a multiple of the unit's side.
        """
        summed, made = (math.ceil(each / side) * side for each in (self.summed, self.made))
        return self.flop * summed / self.summed * made / self.made


def product_of(instruction: Instruction, operands: list[Shape]) -> Product | None:
    """Returns the product that an instruction is, or None.

    Args:
        instruction: Of a compiled program.
        operands: The arrays that it takes.
    """
    opcode, rest = instruction.opcode, instruction.rest
    custom = CUSTOM.search(rest) if opcode == "custom-call" else None
    if opcode == "convolution" or (custom is not None and "conv" in custom[1]):
        return _convolution(instruction, operands)
    if opcode == "dot" or custom is not None:
        return _dot(instruction, operands)
    return None


def _dot(instruction: Instruction, operands: list[Shape]) -> Product:
    left, made = operands[0].sizes, instruction.shapes[0].sizes
    contracted = _CONTRACTED.search(instruction.rest)
    # A custom call holds its dimensions as JSON: '"lhs_contracting_dimensions":["1"]'.
    axes = _axes(contracted[1]) if contracted else _json_axes(instruction.rest, "contracting")
    batched = _BATCHED.search(instruction.rest)
    batch = _axes(batched[1]) if batched else _json_axes(instruction.rest, "batch")
    summed = math.prod(left[axis] for axis in axes)
    rows = math.prod(left) // summed // math.prod(left[axis] for axis in batch)
    columns = math.prod(made) // rows // math.prod(left[axis] for axis in batch)
    return Product(2 * math.prod(made) * summed, summed, columns)


def _convolution(instruction: Instruction, operands: list[Shape]) -> Product | None:
    labels = _LABELS.search(instruction.rest)
    if labels is None:
        return None
    taken, kernel, made = operands[0].sizes, operands[1].sizes, instruction.shapes[0].sizes
    if "ForwardConv" not in instruction.rest and instruction.opcode == "custom-call":
        # Backward convolutions are named by the forward one: the gradient is of one of the two.
        taken, kernel, made = _as_forward(instruction.rest, taken, kernel, made)
    window = _Window(instruction.rest)
    pairs = 1
    for axis in range(len(labels[1]) - 2):
        size_in = taken[labels[1].index(str(axis))]
        size_out = made[labels[3].index(str(axis))]
        pairs *= window.pairs(axis, size_in, size_out, kernel[labels[2].index(str(axis))])
    groups = dict((what, int(count)) for what, count in _GROUPS.findall(instruction.rest))
    summed, channels = kernel[labels[2].index("i")], kernel[labels[2].index("o")]
    batch = taken[labels[1].index("b")] // groups.get("batch", 1)
    return Product(
        2 * batch * pairs * summed * channels, summed, channels // groups.get("feature", 1)
    )


def _as_forward(
    rest: str, first: tuple[int, ...], second: tuple[int, ...], result: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Returns image, kernel and result of the convolution whose gradient a custom call is."""
    if "BackwardInput" in rest:
        return result, second, first
    if "BackwardFilter" in rest:
        return first, result, second
    return first, second, result


class _Window:
    """How a kernel moves over an image."""

    def __init__(self, rest: str) -> None:
        found = _WINDOW.search(rest)
        self._parts = dict(part.split("=") for part in found[1].split()) if found else {}

    def _of(self, what: str, axis: int, default: str) -> str:
        return self._parts[what].split("x")[axis] if what in self._parts else default

    def pairs(self, axis: int, size_in: int, size_out: int, taps: int) -> int:
        """Returns how often, along an axis, a tap of the kernel meets a pixel of the image."""
        stride = int(self._of("stride", axis, "1"))
        low = int(self._of("pad", axis, "0_0").split("_")[0])
        hole, spread = (
            int(self._of("lhs_dilate", axis, "1")),
            int(self._of("rhs_dilate", axis, "1")),
        )
        last = (size_in - 1) * hole
        met = 0
        for tap in range(taps):
            if hole == 1:  # an interval of outputs, at once
                first = -(-(low - tap * spread) // stride)
                end = (last + low - tap * spread) // stride
                met += max(0, min(end, size_out - 1) - max(first, 0) + 1)
                continue
            places = (out * stride + tap * spread - low for out in range(size_out))
            met += sum(0 <= place <= last and place % hole == 0 for place in places)
        return met


def _axes(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def _json_axes(rest: str, what: str) -> list[int]:
    found = re.search(rf'"lhs_{what}_dimensions":\[([^\]]*)\]', rest)
    return _axes(found[1].replace('"', "")) if found else []
