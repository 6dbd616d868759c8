"""The folder that `stm-jax benchmark-dataset` fills, sequence by sequence.

Every file is written to a temporary name and renamed, and a sequence counts as done only once
its summary is there, which is written last: a run may be killed at any moment.
"""

import json
import os
import pathlib
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from stm_jax.data.benchmarks import BenchmarkSequence
from stm_jax.data.masks import write_mask
from stm_jax.errors import InputError
from stm_jax.runtime.results import check_same_settings, write_json

RESULTS = ("scores.json", "scores.csv", "report.html", "submission.zip")


class BenchmarkFolder:
    """One --out folder and the settings of the run that fills it.

    Args:
        path: The folder; made if it is not there.
        settings: Everything that the masks depend on, as JSON values. A run only goes on in a
            folder whose settings are the same.
        versions: Of the program and what it stands on; noted, not compared.
    """

    def __init__(
        self, path: pathlib.Path, settings: dict[str, Any], versions: Mapping[str, str]
    ) -> None:
        self.path = path
        self.masks = path / "masks"
        self.scores_json, self.scores_csv, self.report, self.submission = (
            path / name for name in RESULTS
        )
        self._settings, self._versions = settings, dict(versions)
        self._noted = path / "settings.json"
        self._summaries = path / "sequences"
        self._attention = path / "attention"

    def begin(self, overwrite: bool) -> None:
        """Makes the folder ready for this run.

        Raises:
            InputError: It holds results of a run with other settings and `overwrite` is not given,
                or masks that this command did not write; or it cannot be made.
        """
        if self.masks.exists() and not self._noted.exists():
            raise InputError(
                f"{self.masks} was not written by `stm-jax benchmark-dataset`: give another --out"
            )
        if overwrite:
            self._clear()
        if self._noted.exists():
            check_same_settings(self.path, self._noted, self._settings)
        try:
            self._summaries.mkdir(parents=True, exist_ok=True)
            write_json(self._noted, {"settings": self._settings, "versions": self._versions})
            self.masks.mkdir(exist_ok=True)
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise InputError(
                f"{self.path} cannot be made a folder ({error.strerror}): give another --out"
            ) from error
        for folder in (self.path, self._summaries):
            for left_behind in folder.glob(".*.tmp"):
                left_behind.unlink()

    def summary_of(self, sequence: BenchmarkSequence) -> dict[str, Any] | None:
        """Returns the summary of a sequence that is done, None if it is not, or lacks a mask."""
        file = self._summary(sequence.name)
        if not file.is_file():
            return None
        if not all(self._mask(sequence, index).is_file() for index in sequence.wanted):
            return None
        return json.loads(file.read_text())

    def clear_sequence(self, sequence: BenchmarkSequence) -> None:
        """Makes an empty folder for the masks of a sequence that is begun, or begun again."""
        self._summary(sequence.name).unlink(missing_ok=True)
        self.attention_of(sequence).unlink(missing_ok=True)
        shutil.rmtree(self.masks / sequence.name, ignore_errors=True)
        (self.masks / sequence.name).mkdir()
        for name in RESULTS:  # they are of fewer sequences than there will be
            (self.path / name).unlink(missing_ok=True)

    def write_mask(
        self, sequence: BenchmarkSequence, index: int, ids: UInt8[np.ndarray, "height width"]
    ) -> None:
        """Writes the mask of one frame."""
        write_mask(self._mask(sequence, index), ids)

    def finish_sequence(self, sequence: BenchmarkSequence, summary: Mapping[str, Any]) -> None:
        """Notes that all masks of a sequence are written."""
        write_json(self._summary(sequence.name), summary)

    def attention_of(self, sequence: BenchmarkSequence) -> pathlib.Path:
        """Returns the picture of where the worst frame of a sequence looked."""
        return self._attention / f"{sequence.name}.png"

    def details(self, sequences: Sequence[BenchmarkSequence]) -> dict[str, Any]:
        """Returns what the report shows besides scores, see `write_report`."""
        summaries = {each.name: self.summary_of(each) for each in sequences}
        pictures = {each.name: self.attention_of(each) for each in sequences}
        return {
            "settings": self._settings,
            "versions": self._versions,
            "sequences": {name: each for name, each in summaries.items() if each is not None},
            "attention": {name: path for name, path in pictures.items() if path.is_file()},
        }

    def write_submission(self, sequences: Sequence[BenchmarkSequence]) -> None:
        """Writes what the YouTube-VOS server takes: Annotations/VIDEO/FRAME.png of wanted frames.

        The same masks give the same bytes: entries are sorted and bear no time.
        """
        temporary = self.submission.with_name(f".{self.submission.name}.tmp")
        try:
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
                for sequence in sorted(sequences, key=lambda each: each.name):
                    for index in sequence.wanted:
                        file = self._mask(sequence, index)
                        entry = zipfile.ZipInfo(f"Annotations/{sequence.name}/{file.name}")
                        entry.external_attr = 0o644 << 16
                        archive.writestr(entry, file.read_bytes())
            os.replace(temporary, self.submission)
        finally:
            temporary.unlink(missing_ok=True)

    def _mask(self, sequence: BenchmarkSequence, index: int) -> pathlib.Path:
        return self.masks / sequence.name / f"{sequence.frames[index].stem}.png"

    def _summary(self, name: str) -> pathlib.Path:
        return self._summaries / f"{name}.json"

    def _clear(self) -> None:
        for folder in (self._summaries, self.masks, self._attention):
            shutil.rmtree(folder, ignore_errors=True)
        for name in (*RESULTS, self._noted.name):
            (self.path / name).unlink(missing_ok=True)
