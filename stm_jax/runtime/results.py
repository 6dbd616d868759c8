"""The --out folder of a command that works for long, and whether a run may go on in it."""

import pathlib
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from stm_jax.errors import InputError
from stm_jax.files import remove_unfinished
from stm_jax.json_files import read_json
from stm_jax.runtime.claim import claimed, make_folder, remove_written


class ResultsFolder:
    """One --out folder and the settings of the run that fills it.

    Every file is written to a temporary name and renamed, so a run may be killed at any moment.

    Args:
        path: The folder; made if it is not there.
        settings: Everything that the masks depend on, as JSON values. A run only goes on in a
            folder whose settings are the same.
        command: Whose results it holds.
        noted: JSON files in it, any of which holds them under `settings` once a run has begun.
        folders: Folders in it that are made.
        written: Patterns of all that is written there, which goes when the run starts again;
            folders after what is in them.
    """

    def __init__(
        self,
        path: pathlib.Path,
        settings: dict[str, Any],
        *,
        command: str,
        noted: Sequence[str],
        folders: Sequence[str],
        written: Sequence[str],
    ) -> None:
        self.path, self.settings = path, settings
        self.masks = path / "masks"
        self._command = command
        self._noted = [path / name for name in noted]
        self._folders, self._written = folders, written

    def claimed(self) -> AbstractContextManager[None]:
        """Has the folder for this process alone; all else is done inside. See `claim.claimed`."""
        return claimed(self.path, self._command, self._written, self._is_of_before)

    def is_begun(self) -> bool:
        """Says whether a run has noted its settings here."""
        return any(_settings_in(file) is not None for file in self._noted)

    def begin(self, overwrite: bool) -> None:
        """Makes the folder ready for this run.

        Raises:
            InputError: It holds results of a run with other settings and `overwrite` is not given,
                or it cannot be made.
        """
        for file in self._noted:
            if file.exists() and _settings_in(file) is None and not overwrite:
                print(f"{file} is empty or damaged: starting again", file=sys.stderr)
                overwrite = True
        if overwrite:
            remove_written(self.path, self._written)
        for file in self._noted:
            self._check_same_settings(_settings_in(file))
        for folder in (self.path, *(self.path / name for name in self._folders)):
            make_folder(folder)
            remove_unfinished(folder)

    def _is_of_before(self) -> bool:
        return any("version" in (_settings_in(file) or {}) for file in self._noted)

    def _check_same_settings(self, saved: dict[str, Any] | None) -> None:
        if saved is None:
            return
        names = [n for n in {**self.settings, **saved} if saved.get(n) != self.settings.get(n)]
        if names:
            raise InputError(
                f"{self.path} holds the results of another run (another {', '.join(names)}):"
                " give another --out, or --overwrite to start again"
            )


def _settings_in(file: pathlib.Path) -> dict[str, Any] | None:
    settings = read_json(file).get("settings")
    return settings if isinstance(settings, dict) else None
