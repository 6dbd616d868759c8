"""What tyro says of wrong options, a box of a dozen lines, as the one line that errors are here."""

import contextlib
import io
import re
from collections.abc import Iterator

from stm_jax.errors import InputError

_FRAME = "│┃|╭╮╰╯"
LONGEST = 200  # characters of what was typed and what is wrong with it
_RULE = re.compile(r"[\s─━-]*")


@contextlib.contextmanager
def in_one_line(command: str) -> Iterator[None]:
    """Turns a box on standard error that ends the program into an InputError.

    Args:
        command: What has a `--help`.

    Raises:
        InputError: The options are wrong.
        SystemExit: Help was asked for, and printed.
    """
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            yield
    except SystemExit as end:
        if not end.code:
            print(end="", flush=True)  # while a reader that has left is heeded
            raise
        lines = [line.strip(_FRAME) for line in printed.getvalue().split("\n")]
        raise InputError(f"{_sentence(lines)}; `{command} --help` tells what there is") from None


def _sentence(lines: list[str]) -> str:
    """Returns what is wrong and what might have been meant, without the help on either."""
    wrong, *others = [part for part in _between_rules(lines) if part]
    said = " ".join(line.strip() for line in wrong if _indent(line) < 4)
    options = [line.strip() for line in wrong if 4 <= _indent(line) < 8]
    meant = [
        line.strip()
        for part in others
        if part[0].strip().startswith("Perhaps")
        for line in part
        if 4 <= _indent(line) < 8
    ]
    said = _cut(" ".join([said, ", ".join(options)]).strip().rstrip("."))
    suggestion = [f"perhaps you meant {' or '.join(meant[:3])}"] if meant else []
    choices = [
        " ".join(line.strip() for line in part)
        for part in others
        if part[0].strip().startswith("Available")
    ]
    return "; ".join(part[:1].lower() + part[1:] for part in (said, *suggestion, *choices))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _between_rules(lines: list[str]) -> list[list[str]]:
    """Splits the box; a part ends at a rule, or at an empty line, behind which details stand."""
    parts: list[list[str]] = [[]]
    detail = False
    for line in lines[1:]:  # the first has the title
        if _RULE.fullmatch(line):
            detail = not line.strip()
            if not detail:
                parts.append([])
        elif not detail:
            parts[-1].append(line)
    return parts


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip()) - 1  # one is the box's
