"""Which streams follow objects between annotated frames, and what a frame's answer depends on.

Nothing here computes an answer. The rules:

1. A *pass* is one stream, forward or backward. It starts at an annotated frame that speaks of every
   object that annotated frames before it (in its direction) speak of, and ends before the next such
   frame. Annotated frames on its way that speak of fewer objects correct it, and may bring in more.
2. In its memory are pinned, beside what the rule keeps: the annotated frames on its way, the one
   that ends it, and for each of its objects the two annotated frames on either side of its start
   that are nearest of those that show it (the start counts), and the first of all that does; of
   each, what it says of the objects that the pass knows by then.
3. A frame's *key* is a hash of all that its answer depends on: what is known of the frame itself,
   and what the passes that reach it have been given so far. That is what they start from and what
   is pinned, for what corrects them is pinned as well, and so is what the weights are counted from.
   So a new annotated frame that shows all objects, and is not the first, makes stale what lies
   between the second annotated frames before and after it, and nothing beyond.
"""

import bisect
import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

from stm_jax.annotate.annotations import Annotation

Direction = Literal["forward", "backward", "both"]
NEIGHBOURS = 2
"""How many annotated frames are pinned on either side that show an object. Of one alone, a new one
would take the place of another that may be the better: an answer could become worse by it."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stretch of a pass in which it knows the same objects.

    Attributes:
        begin: The annotated frame at which it begins.
        objects: Those that are known from there on.
        pinned: The annotated frames that are in memory besides the one that the pass starts from.
    """

    begin: int
    objects: frozenset[int]
    pinned: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Pass:
    """One stream.

    Attributes:
        backward: Whether it goes from late frames to early ones.
        start: The annotated frame that it starts from.
        frames: Those that it segments, in its order.
        end: The annotated frame before which it ends; None for the end of the video.
        stages: At least one; the first begins at `start`.
        keys: Of each frame in `frames`, a hash of all that the pass was given before it.
    """

    backward: bool
    start: int
    frames: tuple[int, ...]
    end: int | None
    stages: tuple[Stage, ...]
    keys: Mapping[int, str]

    def key_after(self, done: int) -> str:
        """Returns a hash of what the stream was given once so many frames, not all, are done."""
        return f"{done} {self.keys[self.frames[done]]}"

    def objects_at(self, frame: int) -> frozenset[int]:
        """Returns the objects that it knows when it segments a frame."""
        return self._stage_before(frame).objects

    def stage_from(self, frame: int) -> Stage | None:
        """Returns the stage that begins at a frame, None if none does."""
        return next((stage for stage in self.stages if stage.begin == frame), None)

    def _stage_before(self, frame: int) -> Stage:
        sign = -1 if self.backward else 1
        return [each for each in self.stages if sign * each.begin < sign * frame][-1]


class Plan:
    """The passes over a video, and what each frame's answer is made from.

    Args:
        annotations: By frame.
        count: Frames of the video.
        direction: Which passes there are.
        step: Of the frames every so many are segmented, and the annotated ones.
        first: One of these frames.
        settings: What else answers depend on.

    Attributes:
        annotations: As given.
        passes: In the order in which they can be done: a backward pass needs what forward passes
            have found.
        frames: All that have an answer or could have one, ascending.
    """

    def __init__(
        self,
        annotations: Mapping[int, Annotation],
        count: int,
        direction: Direction = "both",
        step: int = 1,
        first: int = 0,
        settings: str = "",
    ) -> None:
        self.annotations, self._settings = annotations, f"{settings} {step} {first % step}"
        self._annotated = sorted(annotations)
        self._keys: dict[int, str | None] = {}
        self.frames = sorted({*range(first % step, count, step), *annotations})
        forward = self._passes(backward=False) if direction != "backward" else []
        backward = self._passes(backward=True) if direction != "forward" else []
        self._by_frame = [
            {t: each for each in side for t in each.frames} for side in (forward, backward)
        ]
        self.passes: list[Pass] = []
        waiting = sorted(backward, key=lambda each: each.start)
        for each in forward:
            self.passes.append(each)
            while waiting and (each.end is None or waiting[0].start <= each.end):
                self.passes.append(waiting.pop(0))
        self.passes += waiting

    def sources(self, frame: int) -> tuple[Pass | None, Pass | None]:
        """Returns the forward and the backward pass that a frame's answer is made from."""
        given = self.annotations.get(frame)
        found = [side.get(frame) for side in self._by_frame]
        if given is not None:  # what it says itself is not asked for
            found = [e if e and not e.objects_at(frame) <= given.objects else None for e in found]
        return found[0], found[1]

    def weights(self, frame: int) -> dict[int, float]:
        """Returns how much the forward pass counts for background (0) and each object.

        Of two passes that know an object, each counts as much as the other's nearest annotated
        frame that speaks of it is far away; of one that knows it, that one counts alone.
        """
        forward, backward = (e.objects_at(frame) if e else frozenset() for e in self.sources(frame))
        weights = {0: self._weight(frame, self._annotated)}
        for each in forward | backward:
            both = each in forward and each in backward
            one = float(each in forward)
            weights[each] = self._weight(frame, self._speaking_of[each]) if both else one
        return weights

    def key(self, frame: int) -> str | None:
        """Returns the hash of all that a frame's answer depends on; None if there is no answer."""
        if frame not in self._keys:
            self._keys[frame] = self._key(frame)
        return self._keys[frame]

    def _key(self, frame: int) -> str | None:
        forward, backward = self.sources(frame)
        given = self.annotations.get(frame)
        if forward is None and backward is None and given is None:
            return None
        parts = [self._settings, given and given.digest]
        parts += [each and each.keys[frame] for each in (forward, backward)]
        return _hash(*map(str, parts))

    @functools.cached_property
    def _speaking_of(self) -> dict[int, list[int]]:
        """The annotated frames that speak of each object, ascending."""
        known = frozenset().union(*(each.objects for each in self.annotations.values()))
        return {
            each: [t for t in self._annotated if each in self.annotations[t].objects]
            for each in known
        }

    def _weight(self, frame: int, annotated: Sequence[int]) -> float:
        before = bisect.bisect_left(annotated, frame)
        after = bisect.bisect_right(annotated, frame)
        if before == 0 or after == len(annotated):
            return float(before > 0)
        left, right = frame - annotated[before - 1], annotated[after] - frame
        return right / (left + right)

    def _passes(self, *, backward: bool) -> list[Pass]:
        order = self._annotated[::-1] if backward else self._annotated
        starts, known = [], frozenset()
        for frame in order:
            known |= self.annotations[frame].objects
            if self.annotations[frame].objects >= known:
                starts.append(frame)
        ends = [*starts, None][1:]
        return [self._pass(backward, *pair) for pair in zip(starts, ends, strict=True)]

    def _pass(self, backward: bool, start: int, end: int | None) -> Pass:
        given = self.annotations
        if backward:
            low = 0 if end is None else bisect.bisect_right(self.frames, end)
            frames = self.frames[low : bisect.bisect_left(self.frames, start)][::-1]
        else:
            high = None if end is None else bisect.bisect_left(self.frames, end)
            frames = self.frames[bisect.bisect_right(self.frames, start) : high]
        on_the_way = [t for t in frames if t in given]
        known = given[start].objects
        stages = [self._stage(backward, start, start, end, on_the_way, known)]
        key = _hash(self._settings, str(backward), str(start), given[start].digest)
        key = self._with_stage(key, stages[0])
        keys = {}
        for t in frames:
            keys[t] = key
            if t in given and not given[t].objects <= known:
                known |= given[t].objects
                stages.append(self._stage(backward, t, start, end, on_the_way, known))
                key = self._with_stage(key, stages[-1])
        return Pass(backward, start, tuple(frames), end, tuple(stages), keys)

    def _stage(
        self,
        backward: bool,
        begin: int,
        start: int,
        end: int | None,
        on_the_way: Sequence[int],
        known: frozenset[int],
    ) -> Stage:
        given = self.annotations
        pinned = {*on_the_way, *([] if end is None else [end])}
        for each in known:
            showing = [t for t in self._speaking_of[each] if each in given[t].shown]
            if backward:
                at = bisect.bisect_left(showing, start)
            else:
                at = bisect.bisect_right(showing, start)
            pinned |= {*showing[:1], *showing[max(at - NEIGHBOURS, 0) : at + NEIGHBOURS]}
        pinned = {t for t in pinned if given[t].objects & known} - {start}
        # In the pass's order, so that a mirrored video gives the same bits.
        return Stage(begin, known, tuple(sorted(pinned, reverse=backward)))

    def _with_stage(self, key: str, stage: Stage) -> str:
        pinned = [f"{t} {self.annotations[t].of(stage.objects).digest}" for t in stage.pinned]
        return _hash(key, str(sorted(stage.objects)), *pinned)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
