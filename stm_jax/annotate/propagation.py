"""Works passes one after the other, and writes what they find."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Collection, Iterator

import numpy as np
from jaxtyping import UInt8

from stm_jax.annotate import fusion
from stm_jax.annotate.following import Follower
from stm_jax.annotate.fusion import Certainty, Soft
from stm_jax.annotate.passes import Pass, Plan
from stm_jax.annotate.session_folder import SessionFolder
from stm_jax.data.frame_reader import FrameReader
from stm_jax.errors import InputError
from stm_jax.infer.segmenter import Segmenter

SAVE_EVERY = 20.0  # seconds; or 20 times as long as saving takes


@dataclasses.dataclass(frozen=True)
class Done:
    """A frame that has been followed.

    Attributes:
        frame: Its number.
        ids: (H, W) uint8, its answer.
        soft: Its probabilities.
        certainty: Of each object.
        final: Whether this is the frame's answer; if not, it is that of the forward pass, and the
            backward pass is still to come.
    """

    frame: int
    ids: UInt8[np.ndarray, "height width"]
    soft: Soft
    certainty: dict[int, Certainty]
    final: bool


class Propagation:
    """Does what a plan needs.

    Args:
        segmenter: Whose streams the passes are.
        reader: Of the video.
        folder: Where answers and streams are kept.
        keep_soft: Whether probabilities are, too.

    Attributes:
        in_memory: The frames that are in the stream's memory; empty if none is at work.
    """

    def __init__(
        self, segmenter: Segmenter, reader: FrameReader, folder: SessionFolder, keep_soft: bool
    ) -> None:
        self._segmenter, self._reader = segmenter, reader
        self._folder, self._keep_soft = folder, keep_soft
        self.in_memory: tuple[int, ...] = ()
        self._next_save, self._pause = 0.0, SAVE_EVERY

    def run(
        self, plan: Plan, wanted: Collection[int], is_current: Callable[[], bool]
    ) -> Iterator[Done]:
        """Yields each of the wanted frames whose answer is not there, as it is done.

        It ends early, after a frame, once the plan is not current any more. Wherever it ends, what
        was done is kept.
        """
        self._next_save = time.monotonic() + self._pause
        wanted = dict.fromkeys(wanted)
        try:
            for frame in wanted:
                if plan.sources(frame) == (None, None) and self._is_due(plan, frame):
                    self._folder.forget([frame])
                    yield self._answered(plan, frame, None)
            while is_current():
                todo = next(filter(None, (self._due(plan, e, wanted) for e in plan.passes)), None)
                if todo is None:
                    return
                yield from self._work(plan, todo, wanted, is_current)
        finally:
            self.in_memory = ()
            self._folder.save_answers()

    def _work(
        self, plan: Plan, todo: Pass, wanted: Collection[int], is_current: Callable[[], bool]
    ) -> Iterator[Done]:
        """Works a pass as far as the wanted frames need it."""
        follower = Follower(self._segmenter, self._reader, plan.annotations, todo)
        due = [i for i, t in enumerate(todo.frames) if self._needs(plan, todo, t)]
        last = max(i for i in due if todo.frames[i] in wanted)
        done = self._resume(follower, due[0])
        self._folder.forget(t for t in todo.frames[done : last + 1] if self._is_due(plan, t))
        try:
            for frame, soft in follower.answers(done):
                done += 1
                self.in_memory = follower.in_memory(done)
                answer = self._take(plan, todo, frame, soft)
                if answer is not None:
                    yield answer
                if done > last or not is_current():
                    break
                if time.monotonic() >= self._next_save:
                    self._save(follower, done)
        except InputError:  # of a damaged frame, before it is segmented
            self._save(follower, done)
            raise
        except GeneratorExit:
            self._save(follower, done)
            raise
        self._save(follower, done)

    def _take(self, plan: Plan, todo: Pass, frame: int, soft: Soft) -> Done | None:
        """Does with a pass's answer what is to be done; None if it is there already."""
        if not self._needs(plan, todo, frame):
            return None
        forward, backward = plan.sources(frame)
        if todo is forward and backward is not None:
            kept = Soft(soft.ids, fusion.rounded(soft.planes))
            self._folder.write_ahead(frame, todo.keys[frame], kept)
            return Done(frame, soft.labels, soft, fusion.certainties(soft), final=False)
        if forward is not None and todo is backward:
            is_there = self._folder.ahead.get(frame) == forward.keys[frame]
            ahead = self._folder.read_ahead(frame) if is_there else None
            if ahead is None:  # the frame is not wanted, or what was kept is damaged
                return None
            soft = fusion.fused(ahead, soft, plan.weights(frame))
        return self._answered(plan, frame, soft)

    def _answered(self, plan: Plan, frame: int, soft: Soft | None) -> Done:
        """Writes a frame's answer."""
        given, key = plan.annotations.get(frame), plan.key(frame)
        if given is not None:
            soft = fusion.given(soft, given)
        assert soft is not None and key is not None
        found = fusion.certainties(soft)
        self._folder.write_answer(frame, key, soft, found, self._keep_soft)
        return Done(frame, soft.labels, soft, found, final=True)

    def _due(self, plan: Plan, todo: Pass, wanted: Collection[int]) -> Pass | None:
        """Returns the pass if a wanted frame still needs it."""
        return todo if any(self._needs(plan, todo, t) for t in wanted) else None

    def _is_due(self, plan: Plan, frame: int) -> bool:
        key = plan.key(frame)
        if key is None or self._folder.keys.get(frame) != key:
            return key is not None
        return self._keep_soft and frame not in self._folder.soft

    def _needs(self, plan: Plan, todo: Pass, frame: int) -> bool:
        """Says whether a frame still needs this pass."""
        forward, backward = plan.sources(frame)
        if todo not in (forward, backward) or not self._is_due(plan, frame):
            return False
        waits = todo is forward and backward is not None
        return not waits or self._folder.ahead.get(frame) != todo.keys[frame]

    def _resume(self, follower: Follower, first: int) -> int:
        """Begins a stream, or goes on with the one that was saved; returns how far it is.

        Args:
            follower: Of the pass.
            first: The number in it of the first frame that is needed.
        """
        key, done, arrays = self._folder.load_pass()
        if arrays and done <= first and key == follower.following.key_after(done):
            with contextlib.suppress(InputError):
                self._segmenter.restore(arrays)
                return done
        follower.begin()
        return 0

    def _save(self, follower: Follower, done: int) -> None:
        """Keeps what was done, and where the stream stands if it is in the middle."""
        begun = time.monotonic()
        if done < len(follower.following.frames):
            key = follower.following.key_after(done)
            self._folder.save_pass(key, done, self._segmenter.state_arrays())
        else:
            self._folder.save_answers()
        self._pause = max(SAVE_EVERY, 20 * (time.monotonic() - begun))
        self._next_save = time.monotonic() + self._pause
