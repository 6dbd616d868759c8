"""A session over a video: annotate any frame, follow the objects, correct, follow again."""

import contextlib
import dataclasses
import pathlib
import threading
from collections.abc import Callable, Collection, Generator, Mapping
from typing import Any, Literal, Self

import numpy as np
from jaxtyping import UInt8

from stm_jax.annotate.annotations import MOST_ID, Annotation, annotation
from stm_jax.annotate.following import Follower
from stm_jax.annotate.fusion import Certainty, Soft
from stm_jax.annotate.made_of import content_of, settings_of
from stm_jax.annotate.passes import Direction, Plan
from stm_jax.annotate.propagation import Done, Propagation
from stm_jax.annotate.session_folder import SessionFolder
from stm_jax.data.frame_reader import FrameReader
from stm_jax.data.video_files import open_frames
from stm_jax.errors import InputError
from stm_jax.infer.attention import Attention
from stm_jax.infer.segmenter import Segmenter
from stm_jax.nn.model import Model
from stm_jax.results.finished import SegmentedVideo

State = Literal["annotated", "done", "stale", "todo", "nothing"]


@dataclasses.dataclass(frozen=True)
class Way:
    """Which frames are followed, and how.

    Attributes:
        direction: Forward from annotated frames, backward, or both.
        start: The first frame that is wanted.
        end: The last; None for the video's.
        step: Every how many frames one is wanted, from `start` on; annotated ones always are.
    """

    direction: Direction = "both"
    start: int = 0
    end: int | None = None
    step: int = 1


class Annotator:
    """A video that is annotated at any frames, and what follows from that.

    What an answer depends on is in `stm_jax.annotate.passes`: the annotated frames around it, never
    the order in which they were given. So an edit computes nothing; it makes answers stale, those
    that depend on it, and `propagate` makes those again and no others. All is on the disk as it is
    made, and a session that is opened again goes on. Use it in a `with` block, or `close` it.

    Frames are numbered from 0. Objects have ids from 1 to 254.

    Methods may be called from several threads, but for one `propagate` at a time.

    Args:
        model: The network with its weights.
        video: A video file or a folder of pictures.
        folder: Where the session is; made if it is not there, gone on with if it is.
        memorize_every: Every how many frames a frame stays in memory.
        keep_soft: Whether probabilities are kept on the disk, for `soft` and for soft results.
        options: The others of `Segmenter`.

    Raises:
        InputError: The video cannot be read, or the folder is another video's, or not a session's.
    """

    def __init__(
        self,
        model: Model,
        video: pathlib.Path | str,
        folder: pathlib.Path | str,
        memorize_every: int = 5,
        *,
        keep_soft: bool = False,
        **options: Any,
    ) -> None:
        frames = open_frames(pathlib.Path(video))
        self.reader = FrameReader(frames)
        self._new_segmenter = lambda: Segmenter(model, memorize_every, **options)
        self._video = {"content": content_of(frames), "frames": self.reader.count}
        self._settings = settings_of(model, memorize_every, **options)
        self._lock = threading.RLock()
        self._plans: dict[Way, Plan] = {}
        self._version = 0
        names = [frames.name_of(index) for index in range(self.reader.count)]
        self._folder = SessionFolder(pathlib.Path(folder), names)
        self._propagation = Propagation(self._new_segmenter(), self.reader, self._folder, keep_soft)
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._folder.claimed())
            self._annotations, self._objects, video_before = self._folder.open()
            if video_before and video_before != self._video:
                raise InputError(f"{folder} is a session of another video: give another folder")
            self._open = stack.pop_all()
        self._save()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Saves, and lets the folder go."""
        self._folder.save_answers()
        self.reader.close()
        self._open.close()

    @property
    def count(self) -> int:
        """How many frames the video has."""
        return self.reader.count

    @property
    def objects(self) -> dict[int, str]:
        """The names of the objects by id, "" where they have none."""
        return dict(sorted(self._objects.items()))

    @property
    def annotations(self) -> dict[int, Annotation]:
        """What was given, by frame."""
        return dict(sorted(self._annotations.items()))

    def annotate(
        self, frame: int, mask: np.ndarray, objects: Collection[int] | None = None
    ) -> None:
        """Gives a mask of a frame, in place of one that was given before.

        Args:
            frame: Its number.
            mask: (H, W) ids of objects, 0 for none of them; those that are new are added.
            objects: Of which objects it speaks besides those that it shows: they are not in the
                frame. None for all that there are, so that a 0 erases any.

        Raises:
            InputError: There is no such frame, or the mask does not fit.
        """
        self._check_frame(frame)
        given = annotation(mask, self._objects if objects is None else objects)
        size = (self.reader.frames.height, self.reader.frames.width)
        if given.mask.shape != size:
            raise InputError(
                f"the mask of frame {frame} is {given.mask.shape[1]}x{given.mask.shape[0]} but the"
                f" frames are {size[1]}x{size[0]} (width x height)"
            )
        with self._lock:
            for each in given.objects:
                self._objects.setdefault(each, "")
            self._annotations[frame] = given
            self._save()

    def unannotate(self, frame: int) -> None:
        """Takes back what was given of a frame; it is answered like any other from now on."""
        with self._lock:
            if self._annotations.pop(frame, None) is None:
                raise InputError(f"frame {frame} is not annotated")
            self._save()

    def add_object(self, name: str = "", object_id: int | None = None) -> int:
        """Adds an object that no frame shows yet; returns its id, the lowest free one if None."""
        with self._lock:
            free = [i for i in range(1, MOST_ID + 1) if i not in self._objects]
            if not free or object_id not in (None, *free):
                raise InputError(
                    f"there is no room for an object {object_id or ''}: ids are 1 to 254"
                )
            new = free[0] if object_id is None else object_id
            self._objects[new] = name
            self._save()
            return new

    def rename_object(self, object_id: int, name: str) -> None:
        """Gives an object another name; nothing becomes stale."""
        with self._lock:
            self._check_object(object_id)
            self._objects[object_id] = name
            self._save()

    def remove_object(self, object_id: int) -> None:
        """Removes an object from all annotated frames; one that spoke of it alone is so no more."""
        with self._lock:
            self._check_object(object_id)
            del self._objects[object_id]
            left = {
                t: each.of(each.objects - {object_id})
                for t, each in self._annotations.items()
                if each.objects != {object_id}
            }
            self._annotations = left
            self._save()

    def merge_objects(self, object_id: int, into: int) -> None:
        """Makes two objects one: in all annotated frames the first becomes part of the second."""
        with self._lock:
            self._check_object(object_id)
            self._check_object(into)
            if object_id == into:
                raise InputError(f"object {into} cannot be merged with itself")
            for frame, each in self._annotations.items():
                if object_id in each.objects:
                    mask = np.where(each.mask == object_id, np.uint8(into), each.mask)
                    told = each.objects - {object_id} | {into}
                    self._annotations[frame] = annotation(mask, told)
            del self._objects[object_id]
            self._save()

    def give_back(self, annotations: Mapping[int, Annotation], objects: Mapping[int, str]) -> None:
        """Has all that is given, and all objects, be these, as they were before an edit."""
        with self._lock:
            self._annotations, self._objects = dict(annotations), dict(objects)
            self._save()

    def neighbours(self, frame: int) -> tuple[int | None, int | None]:
        """Returns the annotated frames next before and next after a frame."""
        before = [t for t in self._annotations if t < frame]
        after = [t for t in self._annotations if t > frame]
        return max(before, default=None), min(after, default=None)

    def states(self, way: Way = Way()) -> list[State]:
        """Returns of every frame what there is.

        "annotated"; "done", an answer; "stale", one that depends on what has changed since;
        "todo", none yet; or "nothing": none is wanted, or no annotated frame reaches it.
        """
        plan, found = self._plan(way), ["nothing"] * self.count
        for frame in self._wanted(plan, way):
            key, kept = plan.key(frame), self._folder.keys.get(frame)
            if key is not None:
                found[frame] = "done" if kept == key else "stale" if kept else "todo"
        for frame in self._annotations:
            found[frame] = "annotated"
        return found  # pyright: ignore[reportReturnType]

    def mask(self, frame: int) -> UInt8[np.ndarray, "height width"] | None:
        """Returns a frame's answer, stale or not, (H, W) uint8 ids; None if there is none.

        Of an annotated frame it is what was given, in any case. Objects that have been removed
        since are not in it.
        """
        self._check_frame(frame)
        given = self._annotations.get(frame)
        answer = self._folder.read_mask(frame) if frame in self._folder.keys else None
        if answer is None:
            return None if given is None else given.mask.copy()
        told = frozenset() if given is None else given.objects
        left = np.where(np.isin(answer, list(self._objects.keys() - told)), answer, 0)
        return left if given is None else np.where(given.mask > 0, given.mask, left)

    def soft(self, frame: int) -> Soft | None:
        """Returns the probabilities of a frame's answer; None if `keep_soft` did not keep them."""
        self._check_frame(frame)
        return self._folder.read_soft(frame)

    def certainty(self, frame: int) -> dict[int, Certainty]:
        """Returns how certain a frame's answer is, by object; empty if there is none."""
        found = self._folder.certainty.get(frame, {})
        return {i: each for i, each in found.items() if i in self._objects}

    def to_look_at(self, count: int = 10) -> list[int]:
        """Returns the frames whose answers are least certain, those first that most need a look.

        A frame is as certain as the object of it that is least so, inside and on the edge.
        """
        lowest = {
            frame: min((min(each) for each in self.certainty(frame).values()), default=1.0)
            for frame in list(self._folder.certainty)
            if frame not in self._annotations and frame in self._folder.keys
        }
        return sorted(lowest, key=lambda frame: (lowest[frame], frame))[:count]

    def propagate(self, way: Way = Way()) -> Generator[Done]:
        """Follows the objects through all wanted frames whose answers are not there, or stale.

        Stop iterating, and it pauses; call it again, and it goes on. If something is annotated in
        between, what that changes is done as well. Frames outside of the range are segmented
        where a pass must go through them.

        Yields:
            Each frame as it is done, in the order of the passes. One that both passes reach comes
            twice, not `final` at first.

        Raises:
            InputError: The range makes no sense, or a frame is damaged; what was done is kept.
        """
        last = self.count - 1 if way.end is None else way.end
        if not 0 <= way.start <= last < self.count or way.step < 1:
            raise InputError(
                f"no frames are from {way.start} to {last} by {way.step}: the video's are 0 to"
                f" {self.count - 1}"
            )
        version = None
        while version != self._version:
            with self._lock:
                version, plan = self._version, self._plan(way)
            wanted = self._wanted(plan, way)
            yield from self._propagation.run(plan, wanted, lambda v=version: v == self._version)

    def finished(self, way: Way = Way()) -> SegmentedVideo:
        """Returns the wanted frames that are answered and not stale, for `stm_jax.results`."""
        plan, frames, keys = self._plan(way), self.reader.frames, self._folder.keys
        done = {t for t in self._wanted(plan, way) if t in keys and keys[t] == plan.key(t)}
        name = pathlib.Path(frames.path).resolve().stem
        folders = self._folder.masks, self._folder.probabilities
        return SegmentedVideo(frames, *folders, name, frozenset(done))

    @property
    def in_memory(self) -> tuple[int, ...]:
        """The frames that are in memory now, while `propagate` works; empty when it does not."""
        return self._propagation.in_memory

    def look(
        self,
        frame: int,
        row: int,
        column: int,
        way: Way = Way(),
        done: Callable[[], None] = lambda: None,
    ) -> tuple[Attention, ...]:
        """Returns where the reads of a pixel went, of each pass that a frame's answer is from.

        Each pass is gone through again up to there, and `done` called after each of its frames:
        what that raises ends it. `frame_numbers` are the video's.

        Raises:
            InputError: There is no such pixel, or no pass reaches the frame.
        """
        self._check_frame(frame)
        passes = [each for each in self._plan(way).sources(frame) if each is not None]
        if not passes:
            raise InputError(f"frame {frame} is given, or nothing reaches it: nothing was read")
        seen = []
        for each in passes:
            follower = Follower(self._new_segmenter(), self.reader, self._annotations, each)
            follower.begin()
            answers, before = follower.answers(), each.frames.index(frame)
            for _ in range(before):
                next(answers)
                done()
            found = follower.segmenter.look(self.reader[frame], row, column)
            numbers = follower.names_of(found.frame_numbers, found.pinned)
            ids = tuple(follower.segmenter.object_ids)
            seen.append(dataclasses.replace(found, frame_numbers=numbers, object_ids=ids))
        return tuple(seen)

    def _plan(self, way: Way) -> Plan:
        with self._lock:
            way = dataclasses.replace(way, start=way.start % way.step, end=None)
            if way not in self._plans:
                self._plans[way] = Plan(
                    dict(self._annotations),
                    self.count,
                    way.direction,
                    way.step,
                    way.start,
                    self._settings,
                )
            return self._plans[way]

    def _wanted(self, plan: Plan, way: Way) -> list[int]:
        last = self.count - 1 if way.end is None else way.end
        return [t for t in plan.frames if way.start <= t <= last]

    def _save(self) -> None:
        self._version += 1
        self._plans.clear()
        self._folder.save_annotations(self._annotations, self._objects, self._video)

    def _check_frame(self, frame: int) -> None:
        if not 0 <= frame < self.count:
            raise InputError(f"there is no frame {frame}: the video's are 0 to {self.count - 1}")

    def _check_object(self, object_id: int) -> None:
        if object_id not in self._objects:
            raise InputError(f"there is no object {object_id}, but {sorted(self._objects)}")
