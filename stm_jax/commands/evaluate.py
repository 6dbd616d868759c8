"""`stm-jax evaluate`: J and F of a folder of predicted masks, as the benchmarks define them."""

import dataclasses
import pathlib

import tyro

from stm_jax.benchmark.results import score
from stm_jax.commands.shared.options import SequenceOptions
from stm_jax.eval.other_predictions import as_folder
from stm_jax.runtime.outputs import check_outputs


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Score predicted masks: PREDICTIONS/SEQUENCE/FRAME.png, whose values are object ids.

    Prints J and F of each sequence and of all. A mask that is missing or cannot be used is named
    and scored 0.
    """

    predictions: tyro.conf.Positional[pathlib.Path]
    """Masks: SEQUENCE/FRAME.png in a folder, or one laid out as DAVIS, or a JSON: of COCO video, or
    of BURST."""
    dataset: pathlib.Path
    """The data set: the folder that holds JPEGImages and Annotations; of BURST that with frames."""
    data: SequenceOptions
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
        check_outputs(
            [self.predictions, self.dataset],
            files=(self.json, self.csv, self.html),
            roots=[self.dataset],
        )
        sequences = self.data.of(self.dataset)
        with as_folder(self.predictions, self.data.protocol) as folder:
            score(
                folder,
                sequences,
                self.data.protocol,
                json=self.json,
                csv=self.csv,
                page=self.html,
                strict=self.strict,
            )
