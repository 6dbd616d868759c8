"""Whatever is given, taken back, followed, stopped and opened again, in any order: the rules hold.

The plain model computes each frame's answer anew from what is annotated, by the rules as
`stm_jax.annotate.passes` words them, one frame after the other and nothing kept.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from PIL import Image

from stm_jax.annotate import annotator as module
from stm_jax.annotate import fusion, propagation
from stm_jax.annotate.annotator import Annotator, Way
from stm_jax.annotate.passes import Plan
from tests.fake_stream import FakeSegmenter
from tests.lively import lively_model

COUNT, SIZE = 7, (4, 6)
RNG = np.random.default_rng(0)
FRAMES = RNG.integers(0, 256, (COUNT, *SIZE, 3), np.uint8)


class Plain:
    """The rules, slowly. `given` is {frame: (mask, objects)}."""

    def __init__(self, given, way: Way):
        self.given, self.way = given, way
        visited = set(range(way.start % way.step, COUNT, way.step)) | set(given)
        self.visited = sorted(visited)

    def answer(self, t):
        """The probabilities of a frame, None if nothing reaches it."""
        told = self.given[t][1] if t in self.given else set()
        sides = [
            self.one_side(t, sign) if name in (self.way.direction, "both") else None
            for name, sign in (("forward", 1), ("backward", -1))
        ]
        if self.way.direction == "both":
            sides = [self.one_side(t, 1), self.one_side(t, -1)]
        sides = [s if s is not None and not set(s.ids) - {0} <= told else None for s in sides]
        forward, backward = sides
        if forward is not None and backward is not None:
            soft = fusion.fused(forward, backward, self.weights(t, forward.ids, backward.ids))
        else:
            soft = forward or backward
        if t not in self.given:
            return soft
        return fusion.given(soft, module.annotation(*self.given[t]))

    def weights(self, t, forward, backward):
        weights = {}
        for each in {*forward, *backward}:
            if each not in backward:
                weights[each] = 1.0
            elif each not in forward:
                weights[each] = 0.0
            else:
                speaking = [k for k in self.given if each == 0 or each in self.given[k][1]]
                left = t - max(k for k in speaking if k < t)
                right = min(k for k in speaking if k > t) - t
                weights[each] = right / (left + right)
        return weights

    def one_side(self, t, sign):
        """The answer of the stream that comes to a frame from one side."""
        order = sorted(self.given, key=lambda k: sign * k)
        starts, known = [], set()
        for k in order:
            known |= self.given[k][1]
            if self.given[k][1] == known:
                starts.append(k)
        before = [k for k in starts if sign * k < sign * t]
        if t in starts or not before:
            return None
        start = before[-1]
        end = next((k for k in starts if sign * k > sign * t), None)
        stream = FakeSegmenter()
        mask, told = self.given[start]
        stream.start(FRAMES[start], mask, length=COUNT, object_ids=sorted(told))
        self.pin(stream, start, end, sign)
        for u in sorted(self.visited, key=lambda k: sign * k):
            if not sign * start < sign * u <= sign * t:
                continue
            planes = stream.step(FRAMES[u], soft=True)
            ids = stream.object_ids
            if u in self.given and u != t:
                mask, told = self.given[u]
                new = told - set(ids)
                stream.correct(FRAMES[u], mask, told)
                if new:
                    self.pin(stream, start, end, sign)
        return fusion.sorted_by_id(ids, planes)

    def pin(self, stream, start, end, sign):
        known = set(stream.object_ids)
        wanted = {end} if end is not None else set()
        for k in self.given:
            after = sign * k > sign * start
            if after and (end is None or sign * k < sign * end):
                wanted.add(k)
        for each in known:
            showing = [k for k, (mask, _) in self.given.items() if (mask == each).any()]
            showing.sort(key=lambda k: sign * k)
            ahead = [k for k in showing if sign * k > sign * start]
            behind = [k for k in showing if sign * k <= sign * start]
            wanted |= {*ahead[:2], *behind[-2:]}
            wanted |= {min(showing)} if showing else set()
        for k in sorted(wanted - {start}, key=lambda k: sign * k):
            mask, told = self.given[k]
            if told & known:
                mask = np.where(np.isin(mask, list(told & known)), mask, 0).astype(np.uint8)
                stream.pin(FRAMES[k], mask, k, told & known)


def test_what_is_pinned_is_what_the_rules_say():
    mask = np.ones(SIZE, np.uint8)
    plan = Plan({t: module.annotation(mask) for t in range(0, 14, 2)}, 14)
    pinned = {(each.start, each.backward): each.stages[0].pinned for each in plan.passes}
    assert pinned[6, False] == (0, 4, 8, 10) and pinned[8, True] == (10, 6, 4, 0)
    assert pinned[0, False] == (2, 4) and pinned[12, False] == (0, 10)
    assert pinned[0, True] == (2,) and pinned[12, True] == (10, 8, 0)


IDS = st.integers(1, 3)
WAYS = st.builds(
    Way,
    direction=st.sampled_from(["both", "both", "forward", "backward"]),
    start=st.sampled_from([0, 0, 0, 1, 3]),
    end=st.sampled_from([None, None, None, COUNT - 1, 4]),
    step=st.sampled_from([1, 1, 1, 2]),
)


class Sessions(RuleBasedStateMachine):
    """One session, edited and followed."""

    @initialize(way=WAYS)
    def begin(self, way):
        self.folder = Path(tempfile.mkdtemp())
        (self.folder / "video").mkdir()
        for index, frame in enumerate(FRAMES):
            Image.fromarray(frame).save(self.folder / "video" / f"{index}.png")
        self.given, self.objects, self.way = {}, {}, way
        self.session = self.opened()

    def opened(self) -> Annotator:
        return Annotator(lively_model(), self.folder / "video", self.folder / "out")

    def teardown(self):
        if hasattr(self, "session"):
            self.session.close()
            shutil.rmtree(self.folder)

    @rule(
        frame=st.integers(0, COUNT - 1),
        seed=st.integers(0, 3),
        ids=st.sets(IDS, max_size=2),
        told=st.one_of(st.none(), st.sets(IDS, max_size=2)),
        then=st.sampled_from([0, 2, 5, None]),
    )
    def annotate(self, frame, seed, ids, told, then):
        mask = np.random.default_rng(seed).choice([0, *ids], SIZE).astype(np.uint8)
        shown = set(np.unique(mask).tolist()) - {0}
        all_told = shown | (set(self.objects) if told is None else told)
        if not all_told:
            return
        self.session.annotate(frame, mask, told)
        self.given[frame] = (mask, all_told)
        self.objects |= {i: self.objects.get(i, "") for i in all_told}
        self.what_counts_as_done_is_what_the_rules_say()
        self.follow(then)

    @precondition(lambda self: len(self.given) > 2)
    @rule(data=st.data())
    def take_back(self, data):
        frame = data.draw(st.sampled_from(sorted(self.given)))
        self.session.unannotate(frame)
        del self.given[frame]

    @precondition(lambda self: self.objects)
    @rule(data=st.data(), name=st.text(max_size=3))
    def rename(self, data, name):
        each = data.draw(st.sampled_from(sorted(self.objects)))
        before = self.session.states(self.way)
        self.session.rename_object(each, name)
        self.objects[each] = name
        assert self.session.states(self.way) == before

    @precondition(lambda self: len(self.objects) < 3)
    @rule()
    def add(self):
        new = self.session.add_object("new")
        assert new not in self.objects
        self.objects[new] = "new"

    @precondition(lambda self: len(self.objects) > 2)
    @rule(data=st.data())
    def remove(self, data):
        gone = data.draw(st.sampled_from(sorted(self.objects)))
        self.session.remove_object(gone)
        del self.objects[gone]
        for frame, (mask, told) in list(self.given.items()):
            left = np.where(mask == gone, 0, mask).astype(np.uint8), told - {gone}
            self.given[frame] = left
            if not left[1]:
                del self.given[frame]

    @rule(way=WAYS)
    def go_another_way(self, way):
        self.way = way

    @precondition(lambda self: self.given)
    @rule(frames=st.integers(1, COUNT))
    def follow_some(self, frames):
        self.follow(frames)

    @precondition(lambda self: self.given)
    @rule()
    def follow_all(self):
        way = self.way
        states = self.session.states(way)
        written = [t for t, final in self.follow(None) if final]
        assert len(written) == len(set(written))
        assert all(states[t] != "done" for t in written)  # only what is stale, or not there
        assert not {"stale", "todo"} & set(self.session.states(way))
        last = COUNT - 1 if way.end is None else way.end
        plain = Plain(self.given, way)
        for t in range(COUNT):
            wanted = way.start <= t <= last and t in plain.visited
            if wanted and plain.answer(t) is not None:
                assert self.session.states(way)[t] in ("done", "annotated")
        assert not list(self.session.propagate(way))

    def follow(self, most):
        seen = []
        following = self.session.propagate(self.way)
        while most is None or len(seen) < most:
            done = next(following, None)
            if done is None:
                break
            seen.append((done.frame, done.final))
            if done.final:
                np.testing.assert_array_equal(done.ids, self.session.mask(done.frame))
            np.testing.assert_allclose(done.soft.planes.sum(axis=0), 1, atol=1e-5)
        following.close()
        return seen

    @rule(saved=st.booleans())
    def open_again(self, saved):
        self.session.close() if saved else self.session._open.close()
        self.session = self.opened()

    @invariant()
    def what_counts_as_done_is_what_the_rules_say(self):
        assert self.session.objects == dict(sorted(self.objects.items()))
        assert sorted(self.session.annotations) == sorted(self.given)
        plain = Plain(self.given, self.way)
        for t, state in enumerate(self.session.states(self.way)):
            if t in self.given:
                mask, told = self.given[t]
                answer = self.session.mask(t)
                np.testing.assert_array_equal(answer[mask > 0], mask[mask > 0])
                assert not np.isin(answer[mask == 0], list(told)).any()
            if state == "done":
                np.testing.assert_array_equal(self.session.mask(t), plain.answer(t).labels)


@pytest.fixture
def no_network(monkeypatch):
    monkeypatch.setattr(module, "Segmenter", FakeSegmenter)
    monkeypatch.setattr("os.fsync", lambda file: None)
    # A stream is saved after every frame, or never but where it ends.
    monkeypatch.setattr(propagation, "SAVE_EVERY", 0.0)


def test_any_history(no_network):
    run_state_machine_as_test(
        Sessions,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
