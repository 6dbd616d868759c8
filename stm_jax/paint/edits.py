"""Edits of all that is given, such as removing an object: what they changed, to be undone."""

import collections
import dataclasses
import secrets
from collections.abc import Mapping
from typing import Any

from stm_jax.annotate.annotations import Annotation
from stm_jax.errors import InputError

MOST = 50  # edits that are remembered


@dataclasses.dataclass(frozen=True)
class Given:
    """All that is given at a time.

    Attributes:
        annotations: By frame.
        objects: Of each, by id, what else is known of it.
    """

    annotations: Mapping[int, Annotation]
    objects: Mapping[int, Any]

    def differs(self, other: "Given") -> "Given":
        """Returns that part of it that is not so in the other."""
        annotations = {
            t: each
            for t, each in self.annotations.items()
            if t not in other.annotations or other.annotations[t].digest != each.digest
        }
        objects = {i: name for i, name in self.objects.items() if i not in other.objects}
        return Given(annotations, objects)


class Edits:
    """The last edits, by number; other numbers after the server has been started again."""

    def __init__(self) -> None:
        self._next = secrets.randbelow(2**48)
        self._edits: collections.OrderedDict[int, tuple[Given, Given]] = collections.OrderedDict()

    def note(self, before: Given, after: Given) -> int:
        """Remembers an edit; returns its number."""
        self._next += 1
        self._edits[self._next] = before.differs(after), after.differs(before)
        if len(self._edits) > MOST:
            self._edits.popitem(last=False)
        return self._next

    def undo(self, number: int, now: Given) -> Given:
        """Returns all that is given once an edit is undone; what was given elsewhere stays.

        Raises:
            InputError: It is not remembered, or what it changed has been changed again.
        """
        if number not in self._edits:
            raise InputError("this cannot be undone any more")
        gone, come = self._edits[number]
        for frame in gone.annotations.keys() | come.annotations.keys():
            is_now, was = now.annotations.get(frame), come.annotations.get(frame)
            if (is_now and is_now.digest) != (was and was.digest):
                raise InputError(f"frame {frame} was painted since: this cannot be undone any more")
        again = gone.objects.keys() & now.objects.keys()
        if again:
            raise InputError(f"there is another object {min(again)} by now: delete it first")
        del self._edits[number]
        left = {t: each for t, each in now.annotations.items() if t not in come.annotations}
        return Given(left | dict(gone.annotations), {**now.objects, **gone.objects})
