"""One hostile input: what makes it, what reads it, and what a right answer is."""

import contextlib
import dataclasses
import hashlib
import io
import os
import pathlib
import resource
import shutil
import signal
import stat
import sys
import tempfile
import traceback
import unicodedata
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from stm_jax.cli import main
from stm_jax.errors import InputError

MOST_CHARACTERS = 400
MOST_SECONDS = 20
MOST_MEMORY = 1 << 30
"""By how much the process may grow while it reads one input; all of them are small."""


@dataclasses.dataclass(frozen=True)
class Attempt:
    """What is done with an input that a generator has made.

    Attributes:
        call: Reads it, through a door of the package or by `command`.
        right: Says whether the answer is the truth; None where only a refusal is right.
        may_refuse: Whether a refusal is as good as the right answer.
        told: What the message of a refusal must name.
        writes: Below which names of the folder something may appear or change.
    """

    call: Callable[[], Any]
    right: Callable[[Any], bool] | None = None
    may_refuse: bool = False
    told: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


Generator = Callable[[pathlib.Path, np.random.Generator], Attempt]


@dataclasses.dataclass(frozen=True)
class Said:
    """What a command gave."""

    status: object
    out: str
    err: str


def command(*words: object) -> Said:
    """Runs `stm-jax WORDS` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status: object = main([str(word) for word in words])
        except SystemExit as stopped:
            status = stopped.code
    return Said(status, out.getvalue(), err.getvalue())


def judge(make: Generator, name: str, seed: int) -> str | None:
    """Makes one input, has it read, and returns what is wrong with what came of it, or None."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
    around = pathlib.Path(tempfile.mkdtemp(prefix="hostile-"))
    try:
        folder = around / "in"
        folder.mkdir()
        (around / "precious.txt").write_text("not to be touched")
        (around / "scores.json").write_text("{}")
        try:
            attempt = make(folder, rng)
        except Skipped:
            return None
        except Exception as error:  # of the campaign's own
            return f"cannot be made: {error!r}"
        before = snapshot(around)
        wrong = _verdict(attempt, folder)
        changed = [
            path
            for path, what in (before.items() ^ snapshot(around).items())
            if not any(path == f"in/{w}" or path.startswith(f"in/{w}/") for w in attempt.writes)
        ]
        if wrong is None and changed:
            wrong = f"changed outside of its results: {sorted(set(changed))[:3]}"
        return wrong
    finally:
        shutil.rmtree(around, ignore_errors=True)


class TooSlow(BaseException):
    """It waits; no OSError, which a door would explain."""


class Skipped(Exception):
    """This machine cannot make such an input."""


def _verdict(attempt: Attempt, folder: pathlib.Path) -> str | None:
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with warnings.catch_warnings(record=True) as warned, _in_time():
            warnings.simplefilter("always")
            answer = attempt.call()
            refusal = None
    except InputError as error:
        answer, refusal = None, str(error)
    except BaseException as error:  # whatever it may be, it is no refusal
        if isinstance(error, KeyboardInterrupt):
            raise
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(str(error).split())[:160]
        place = f"{where.filename}:{where.lineno}"
        return f"{type(error).__name__} instead of an InputError ({place}): {text}"
    if 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - grown) > MOST_MEMORY:
        return "took more than a gigabyte of memory"
    serious = [str(each.message) for each in warned if _is_serious(each.category)]
    if serious:
        return f"warned: {serious[0][:200]}"
    if isinstance(answer, Said):
        wrong = _wrong_with_output(answer)
        if wrong:
            return wrong
        if answer.status == 2:
            refusal = answer.err.strip().rpartition("\n")[2].removeprefix("stm-jax: error: ")
        elif answer.status != 0:
            return f"exit status {answer.status}: {answer.err[-200:]!r}"
    if refusal is not None:
        return _wrong_with_refusal(refusal, attempt, folder)
    if attempt.right is None:
        return f"was taken: {str(answer)[:200]!r}"
    return None if attempt.right(answer) else f"read wrongly: {str(answer)[:300]!r}"


def _wrong_with_refusal(message: str, attempt: Attempt, folder: pathlib.Path) -> str | None:
    if attempt.right is not None and not attempt.may_refuse:
        return f"was refused: {message[:300]!r}"
    own = message.replace(str(folder), "")
    if not own or len(own) > MOST_CHARACTERS:
        return f"a message of {len(own)} characters: {own[:200]!r}"
    if any(unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp") for each in own):
        return f"a message with control characters: {own[:300]!r}"
    lacks = [each for each in attempt.told if each not in message]
    return f"the message does not name {lacks[0]!r}: {message[:300]!r}" if lacks else None


def _wrong_with_output(said: Said) -> str | None:
    if "Traceback" in said.err + said.out:
        return f"a traceback: {said.err[-300:]!r}"
    for text in (said.out, said.err):
        if any(unicodedata.category(each) in ("Cc", "Cs") and each != "\n" for each in text):
            return f"prints control characters: {text[-300:]!r}"
    return None


def _is_serious(category: type[Warning]) -> bool:
    return not issubclass(category, DeprecationWarning | PendingDeprecationWarning | ImportWarning)


@contextlib.contextmanager
def _in_time() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise TooSlow(f"more than {MOST_SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(MOST_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def snapshot(folder: pathlib.Path) -> dict[str, object]:
    """Returns what each file and folder below a folder is, without following a link."""
    found: dict[str, object] = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            state = os.lstat(path)
            content: object = stat.S_IFMT(state.st_mode)
            if stat.S_ISLNK(state.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(state.st_mode) and state.st_size < 2**22:
                with open(path, "rb") as file:
                    content = hashlib.sha1(file.read()).hexdigest()
            found[os.path.relpath(path, folder)] = content
    return found


def pick(rng: np.random.Generator, items: Any) -> Any:
    """Returns one of some things."""
    items = list(items)
    return items[int(rng.integers(len(items)))]


def printable_name(path: pathlib.Path) -> str:
    """Returns a file's name where it is printable, else nothing: a message shows it otherwise."""
    return path.name if path.name.isprintable() else ""


if sys.platform == "win32":  # no alarm, no FIFO
    raise ImportError("the campaign needs POSIX")
