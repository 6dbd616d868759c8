"""What is being painted: a session over a video, how its objects are shown, and who is told."""

import dataclasses
import functools
import pathlib
import re
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import UInt8

from stm_jax.annotate.annotator import Annotator, Way
from stm_jax.annotate.passes import Direction
from stm_jax.checks import shown
from stm_jax.data.masks import read_hand_mask
from stm_jax.errors import InputError
from stm_jax.files import write_json
from stm_jax.json_files import from_json, read_json
from stm_jax.paint import messages
from stm_jax.paint.edits import Edits, Given
from stm_jax.paint.export import WRITTEN_FIRST, export, exported
from stm_jax.paint.looking import looked
from stm_jax.paint.pictures import Upload, thumb
from stm_jax.paint.work import Work, Worker

Event = dict[str, Any]
"""What pages are told, as JSON values."""
Tell = Callable[[Event], object]

COLOURS = (
    *("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2"),
    *("#d55e00", "#cc79a7", "#ffffff", "#7d00d9", "#5c2400"),
)
"""Of objects, in turn: the first seven are those of Okabe and Ito (2008), which people tell apart
who do not see all colours. So they do the others: `tests/test_paint_colours.py`."""

CHANGES = messages.RemoveObject | messages.MergeObjects | messages.Unannotate | messages.Undo
"""What changes masks of frames that are not shown."""
LOOKED_AT = 50  # frames that most need a look


@dataclasses.dataclass(frozen=True)
class Shown:
    """How an object is shown: its colour, #rrggbb; and whether it is hidden, and locked."""

    colour: str
    hidden: bool = False
    locked: bool = False


@dataclasses.dataclass(frozen=True)
class Notes:
    """What is kept of the page besides the session."""

    direction: Direction = "both"
    objects: dict[str, Shown] = dataclasses.field(default_factory=dict)


class Room:
    """One video that is painted on; all pages that are open see the same.

    Methods may be called from any thread.

    Args:
        session: Over the video.
        folder: Of the session.
        tell: Called with each event, from any thread.
    """

    def __init__(self, session: Annotator, folder: pathlib.Path, tell: Tell) -> None:
        self.session, self._export_folder, self._tell = session, folder / "export", tell
        self._lock = threading.RLock()  # edits, and what reads all that was given
        self._memory: tuple[int, ...] = ()
        self._told: Event = {}  # the state that pages were told last
        self._edits = Edits()
        self._looked: bytes | None = None
        self._file = folder / ".session" / "page.json"
        self.worker = Worker(self._tell_progress)
        noted = read_json(self._file)
        self._notes = from_json(Notes, noted, str(self._file)) if noted else Notes()

    def close(self) -> None:
        """Stops the work; what was done is kept."""
        self.worker.stop(wait=True)

    @property
    def way(self) -> Way:
        """In which direction the objects are followed."""
        return Way(self._notes.direction)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames."""
        return self.session.reader.frames.height, self.session.reader.frames.width

    def greet(self, tell: Tell) -> None:
        """Tells a page all that it shows, but for pictures and masks.

        In turn with what all pages are told, so that they are told the same from then on.
        """
        with self._lock:
            tell({"kind": "state", **self._state()})

    def mask(self, frame: int) -> tuple[UInt8[np.ndarray, "height width"], list[int]]:
        """Returns what a frame shows, and the objects of which that is said (or was found)."""
        with self._lock:
            ids, given = self.session.mask(frame), self.session.annotations.get(frame)
            if ids is None:
                return np.zeros(self.size, np.uint8), []
            told = self.session.objects if given is None else given.objects
            return ids, sorted(told)

    def annotate(self, frame: int, ids: np.ndarray, objects: list[int], page: str) -> None:
        """Gives a mask, and tells all pages but the one that it came from."""
        with self._lock:
            if ids.any() or objects:
                self.session.annotate(frame, ids, objects)
            elif frame in self.session.annotations:
                self.session.unannotate(frame)
            self._tell({"kind": "masks", "frames": [frame], "page": page})
            self._tell_changes()

    def read_mask(self, content: bytes) -> UInt8[np.ndarray, "height width"]:
        """Returns the ids in a mask that a person has made elsewhere; see `read_hand_mask`."""
        ids = read_hand_mask(Upload(content)).ids
        if ids.shape != self.size:
            have, want = ("x".join(map(str, reversed(each))) for each in (ids.shape, self.size))
            raise InputError(f"the mask is {have} but the frames are {want} (width x height)")
        return ids

    @functools.lru_cache(maxsize=2000)  # noqa: B019 - there is one room, as long as the program
    def thumb(self, frame: int) -> bytes:
        """Returns a small picture of a frame as JPEG."""
        return thumb(self.session.reader[frame])

    def looked(self) -> bytes | None:
        """Returns the picture that the last `Look` has drawn, a PNG; None if there is none."""
        return self._looked

    def exported(self, kind: str) -> pathlib.Path:
        """Returns where a result is; raises InputError if it has not been made."""
        place = exported(self._export_folder).get(kind)
        if place is None:
            raise InputError(f"{shown(repr(kind))} has not been exported")
        return place

    def do(self, command: messages.Command, page: str = "") -> int | None:
        """Does what a page asks for; returns by which number that can be undone, if it can.

        The page is not told of masks that it has changed so itself.

        Raises:
            InputError: That cannot be done.
        """
        with self._lock:
            before = self._given()
            number = None
            self._do(command)
            if isinstance(command, CHANGES):
                self._tell({"kind": "masks", "frames": "all", "page": page})
                if not isinstance(command, messages.Undo):
                    number = self._edits.note(before, self._given())
            self._tell_changes()
            return number

    def _do(self, command: messages.Command) -> None:
        session = self.session
        match command:
            case messages.Follow(start, end):
                self._follow(start, end)
            case messages.Pause():
                self.worker.stop()
            case messages.Choose(direction):
                self._note(dataclasses.replace(self._notes, direction=direction))
            case messages.AddObject(name):
                session.add_object(_name(name))
            case messages.ChangeObject(each, name, colour, hidden, locked):
                session.rename_object(each, _name(name))
                self._note_shown(each, Shown(_colour(colour), hidden, locked))
            case messages.RemoveObject(each):
                session.remove_object(each)
                self._forget(each)
            case messages.MergeObjects(each, into):
                session.merge_objects(each, into)
                self._forget(each)
            case messages.Unannotate(frame):
                session.unannotate(frame)
            case messages.Undo(number):
                self._give_back(self._edits.undo(number, self._given()))
            case messages.Look():
                look = Work("looking", 0, lambda: self._look(command))
                self.worker.begin(look, instead=True)
            case messages.Export(kinds):
                total = (1 + len(set(kinds) - WRITTEN_FIRST)) * session.count
                self.worker.begin(Work("exporting", total, lambda: self._export(kinds)))

    def _state(self) -> Event:
        session = self.session
        frames = session.reader.frames
        return {
            "video": {
                "name": frames.path.name,
                "count": session.count,
                "width": frames.width,
                "height": frames.height,
                "rate": float(frames.rate or 0),
            },
            "objects": [
                {"id": each, "name": name, **dataclasses.asdict(self._shown(each))}
                for each, name in session.objects.items()
            ],
            "direction": self._notes.direction,
            "states": "".join(state[0] for state in session.states(self.way)),
            "certainty": [self._certainty(frame) for frame in range(session.count)],
            "look": session.to_look_at(LOOKED_AT),
            "exported": list(exported(self._export_folder)),
            **self._progress(),
        }

    def _follow(self, start: int, end: int) -> None:
        way = Way(self._notes.direction, start, end)
        if not 0 <= start <= end < self.session.count:
            raise InputError(f"there are no frames {start} to {end}")
        states = self.session.states(way)
        due = [t for t in range(start, end + 1) if states[t] in ("todo", "stale")]
        if not self.session.annotations:
            raise InputError("nothing is painted yet: paint an object in any frame first")
        twice = way.direction == "both"
        total = sum(1 + (twice and None not in self.session.neighbours(t)) for t in due)
        self.worker.begin(Work("following", total, lambda: self._following(way)))

    def _following(self, way: Way) -> None:
        following = self.session.propagate(way)
        try:
            for done in following:
                self._memory = self.session.in_memory
                with self._lock:
                    if done.frame in self.session.annotations:
                        continue  # it was there already
                    if done.final:
                        about = {"state": "d", "certainty": self._certainty(done.frame)}
                        self._tell({"kind": "done", "frame": done.frame, **about})
                        self._told.pop("states", None)
                        self._told.pop("certainty", None)
                self.worker.step()
        finally:
            following.close()
            self._memory = ()

    def _look(self, asked: messages.Look) -> None:
        self._looked = looked(self.session, asked, self.way, self.worker.step)
        self._tell({"kind": "looked"})

    def _export(self, kinds: tuple[str, ...]) -> None:
        export(self.session, kinds, self._export_folder, self.worker.step)

    def _given(self) -> Given:
        objects = self.session.objects.items()
        looks = self._notes.objects
        return Given(
            self.session.annotations, {i: (name, looks.get(str(i))) for i, name in objects}
        )

    def _give_back(self, given: Given) -> None:
        names = {i: name for i, (name, _) in given.objects.items()}
        self.session.give_back(given.annotations, names)
        looks = {str(i): look for i, (_, look) in given.objects.items() if look is not None}
        self._note(dataclasses.replace(self._notes, objects=looks))

    def _tell_progress(self) -> None:
        with self._lock:
            self._tell({"kind": "progress", **self._progress()})
            if self.worker.progress is None:
                self._tell_changes()

    def _tell_changes(self) -> None:
        now = self._state()
        changed = {key: value for key, value in now.items() if self._told.get(key) != value}
        self._told = now
        self._tell({"kind": "changed", **changed})

    def _progress(self) -> Event:
        now = self.worker.progress
        told = now and dataclasses.asdict(now)
        return {"progress": told, "memory": self._memory, "error": self.worker.error}

    def _forget(self, object_id: int) -> None:
        """Has nothing be left of an object: another may get its id."""
        objects = {i: each for i, each in self._notes.objects.items() if i != str(object_id)}
        self._note(dataclasses.replace(self._notes, objects=objects))

    def _certainty(self, frame: int) -> int:
        """Returns the least certainty of a frame's objects in hundredths, -1 if it has none."""
        found = self.session.certainty(frame)
        return round(100 * min(min(each) for each in found.values())) if found else -1

    def _shown(self, object_id: int) -> Shown:
        by_default = Shown(COLOURS[(object_id - 1) % len(COLOURS)])
        return self._notes.objects.get(str(object_id), by_default)

    def _note_shown(self, object_id: int, shown: Shown) -> None:
        objects = {**self._notes.objects, str(object_id): shown}
        self._note(dataclasses.replace(self._notes, objects=objects))

    def _note(self, notes: Notes) -> None:
        self._notes = notes
        write_json(self._file, dataclasses.asdict(notes))


def _name(name: str) -> str:
    if len(name) > messages.MOST_NAME or not name.isprintable():
        raise InputError(
            f"a name has at most {messages.MOST_NAME} letters of one line, not {shown(repr(name))}"
        )
    return name.strip()


def _colour(colour: str) -> str:
    if not re.fullmatch("#[0-9a-f]{6}", colour):
        raise InputError(f"a colour is #rrggbb, not {shown(repr(colour))}")
    return colour
