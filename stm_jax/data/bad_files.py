"""What becomes of training data that cannot be used: it stops the run, or it is left out."""

import logging
from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

from stm_jax.errors import InputError
from stm_jax.text import printable

BadFiles = Literal["refuse", "skip"]
MOST_IN_A_ROW = 100

_logger = logging.getLogger("stm_jax.data")
Item = TypeVar("Item")
Made = TypeVar("Made")


def all_good(
    items: Iterable[Item], make: Callable[[Item], Made], rule: BadFiles, where: str
) -> list[Made]:
    """Makes something of every item; of those that cannot be used, one line is said.

    Args:
        items: What to use.
        make: Raises InputError if an item cannot be used.
        rule: Whether that error is raised, or the item is left out and counted.
        where: What the items are of, for the line.

    Raises:
        InputError: An item cannot be used and `rule` is "refuse"; or none can.
    """
    made: list[Made] = []
    reasons: list[str] = []
    for item in items:
        try:
            made.append(make(item))
        except InputError as error:
            if rule == "refuse":
                raise
            reasons.append(str(error))
    if not made:
        reason = f"; the first: {reasons[0]}" if reasons else ""
        raise InputError(f"there is nothing in {where} that can be used{reason}")
    if reasons:
        count = len(made) + len(reasons)
        _logger.warning(
            "left out %d of the %d in %s; the first: %s",
            len(reasons),
            count,
            where,
            printable(reasons[0]),
        )
    return made


class FirstGood:
    """Makes a clip of an item or, if that cannot be used, of the one after it.

    What cannot be used is counted. The first is told of, and the tenth, and the hundredth, ...:
    on every host and in every process for itself, for each reads only its share.
    """

    def __init__(self, rule: BadFiles) -> None:
        self._rule = rule
        self._reasons: set[str] = set()

    def __call__(self, make: Callable[[int], Made]) -> Made:
        """Returns make(0), or what make(1), make(2), ... gives first without an InputError.

        Raises:
            InputError: make(0) raised it and the rule is "refuse"; or all did for long.
        """
        for offset in range(MOST_IN_A_ROW):
            try:
                return make(offset)
            except InputError as error:
                if self._rule == "refuse":
                    raise
                self._tell(str(error))
        raise InputError(
            f"{MOST_IN_A_ROW} clips in a row cannot be made of the data; one of the reasons: "
            f"{sorted(self._reasons)[0]}"
        )

    def _tell(self, reason: str) -> None:
        if reason in self._reasons:
            return
        self._reasons.add(reason)
        count = len(self._reasons)
        if str(count).strip("0") == "1":
            _logger.warning("skipped, %d so far: %s", count, printable(reason))
