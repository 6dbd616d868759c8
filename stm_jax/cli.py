"""The command line, `stm-jax <command>`: finds the command, runs it, and says what went wrong.

Exit status: 0 done, 2 a wrong option, a bad input or a full disk, 130 stopped by
Ctrl-C, SIGTERM or SIGHUP, or because nobody reads what it prints any more (`| head`).
"""

import contextlib
import dataclasses
import errno
import os
import select
import sys
from collections.abc import Sequence
from typing import Any

import tyro

from stm_jax import commands, moved
from stm_jax.catalogue import name_of
from stm_jax.errors import InputError
from stm_jax.runtime.freed_memory import keep_freed_memory
from stm_jax.runtime.stopping import ending_in_time
from stm_jax.text import never_fail_to_print, printable
from stm_jax.version import versions
from stm_jax.wrong_options import in_one_line

# Each a dataclass whose fields are the options, with a method run(), called as its class is.
COMMANDS: dict[str, Any] = {
    name_of(name): kind for name, kind in vars(commands).items() if dataclasses.is_dataclass(kind)
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit status; wrong options raise SystemExit(2)."""
    never_fail_to_print()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words == ["--version"]:
            return _print_versions()
        command = _chosen(words)
    except InputError as error:
        raise SystemExit(_fail(str(error))) from None
    except OSError as error:  # of printing the help, which `| head` soon has enough of
        return 0 if error.errno == errno.EPIPE and _reader_has_left() else _fail_at(error)
    keep_freed_memory()
    try:
        # Not where a program calls this, whose signals are its own.
        with ending_in_time() if arguments is None else contextlib.nullcontext():
            command.run()
            print(end="", flush=True)
    except InputError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail_at(error)
    except KeyboardInterrupt as stop:
        return _stopped(printable(stop) or "give the same command again to go on")
    return 0


def _chosen(words: Sequence[str]) -> Any:
    if words and words[0] in moved.COMMANDS:
        raise InputError(moved.COMMANDS[words[0]])
    with in_one_line(" ".join(["stm-jax", *(word for word in words[:1] if word in COMMANDS)])):
        return tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            prog="stm-jax",
            description="Space-Time Memory Networks: follow objects through a video."
            " `stm-jax --version` tells the versions and the devices.",
            args=words,
            config=(tyro.conf.OmitArgPrefixes,),
        )


def _print_versions() -> int:
    import jax

    found = versions()
    print(f"stm_jax {found.pop('stm_jax')}")
    print(", ".join(f"{name} {version}" for name, version in found.items()))
    print(
        f"devices: {', '.join(f'{each} ({each.device_kind})' for each in jax.devices())}",
        flush=True,
    )
    return 0


def _fail_at(error: OSError) -> int:
    if error.errno == errno.EPIPE and _reader_has_left():
        return _stopped("nobody reads what it prints")
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return _fail(str(error))
    return _fail(
        "the disk is full: what was written is kept; make room and give the same command"
        " again to go on"
    )


def _reader_has_left() -> bool:
    """Says whether nobody reads standard output any more; if so, no more is written to it."""
    watched = select.poll()
    watched.register(sys.stdout.fileno(), 0)
    if not watched.poll(0):
        return False
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return True


def _stopped(why: str) -> int:
    _say(f"stm-jax: stopped: {why}")
    return 130


def _fail(message: str) -> int:
    _say(f"stm-jax: error: {printable(' '.join(message.split()))}")
    return 2


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # of a terminal that is closed
        print(line, file=sys.stderr)
