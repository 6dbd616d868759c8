"""`stm-jax compare`: scored runs side by side, and whether their difference is more than chance."""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import tyro
from rich.table import Table
from rich.text import Text

from stm_jax.eval.comparison import (
    CONFIDENCE,
    MEASURES,
    RESAMPLES,
    Comparison,
    Difference,
    compare_runs,
)
from stm_jax.eval.scores import read_scores
from stm_jax.files import write_csv, write_json
from stm_jax.report.score_table import console_for_tables
from stm_jax.runtime.outputs import check_outputs
from stm_jax.text import printable


@dataclasses.dataclass(frozen=True)
class Compare:
    """Compare runs that `stm-jax evaluate --json` scored, each with the first.

    Prints J&F of each sequence, and the difference over all with a 95 % interval by a paired
    bootstrap over sequences. If that contains 0, the difference may be chance.
    """

    runs: tyro.conf.Positional[tuple[pathlib.Path, ...]]
    """Two or more JSON files of the same protocol; the first is what the others are compared to."""
    json: pathlib.Path | None = None
    """Write all figures here."""
    csv: pathlib.Path | None = None
    """Write a row for each sequence here."""

    def run(self) -> None:
        """Runs the command.

        Raises:
          InputError: a file is no scores file, or the runs cannot be compared.
          OSError: a result cannot be written.
        """
        check_outputs(self.runs, files=(self.json, self.csv))
        names = [str(path) for path in self.runs]
        comparison = compare_runs([read_scores(path) for path in self.runs], names)
        if self.json:
            write_json(self.json, _as_json(comparison, names), indent=1)
        if self.csv:
            write_csv(self.csv, _rows(comparison, names))
        _print(comparison, names)


def _print(comparison: Comparison, names: Sequence[str]) -> None:
    count = len(names)
    for number, name in enumerate(names, 1):
        print(f"{number}: {printable(name)}")
    table = Table("sequence", title="J&F, and differences to run 1")
    others = [f"{number} - 1" for number in range(2, count + 1)]
    for column in ("objects", *(f"run {number}" for number in range(1, count + 1)), *others):
        table.add_column(column, justify="right")
    for sequence, values in comparison.sequences.items():
        table.add_row(
            Text(printable(sequence)), str(comparison.objects[sequence]), *_cells(values["J&F"])
        )
    table.add_section()
    table.add_row("global", str(sum(comparison.objects.values())), *_cells(comparison.total["J&F"]))
    console_for_tables().print(table)
    for line in comparison.warnings:
        print(f"warning: {printable(line)}")
    for index, other in enumerate(others):
        for measure in MEASURES:
            print(f"{other}, {measure}: {_verdict(comparison.differences[measure][index])}")


def _cells(values: Sequence[float]) -> list[str]:
    first, *rest = values
    return [f"{value:.3f}" for value in values] + [f"{value - first:+.3f}" for value in rest]


def _verdict(difference: Difference) -> str:
    if difference.interval is None:
        return f"{difference.mean:+.4f}, without an interval: no difference is shown"
    low, high = difference.interval
    return f"{difference.mean:+.4f} [{low:+.4f}, {high:+.4f}] " + (
        "leaves out 0: a difference is shown"
        if difference.is_shown
        else "contains 0: no difference is shown"
    )


def _as_json(comparison: Comparison, names: Sequence[str]) -> dict[str, Any]:
    differences = {
        measure: [dataclasses.asdict(each) | {"is_shown": each.is_shown} for each in of_runs]
        for measure, of_runs in comparison.differences.items()
    }
    return {
        "runs": list(names),
        "interval": f"{CONFIDENCE:.0%}, paired bootstrap over sequences, {RESAMPLES} resamples",
        **dataclasses.asdict(comparison),
        "differences": differences,
    }


def _rows(comparison: Comparison, names: Sequence[str]) -> Iterator[Sequence[object]]:
    yield ["sequence", "objects", *(f"{m} {name}" for m in MEASURES for name in names)]
    rows = {**comparison.sequences, "global": comparison.total}
    counts = {**comparison.objects, "global": sum(comparison.objects.values())}
    for name, values in rows.items():
        yield [name, counts[name], *(value for m in MEASURES for value in values[m])]
