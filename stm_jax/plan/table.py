"""The tables of a plan: a row a program and target, and how training grows with the chips."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from stm_jax.plan.compiled_text import parsed
from stm_jax.plan.compiling import Compiled
from stm_jax.plan.counting import steps_of
from stm_jax.plan.programs import Program, Segmenting, Training
from stm_jax.plan.roofline import Prediction, predicted, seconds_to_reduce, step_seconds
from stm_jax.plan.targets import GB, Target, sizes_of
from stm_jax.train.config import TrainConfig

Row = dict[str, Any]
"""Headings, with their units, to numbers; what nobody knows is not a number."""


@dataclasses.dataclass(frozen=True)
class Planned:
    """A program that was compiled for a target.

    Attributes:
        target: What for.
        program: What.
        compiled: What came of it.
        prediction: On each device.
        measured: Seconds of a call on the target's devices; None where they are not here.
    """

    target: Target
    program: Program
    compiled: Compiled
    prediction: Prediction
    measured: float | None

    @property
    def results(self) -> int:
        """Clips or frames of a call, on all chips."""
        if isinstance(self.program, Training):
            return self.program.stage.data.batch_size
        return self.target.chips * self.program.videos  # each chip has videos of its own

    @property
    def seconds(self) -> float:
        """How long a call should take."""
        return step_seconds(self.prediction, self.target)


def planned(
    target: Target, program: Program, compiled: Compiled, measured: float | None
) -> Planned:
    """Returns the plan of a compiled program.

    Loops of which the compiler does not know the turns are those over the memory's slots.
    """
    turns = program.slots if isinstance(program, Segmenting) else program.stage.data.length - 1
    steps = steps_of(parsed(compiled.text), turns)
    return Planned(target, program, compiled, predicted(steps, target.chip), measured)


def row_of(plan: Planned) -> Row:
    """Returns what is known of a program on a target; bytes and work are those of a device."""
    found, chip, seconds = plan.prediction, plan.target.chip, plan.seconds
    exchanging = seconds_to_reduce(found.reduced, plan.target)
    hidden = min(1.0, found.hidden / exchanging) if exchanging else math.nan
    return {
        "program": _name(plan.program),
        "target": plan.target.name,
        "compile, s": plan.compiled.seconds,
        "memory, GB": plan.compiled.memory / GB,
        "of GB": chip.memory / GB,
        "most clips a chip": _most_clips(plan),
        "GFLOP": found.flop / 1e9,
        "padded to": found.padded_flop / found.flop,
        "main memory, GB": found.main_bytes / GB,
        "fusions": found.fusions,
        "below 1 us": found.short_steps,
        "moves over 10 MB": found.large_moves,
        "of GB, moved": found.large_moved / GB,
        "exchanged, MB": found.reduced / 1e6,
        "hidden": hidden,
        "at least, ms": 1e3 * found.least,
        "expected, ms": 1e3 * seconds,
        "measured, ms": math.nan if plan.measured is None else 1e3 * plan.measured,
        "of the matrix rate": found.flop / seconds / chip.matrix_rate,
        "a second, all chips": plan.results / seconds,
    }


def _name(program: Program) -> str:
    if isinstance(program, Segmenting):
        objects = "1 object" if program.objects == 1 else f"{program.objects} objects"
        frame = "a frame" if program.videos == 1 else f"a frame of {program.videos} videos"
        return f"{program.model.name}, {frame}, {objects}"
    return f"{program.config.network.name}, a step"


def _most_clips(plan: Planned) -> float:
    """Returns how many clips a chip has room for, were what the step needs besides its state
    proportional to them.
    """
    if not isinstance(plan.program, Training):
        return math.nan
    clips = plan.program.stage.data.batch_size / plan.target.chips
    room = plan.target.chip.memory - plan.compiled.arguments
    fitting = clips * room / plan.compiled.temporary
    return fitting if math.isnan(fitting) else math.floor(fitting)


def growth_of(plan: Planned, config: TrainConfig) -> list[Row]:
    """Returns how training goes on more and fewer chips of this kind, each with as many clips.

    The recipe's clips are the same in number, so its steps get fewer as the batch grows; whether
    it learns as much from them is another question. A step on one chip exchanges nothing, so it
    says nothing of that, and nothing is returned.
    """
    if plan.target.chips == 1:
        return []
    clips = plan.results / plan.target.chips
    total = sum(stage.steps * stage.data.batch_size for stage in config.stages)
    alone, rows = plan.prediction.expected, []
    for target in sizes_of(plan.target.chip):
        seconds = step_seconds(plan.prediction, target)
        rate = clips * target.chips / seconds
        hours = total / rate / 3600
        rows.append(
            {
                "program": _name(plan.program),
                "target": target.name,
                "chips": target.chips,
                "clips a step": clips * target.chips,
                "clips a second": rate,
                "of so many single chips": alone / seconds,
                "hours of the recipe": hours,
                "chip-hours": hours * target.chips,
            }
        )
    return rows


def markdown(rows: Sequence[Row]) -> str:
    """Returns rows with the same headings as a table for people."""
    headings = list(rows[0])
    lines = [headings, ["---"] * len(headings)]
    lines += [[_shown(row[name]) for name in headings] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return "-"
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{min(digits, 3)}f}"
