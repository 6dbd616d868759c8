"""The door to a folder of results: it bears a mark, and one program at a time works in it."""

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence

from stm_jax.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: a mark, but no lock
    fcntl = None

MARK = ".stm-jax"
"""In every folder that this program has filled: the command that did; and what is locked."""


@contextlib.contextmanager
def claimed(
    folder: pathlib.Path,
    command: str,
    written: Sequence[str],
    is_ours: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Makes a folder, marks it, and has it for this program alone until the block is left.

    The lock ends with the process that holds it, however that ends.

    Args:
        folder: Made if it is not there.
        command: Which command's results it holds.
        written: Patterns of the files that the command writes or removes there.
        is_ours: Whether a folder without a mark is one of the command's all the same, from before
            there were marks.

    Raises:
        InputError: It holds such files and this command did not write them, another program works
            in it, or it cannot be made.
    """
    check_foreign(folder, command, written, is_ours)
    make_folder(folder)
    with _locked(folder, command):
        yield


def check_foreign(
    folder: pathlib.Path,
    command: str,
    written: Sequence[str],
    is_ours: Callable[[], bool] = lambda: False,
) -> None:
    """Raises InputError as `claimed` does if a folder's files are not the command's own."""
    mark = folder / MARK
    if mark.is_file() and not mark.is_symlink():
        text = mark.read_text(encoding="utf-8", errors="replace").strip()
        # Empty after a power cut.
        if text not in ("", command):
            raise InputError(
                f"{folder} holds results of another command ({text[:40]}): give another --out"
            )
        return
    if is_ours():
        return
    names = (MARK, *written)
    strangers = (path for name in names for path in folder.glob(name) if not _is_folder(path))
    stranger = next(strangers, None)
    if stranger is not None:
        raise InputError(
            f"{folder} holds {stranger.relative_to(folder)}, which `stm-jax {command}` did not"
            " write and would replace: give another --out"
        )


def remove_written(folder: pathlib.Path, written: Sequence[str]) -> None:
    """Removes a command's files from its folder: no others, and nothing behind a link.

    Args:
        folder: A claimed one.
        written: Patterns, folders after what is in them; a folder goes if that leaves it empty.
    """
    inside = folder.resolve()
    for path in [path for pattern in written for path in sorted(folder.glob(pattern))]:
        if inside not in (path.parent.resolve(), *path.parent.resolve().parents):
            continue
        if not _is_folder(path):
            path.unlink()
            continue
        with contextlib.suppress(OSError):  # something of the user's is in it
            path.rmdir()


def make_folder(path: pathlib.Path) -> None:
    """Makes a folder if it is not there; raises InputError if it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise InputError(
            f"{path} cannot be made a folder ({error.strerror}): give another place"
        ) from error


@contextlib.contextmanager
def _locked(folder: pathlib.Path, command: str) -> Iterator[None]:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    with open(os.open(folder / MARK, flags, 0o666), "r+b") as mark:
        if fcntl is not None:
            try:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(
                    f"another stm-jax is working in {folder}: wait for it, or give another --out"
                ) from error
            except OSError:  # a file system without locks
                pass
        if not mark.read():
            mark.write(f"{command}\n".encode())
            mark.flush()
            os.fsync(mark.fileno())
        yield


def _is_folder(path: pathlib.Path) -> bool:
    return path.is_dir() and not path.is_symlink()
