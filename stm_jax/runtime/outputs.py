"""The door for names of results on a command line: none is, or lies in, what a command reads."""

import itertools
import pathlib
from collections.abc import Iterable, Sequence

from stm_jax.errors import InputError
from stm_jax.files import check_replaceable


def check_outputs(
    inputs: Iterable[pathlib.Path],
    *,
    files: Iterable[pathlib.Path | None] = (),
    roots: Iterable[pathlib.Path] = (),
    folder: pathlib.Path | None = None,
    names: Sequence[str] = (),
) -> None:
    """Checks where results are to go, before work is done for them.

    Args:
        inputs: Files and folders that the command reads.
        files: Files that it is to write; None for one that is not asked for.
        roots: Data sets among the inputs, which keep what they hold in folders: a new file may be
            laid beside those.
        folder: The folder that it is to fill.
        names: What it writes in that folder.

    Raises:
        InputError: A result would be an input, lie in one, or be written over one; two results are
            the same file; or there is no place for a file, or something else than a file in it.
    """
    given = [_resolved(path) for path in inputs]
    wanted = [file for file in files if file is not None]
    for file in wanted:
        if not file.is_dir() and not file.parent.is_dir():
            raise InputError(
                f"there is no folder {file.parent} to write {file.name} to: make it, or give"
                " another"
            )
        check_replaceable(file)
    for one, other in itertools.combinations(wanted, 2):
        if _resolved(one) == _resolved(other):
            raise InputError(f"{one} is given for two results: give each a name of its own")
    for path in [*wanted, *([] if folder is None else [folder])]:
        place = _resolved(path)
        lies_in = set(given) & {place, *place.parents}
        if path in wanted and not place.exists() and place.parent in map(_resolved, roots):
            lies_in.discard(place.parent)
        if lies_in:
            raise InputError(f"{path} is or lies in what is read: give another place for results")
    for written in [] if folder is None else [_resolved(folder / name) for name in names]:
        for path in given:
            if written in (path, *path.parents):
                raise InputError(f"{path} lies where results would be written: give another --out")


def weights_read(weights: str | pathlib.Path | None) -> list[pathlib.Path]:
    """Returns what is read of a --weights: a file, or what counts in the folder of a run."""
    path = pathlib.Path(weights or "")
    if weights is None or not path.exists():
        return []
    parts = ("checkpoints", "config.json", "best.safetensors")
    return [path / part for part in parts] if path.is_dir() else [path]


def _resolved(path: pathlib.Path) -> pathlib.Path:
    try:
        return pathlib.Path(path).resolve()
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path} is a link that leads to itself: remove it") from error
