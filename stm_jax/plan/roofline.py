"""How long a program should take on a target, by its rates and by its compiler."""

import dataclasses
import math
from collections.abc import Sequence

from stm_jax.plan.counting import ASYNC_MOVES, LARGE, Step
from stm_jax.plan.targets import Chip, Target

SHORT = 1e-6  # seconds
HOP = 1e-6  # seconds from chip to chip, of which a maker says nothing; Google's guides take this


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a call of a program costs on each device of a target.

    Attributes:
        flop: Its convolutions and matrix products.
        padded_flop: The same with channels filled up to the matrix unit's side.
        main_bytes: What goes to and from main memory.
        fusions: Programs that the compiler fused ...
        steps: ... and programs in all, loops unrolled.
        short_steps: How many of these take less than a microsecond.
        large_moves: How many copies and slices of more than 10 MB there are ...
        large_moved: ... and the bytes of all of them.
        least: Seconds, were every step bound by its arithmetic or its main memory alone.
        expected: Seconds as the compiler thinks, where it says so, but never less than `least`.
        reduced: Bytes that devices exchange, each of them once.
        hidden: Seconds of other steps that run while they are exchanged.
    """

    flop: float
    padded_flop: float
    main_bytes: float
    fusions: float
    steps: float
    short_steps: float
    large_moves: float
    large_moved: float
    least: float
    expected: float
    reduced: float
    hidden: float


def predicted(steps: Sequence[Step], chip: Chip) -> Prediction:
    """Returns what a program costs on a chip, without what it exchanges with others.

    Copies in the background, and what is exchanged, are not counted into the seconds; but all
    bytes of main memory are, at least at its bandwidth.
    """
    alone = [each for each in steps if not each.is_collective]
    awaited = [each for each in alone if each.opcode not in ASYNC_MOVES]
    main_bytes = sum((each.read + each.written) * each.times for each in alone)
    by_memory = main_bytes / chip.memory_bandwidth
    exchanged = [each for each in steps if each.is_collective]
    times = [(_seconds(each, chip), each.times) for each in awaited]
    return Prediction(
        flop=sum(each.flop * each.times for each in steps),
        padded_flop=sum(_padded(each, chip) * each.times for each in steps),
        main_bytes=main_bytes,
        fusions=sum(each.times for each in steps if each.opcode == "fusion"),
        steps=sum(each.times for each in steps),
        short_steps=sum(count for seconds, count in times if seconds < SHORT),
        large_moves=sum(each.times for each in alone if each.moved > LARGE),
        large_moved=sum(each.moved * each.times for each in alone if each.moved > LARGE),
        least=max(by_memory, sum(_least(each, chip) * each.times for each in awaited)),
        expected=max(by_memory, sum(seconds * count for seconds, count in times)),
        reduced=sum(each.moved * each.times for each in exchanged),
        hidden=sum(
            _seconds(other, chip) * other.times for each in exchanged for other in each.beside or ()
        ),
    )


def _padded(step: Step, chip: Chip) -> float:
    return sum(each.padded(chip.matrix_side) for each in step.products)


def _least(step: Step, chip: Chip) -> float:
    by_memory = (step.read + step.written) / chip.memory_bandwidth
    return max(step.flop / chip.matrix_rate, by_memory)


def _seconds(step: Step, chip: Chip) -> float:
    if step.cycles is not None:
        return max(_least(step, chip), step.cycles / chip.clock)
    # Nothing is known of the on-chip memory's rate: as if all were in main memory.
    return max(_padded(step, chip) / chip.matrix_rate, step.touched / chip.memory_bandwidth)


def seconds_to_reduce(reduced: float, target: Target) -> float:
    """Returns how long summing so many bytes over all chips takes, and giving all of them the sum.

    In rings along each axis, all axes at once: each chip sends and receives nearly twice the
    bytes, over the links of the axes that there are; where an axis is too short to be closed, at
    half the rate.
    """
    chip, axes = target.chip, [size for size in target.axes if size > 1]
    if not axes or not reduced:
        return 0.0
    if chip.whole_ring is None:
        return 2 * reduced / (chip.links * chip.link_bandwidth)
    rate = sum(2 * chip.link_bandwidth * (1.0 if size >= chip.whole_ring else 0.5) for size in axes)
    count = math.prod(axes)
    return 2 * reduced * (count - 1) / count / rate + HOP * sum(axes)


def step_seconds(prediction: Prediction, target: Target) -> float:
    """Returns how long a step takes on all chips: what is exchanged is hidden as far as it is."""
    exchanging = seconds_to_reduce(prediction.reduced, target)
    return prediction.expected + max(0.0, exchanging - prediction.hidden)
