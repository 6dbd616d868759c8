"""The folder that `stm-jax benchmark-dataset` fills, sequence by sequence.

A sequence counts as done only once its summary is there, which is written last.
"""

import pathlib
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from stm_jax.benchmark.burst import write_burst
from stm_jax.data.benchmarks import BenchmarkSequence
from stm_jax.data.masks import write_mask
from stm_jax.data.names import checked_name, written_below
from stm_jax.data.protocols import RULES, Protocol
from stm_jax.files import (
    flush,
    is_whole_png,
    remove_unfinished,
    write_json,
    writing_whole,
)
from stm_jax.json_files import read_json
from stm_jax.runtime.claim import make_folder
from stm_jax.runtime.results import ResultsFolder
from stm_jax.version import __version__

RESULTS = ("scores.json", "scores.csv", "report.html", "submission.zip", "predictions.json")
SETTINGS = "settings.json"
WRITTEN = (
    *("sequences/*.json", "masks/*/*.png", "masks/*/", "attention/*.png"),
    *("sequences", "masks", "attention", SETTINGS, *RESULTS),
)
"""Patterns of all that is written, for `ResultsFolder`."""


class BenchmarkFolder(ResultsFolder):
    """One --out folder of `stm-jax benchmark-dataset`; see `ResultsFolder`.

    Args:
        versions: Of the program and what it stands on; noted, not compared.
    """

    def __init__(
        self, path: pathlib.Path, settings: dict[str, Any], versions: Mapping[str, str]
    ) -> None:
        super().__init__(
            path,
            settings,
            command="benchmark-dataset",
            noted=(SETTINGS,),
            folders=("sequences", "masks"),
            written=WRITTEN,
        )
        self.scores_json, self.scores_csv, self.report, self.submission, self.predictions = (
            path / name for name in RESULTS
        )
        self._versions = dict(versions)

    def begin(self, overwrite: bool) -> None:
        """Makes the folder ready; see `ResultsFolder.begin`."""
        super().begin(overwrite)
        write_json(self.path / SETTINGS, {"settings": self.settings, "versions": self._versions})

    def summary_of(self, sequence: BenchmarkSequence) -> dict[str, Any] | None:
        """Returns the summary of a sequence that is done.

        None if it is not, or if the summary or a mask is missing, empty or cut off.
        """
        if not all(is_whole_png(self._mask(sequence, index)) for index in sequence.wanted):
            return None
        return read_json(self._summary(sequence.name)) or None

    def is_spoiled(self, sequence: BenchmarkSequence) -> bool:
        """Says whether a sequence was done, but what is there of it is not whole."""
        return self._summary(sequence.name).exists() and self.summary_of(sequence) is None

    def clear_sequence(self, sequence: BenchmarkSequence) -> None:
        """Makes an empty folder for the masks of a sequence that is begun, or begun again."""
        self._summary(sequence.name).unlink(missing_ok=True)
        self.attention_of(sequence).unlink(missing_ok=True)
        folder = written_below(self.masks, sequence.name)
        make_folder(folder)
        remove_unfinished(folder)
        for mask in folder.glob("*.png"):
            mask.unlink()
        for name in RESULTS:  # they are of fewer sequences than there will be
            (self.path / name).unlink(missing_ok=True)

    def write_mask(
        self, sequence: BenchmarkSequence, index: int, ids: UInt8[np.ndarray, "height width"]
    ) -> None:
        """Writes the mask of one frame."""
        write_mask(self._mask(sequence, index), ids, durable=False)

    def finish_sequence(self, sequence: BenchmarkSequence, summary: Mapping[str, Any]) -> None:
        """Notes that all masks of a sequence are written, once they are on the disk."""
        flush(self._mask(sequence, index) for index in sequence.wanted)
        write_json(self._summary(sequence.name), summary)

    def attention_of(self, sequence: BenchmarkSequence) -> pathlib.Path:
        """Returns the picture of where the worst frame of a sequence looked."""
        return written_below(self.path / "attention", f"{sequence.name}.png")

    def write_submission(
        self, sequences: Sequence[BenchmarkSequence], protocol: Protocol
    ) -> pathlib.Path | None:
        """Writes what others score, in their form; None if they have none, or it is there already.

        It has the wanted frames. The same masks give the same bytes: entries of a zip are sorted
        and bear no time.
        """
        form = RULES[protocol].submission
        if form is None or (form != "json" and zipfile.is_zipfile(self.submission)):
            return None
        if form == "json":
            if self.predictions.is_file():
                return None
            write_burst(self.predictions, sequences, self.masks)
            return self.predictions
        above = "Annotations/" if form == "annotations" else ""
        with (
            writing_whole(self.submission) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
        ):
            for sequence in sorted(sequences, key=lambda each: each.name):
                for index in sequence.wanted:
                    file = self._mask(sequence, index)
                    member = checked_name(file.name, sequence.frames[index])
                    entry = zipfile.ZipInfo(f"{above}{sequence.name}/{member}")
                    entry.external_attr = 0o644 << 16
                    archive.writestr(entry, file.read_bytes())
        return self.submission

    def _mask(self, sequence: BenchmarkSequence, index: int) -> pathlib.Path:
        return written_below(self.masks, sequence.name) / f"{sequence.frames[index].stem}.png"

    def _summary(self, name: str) -> pathlib.Path:
        return written_below(self.path / "sequences", f"{name}.json")


def noted_beside(masks: pathlib.Path) -> dict[str, Any]:
    """Returns what a run that wrote these masks has noted beside them; see `write_report`."""
    run = masks.resolve().parent
    noted = read_json(run / SETTINGS)
    return {
        "settings": noted.get("settings") or {},
        "versions": noted.get("versions") or {"stm_jax": __version__},
        "sequences": {path.stem: read_json(path) for path in sorted(run.glob("sequences/*.json"))},
        "attention": {path.stem: path for path in run.glob("attention/*.png")},
    }
