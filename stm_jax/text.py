"""Names from outside as others may see them: on a terminal, in a spreadsheet, in a file of text."""

import io
import sys
import unicodedata

RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r")


def printable(text: object) -> str:
    """Returns text whose control characters a terminal shows instead of obeying them.

    A line of output stays one line; bytes of a file name that are no UTF-8 are shown as escapes.
    """
    return "".join(
        character.encode("unicode_escape").decode() if _is_obeyed(character) else character
        for character in str(text)
    )


def _is_obeyed(character: str) -> bool:
    # Controls, those that turn the direction of writing, halves of characters, ends of lines.
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def spreadsheet_cell(value: object) -> object:
    """Returns a cell of a CSV file; text that a spreadsheet would run as a formula is quoted by '.

    Numbers stay numbers; a control character, which might end the row, is shown.
    """
    if not isinstance(value, str):
        return value
    return "'" * value.startswith(RUN_BY_SPREADSHEETS) + printable(value)


def utf_8(text: str) -> bytes:
    """Returns text as a file's content, whatever a name in it holds."""
    return text.encode("utf-8", "backslashreplace")


def never_fail_to_print() -> None:
    """Has standard output and errors escape what their encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
