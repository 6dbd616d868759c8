"""The --out folder of a command that works for long, and whether a run may go on in it."""

import json
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

from stm_jax.errors import InputError


class ResultsFolder:
    """One --out folder and the settings of the run that fills it.

    Every file is written to a temporary name and renamed, so a run may be killed at any moment.

    Args:
        path: The folder; made if it is not there.
        settings: Everything that the masks depend on, as JSON values. A run only goes on in a
            folder whose settings are the same.
        noted: JSON files in it, any of which holds them under `settings` once a run has begun.
        folders: Folders in it that are made.
        written: Patterns of all that is written there, which go when the run starts again.
    """

    def __init__(
        self,
        path: pathlib.Path,
        settings: dict[str, Any],
        *,
        noted: Sequence[str],
        folders: Sequence[str],
        written: Sequence[str],
    ) -> None:
        self.path, self.settings = path, settings
        self.masks = path / "masks"
        self._noted = [path / name for name in noted]
        self._folders, self._written = folders, written

    def is_begun(self) -> bool:
        """Says whether a run has noted its settings here."""
        return any(file.exists() for file in self._noted)

    def begin(self, overwrite: bool) -> None:
        """Makes the folder ready for this run.

        Raises:
            InputError: It holds results of a run with other settings and `overwrite` is not given,
                or it cannot be made.
        """
        if overwrite:
            for path in [path for each in self._written for path in self.path.glob(each)]:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for file in filter(pathlib.Path.exists, self._noted):
            self._check_same_settings(file)
        for folder in (self.path, *(self.path / name for name in self._folders)):
            make_folder(folder)

    def _check_same_settings(self, file: pathlib.Path) -> None:
        try:
            saved = json.loads(file.read_text())["settings"]
        except (ValueError, KeyError, TypeError):
            saved = {}
        names = [n for n in {**self.settings, **saved} if saved.get(n) != self.settings.get(n)]
        if names:
            raise InputError(
                f"{self.path} holds the results of another run (another {', '.join(names)}):"
                " give another --out, or --overwrite to start again"
            )


def make_folder(path: pathlib.Path) -> None:
    """Makes a folder if it is not there; raises InputError if it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise InputError(
            f"{path} cannot be made a folder ({error.strerror}): give another --out"
        ) from error
