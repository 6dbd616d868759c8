"""`stm-jax evaluate`: J and F of a folder of predicted masks, as the benchmarks define them."""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tyro

from stm_jax.data.benchmarks import BenchmarkSequence, Protocol, benchmark_sequences
from stm_jax.errors import InputError
from stm_jax.eval.scores import Scores, write_csv, write_json
from stm_jax.eval.scoring import score_predictions
from stm_jax.report.score_table import print_scores
from stm_jax.runtime.progress import FrameProgress
from stm_jax.version import __version__


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Score predicted masks: PREDICTIONS/SEQUENCE/FRAME.png, whose values are object ids.

    Prints J and F of each sequence and of all. A mask that is missing or cannot be used is named
    and scored 0.
    """

    predictions: tyro.conf.Positional[pathlib.Path]
    """A folder with a folder of PNGs for each sequence."""
    dataset: pathlib.Path
    """The data set: the folder that holds JPEGImages and Annotations."""
    protocol: Protocol
    """davis2016 takes all objects for one; folder is any data set in such folders, all of it."""
    split: str = "val"
    """Which of the data set's lists of sequences."""
    sequences: tuple[str, ...] = ()
    """Score only these."""
    json: pathlib.Path | None = None
    """Write all values, of every object and frame, here."""
    csv: pathlib.Path | None = None
    """Write a row for each object here."""
    html: pathlib.Path | None = None
    """Write a page to look at here: tables, plots, frames."""
    strict: tyro.conf.FlagCreatePairsOff[bool] = False
    """Stop, with exit status 2, at the first mask that is missing or wrong."""

    def run(self) -> None:
        """Runs the command.

        Raises:
          InputError: nothing can be scored, or `strict` and something is wrong with a prediction.
          OSError: a result cannot be written.
        """
        for path in (self.json, self.csv, self.html):
            check_can_be_written(path)
        sequences = benchmark_sequences(self.dataset, self.protocol, self.split, self.sequences)
        with _progress("scoring: ") as show:
            scores = score_predictions(
                self.predictions, sequences, self.protocol, strict=self.strict, progress=show
            )
        if self.json:
            write_json(self.json, scores)
        if self.csv:
            write_csv(self.csv, scores)
        if self.html:
            _write_page(self.html, scores, self.predictions, sequences)
        print_scores(scores)


def check_can_be_written(path: pathlib.Path | None) -> None:
    """Raises InputError if a result could not be written there, before work is done for it."""
    if path is not None and path.is_dir():
        raise InputError(f"{path} is a folder: give the name of a file in it")
    if path is not None and not path.parent.is_dir():
        raise InputError(f"{path.parent}: no such folder to write {path.name} to: make it first")


def _write_page(
    path: pathlib.Path,
    scores: Scores,
    predictions: pathlib.Path,
    sequences: Sequence[BenchmarkSequence],
) -> None:
    from stm_jax.report.page_of_scores import write_report

    frames = {sequence.name: len(sequence.frames) for sequence in sequences}
    with _progress("page: ") as show:
        done = 0

        def add(name: str) -> None:
            nonlocal done
            done += frames[name]
            show(done, sum(frames.values()))

        write_report(path, scores, predictions, sequences, _details(predictions), done=add)


@contextlib.contextmanager
def _progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Yields a function of what is done and what there is in all, which begins with the bar."""
    with contextlib.ExitStack() as stack:
        bars: list[FrameProgress] = []

        def show(done: int, total: int) -> None:
            if not bars:
                bars.append(stack.enter_context(FrameProgress(total)))
            bars[0].update(done, segmented=False, label=label)

        yield show


def _details(predictions: pathlib.Path) -> dict[str, Any]:
    """Returns what a run that wrote these masks has noted down beside them, if one did."""
    run = predictions.resolve().parent
    noted = _read(run / "settings.json")
    sequences = {path.stem: _read(path) for path in sorted((run / "sequences").glob("*.json"))}
    return {
        "settings": noted.get("settings") or {},
        "versions": noted.get("versions") or {"stm_jax": __version__},
        "sequences": sequences,
    }


def _read(path: pathlib.Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
