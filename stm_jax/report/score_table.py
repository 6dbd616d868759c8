"""Scores as a table on the terminal."""

from collections.abc import Sized

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stm_jax.eval.davis import GlobalScore
from stm_jax.eval.scores import Scores
from stm_jax.text import printable

WIDTH_WITHOUT_TERMINAL = 120
COLUMNS = ("J&F", "J mean", "recall", "decay", "F mean", "recall", "decay")


def print_scores(scores: Scores) -> None:
    """Prints a row for each sequence, what was wrong, and last the global line, to stdout."""
    table = Table("sequence", title=f"{scores.protocol}, mean over objects")
    for column in ("objects", *COLUMNS):
        table.add_column(column, justify="right")
    for name, score in scores.sequences.items():
        objects = sum(sequence == name for sequence, _ in scores.objects)
        table.add_row(Text(printable(name)), str(objects), *_cells(score))
    table.add_section()
    table.add_row("global", str(len(scores.objects)), *_cells(scores.global_score))
    console = console_for_tables()
    console.print(table)
    for line in scores.problems:
        print(f"problem: {printable(line)}")
    if scores.ranked:
        print(", ".join(f"{name} {value:.4f}" for name, value in scores.ranked.items()))
    total = scores.global_score
    of = f"{count(scores.objects, 'object')} of {count(scores.sequences, 'sequence')}"
    wrong = f"; {count(scores.problems, 'problem')}, see above" if scores.problems else ""
    print(
        f"global: J&F {total.j_and_f:.4f}, J {total.j.mean:.4f}, F {total.f.mean:.4f}"
        f" over {of}{wrong}"
    )


def count(things: Sized, name: str) -> str:
    """Returns "1 object", "2 objects"."""
    return f"{len(things)} {name}{'s' * (len(things) != 1)}"


def console_for_tables() -> Console:
    """Returns the terminal; where there is none, one wide enough that nothing is cut off."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=WIDTH_WITHOUT_TERMINAL)


def _cells(score: GlobalScore) -> list[str]:
    measures = [(each.mean, each.recall, each.decay) for each in (score.j, score.f)]
    return [f"{value:.3f}" for value in (score.j_and_f, *measures[0], *measures[1])]
