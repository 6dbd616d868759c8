"""What the page may ask for, each a dataclass, and how that is read from JSON."""

import dataclasses
import typing

from stm_jax.annotate.passes import Direction
from stm_jax.checks import shown
from stm_jax.errors import InputError
from stm_jax.json_files import from_json, parse_json
from stm_jax.paint.export import ALL

MOST_NAME = 80  # characters of an object's name
MOST_POINTS = 20_000  # of the scribbles that an assist is given

Point = tuple[int, int]
"""Column and row."""


@dataclasses.dataclass(frozen=True)
class Follow:
    """Follow the objects through what is not done, or is stale, from `start` to `end`."""

    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class Pause:
    """Stop what is being done; what was done is kept."""


@dataclasses.dataclass(frozen=True)
class Choose:
    """Follow in this direction from now on."""

    direction: Direction


@dataclasses.dataclass(frozen=True)
class AddObject:
    """Add an object that no frame shows yet."""

    name: str = ""


@dataclasses.dataclass(frozen=True)
class ChangeObject:
    """Give an object another name, colour (#rrggbb), or hide or lock it."""

    object_id: int
    name: str
    colour: str
    hidden: bool
    locked: bool


@dataclasses.dataclass(frozen=True)
class RemoveObject:
    """Remove an object from all frames."""

    object_id: int


@dataclasses.dataclass(frozen=True)
class MergeObjects:
    """Make an object part of another."""

    object_id: int
    into: int


@dataclasses.dataclass(frozen=True)
class Unannotate:
    """Take back what was given of a frame."""

    frame: int


@dataclasses.dataclass(frozen=True)
class Undo:
    """Undo a removal, a merge or a frame taken back, by the number that was answered."""

    number: int


@dataclasses.dataclass(frozen=True)
class Look:
    """Draw where the read of a pixel went."""

    frame: int
    row: int
    column: int
    object_id: int


@dataclasses.dataclass(frozen=True)
class Export:
    """Make results of all masks."""

    kinds: tuple[str, ...]

    def __post_init__(self) -> None:
        strange = set(self.kinds) - set(ALL)
        if strange or not self.kinds:
            raise InputError(f"results are {', '.join(ALL)}, not {shown(sorted(strange))}")


@dataclasses.dataclass(frozen=True)
class Scribble:
    """A line that was drawn, on the object or beside it."""

    points: tuple[Point, ...]
    radius: int
    is_object: bool


@dataclasses.dataclass(frozen=True)
class Assist:
    """Make a mask of a box (left, top, right, bottom), or of scribbles, or of both."""

    frame: int
    box: tuple[int, int, int, int] | None = None
    scribbles: tuple[Scribble, ...] = ()

    def __post_init__(self) -> None:
        if sum(len(each.points) for each in self.scribbles) > MOST_POINTS:
            raise InputError(f"scribbles have at most {MOST_POINTS} points")
        if self.box is None and not any(each.is_object for each in self.scribbles):
            raise InputError("draw a box around the object, or scribble on it")


Command = (
    Follow
    | Pause
    | Choose
    | AddObject
    | ChangeObject
    | RemoveObject
    | MergeObjects
    | Unannotate
    | Undo
    | Look
    | Export
)


def command(content: bytes) -> Command:
    """Returns what the page asks for; raises InputError if it is none of these."""
    message = parse_json(content, "a message")
    name = message.pop("do", None) if isinstance(message, dict) else None
    kind = next((each for each in typing.get_args(Command) if each.__name__ == name), None)
    if kind is None:
        raise InputError(f"a message asks for {shown(repr(name))}, which there is not")
    return from_json(kind, message, kind.__name__)


def assist(content: bytes) -> Assist:
    """Returns what an assist is asked for; raises InputError if that makes no sense."""
    return from_json(Assist, parse_json(content, "a message"), "Assist")
