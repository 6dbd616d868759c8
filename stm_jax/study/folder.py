"""The folder of a study: a JSON file for each piece that is done, weights, and the results."""

import pathlib
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from stm_jax.data.names import written_below
from stm_jax.files import hash_of_file, remove_unfinished, write_json
from stm_jax.json_files import read_json
from stm_jax.runtime.claim import claimed, make_folder, remove_written
from stm_jax.study.config import Drawn
from stm_jax.study.depends import hash_of_text
from stm_jax.study.pieces import Piece
from stm_jax.version import __version__

RESULTS = ("study.csv", "groups.csv", "study.html")
PIECES, TRAININGS, DRAWN, MASKS = "pieces", "trainings", "drawn", "masks"
UNFINISHED = "unfinished"
WEIGHTS = "weights"  # the hash of a training's, in its result
WRITTEN = (
    *(f"{PIECES}/{kind}-*.json" for kind in ("training", "attributes", "following")),
    *(f"{TRAININGS}/training-*.safetensors", *RESULTS),
)
"""Patterns of the files that are written, but for the folders of trainings, masks and videos."""


class StudyFolder:
    """One --out folder of `stm-jax study`; every file in it is whole or not there.

    Args:
        path: The folder.
        keep_masks: Whether the masks of a following stay, and one without them is not done.
    """

    def __init__(self, path: pathlib.Path, keep_masks: bool = False) -> None:
        self.path, self.keep_masks = path, keep_masks
        self.csv, self.groups, self.page = (path / name for name in RESULTS)

    def claimed(self) -> AbstractContextManager[None]:
        """Has the folder for this process alone, and those that work for it."""
        return claimed(self.path, "study", WRITTEN)

    def begin(self, overwrite: bool) -> None:
        """Makes the folder ready; with `overwrite` nothing that was done counts."""
        if overwrite:
            remove_written(self.path, WRITTEN)
            for run in (self.path / TRAININGS).glob("training-*"):
                shutil.rmtree(run)
            for masks in (self.path / MASKS).glob("*/seed-*"):
                shutil.rmtree(masks)
        for name in (PIECES, TRAININGS, UNFINISHED):
            make_folder(self.path / name)
            remove_unfinished(self.path / name)
        for left in (self.path / UNFINISHED).glob("following-*"):
            shutil.rmtree(left)

    def drawn(self, videos: Drawn) -> pathlib.Path:
        """Returns the folder of a set of videos that are drawn: another one for other knobs."""
        about = hash_of_text(f"{videos.seed} {videos.knobs} {__version__}")
        return self.path / DRAWN / f"{videos.name}-{about[:8]}"

    def run_of(self, key: str) -> pathlib.Path:
        """Returns the run folder of a training."""
        return self.path / TRAININGS / key

    def weights_of(self, key: str) -> pathlib.Path:
        """Returns the file of the weights that a training ends with."""
        return self.path / TRAININGS / f"{key}.safetensors"

    def masks_of(self, key: str) -> pathlib.Path:
        """Returns where masks lie until they are scored."""
        return self.path / UNFINISHED / key

    def frames_followed(self) -> int:
        """Returns of how many frames of followings that are not done there are masks."""
        return sum(1 for _ in (self.path / UNFINISHED).glob("following-*/masks/*/*.png"))

    def kept_masks_of(self, piece: Piece) -> pathlib.Path:
        """Returns the folder of a following's masks if they stay: whole, or not there."""
        whose = self.path / MASKS / piece.variant / f"seed-{piece.seed}" / piece.videos
        return written_below(whose, piece.video)

    def result_of(self, piece: Piece) -> dict[str, Any] | None:
        """Returns what a piece has given; None if it is not done, or damaged."""
        content = read_json(self._file_of(piece))
        if content.get("about") != piece.about or "result" not in content:
            return None
        if piece.kind == "training":
            weights = self.weights_of(piece.key)
            if not weights.is_file() or hash_of_file(weights) != content["result"].get(WEIGHTS):
                return None
        if piece.kind == "following" and self.keep_masks:
            return content if self.kept_masks_of(piece).is_dir() else None
        return content

    def write_result(self, piece: Piece, content: Mapping[str, Any]) -> None:
        """Notes that a piece is done: what it is `about`, its `result`, and what else there is."""
        write_json(self._file_of(piece), content, indent=None)

    def _file_of(self, piece: Piece) -> pathlib.Path:
        return self.path / PIECES / f"{piece.key}.json"
