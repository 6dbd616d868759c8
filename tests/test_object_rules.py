"""Rules that decide for each object by itself, against their definitions over whole histories."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stm_jax
from stm_jax.memory.object_rule import FREE
from stm_jax.memory.protocol import candidate_of
from stm_jax.memory.rules.dam4sam import ANCHOR, Dam4Sam
from stm_jax.memory.rules.samurai import PASSED, Samurai
from stm_jax.ops.kalman import begun, box_of, corrected, moved
from stm_jax.ops.regions import corners, overlap, parts
from tests.histories import LENGTH, Histories, draw, run
from tests.lively import clip, first_mask, lively_model

DAM4SAM = Dam4Sam(frames=6, anchors=2, every=3, threshold=0.6, gap=2, overlap=0.3)
SAMURAI = Samurai(frames=4, threshold=0.6, motion=0.4, steady=3)


def box_by_hand(inside: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(inside)
    if len(rows) == 0:
        return np.zeros(4)
    return np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1])


def overlap_by_hand(one, other) -> float:
    tall = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    wide = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    union = sum(areas) - tall * wide
    return tall * wide / union if union > 0 else 0.0


def parts_by_hand(inside: np.ndarray) -> list[list[tuple[int, int]]]:
    """Returns the positions of every connected part."""
    left = {(int(r), int(c)) for r, c in np.argwhere(inside)}
    found = []
    while left:
        part, waiting = [], [left.pop()]
        while waiting:
            row, column = place = waiting.pop()
            part.append(place)
            near = {(row + r, column + c) for r in (-1, 0, 1) for c in (-1, 0, 1)} & left
            left -= near
            waiting += near
        found.append(part)
    return found


class PlainDam4Sam:
    """The memory of one object, looked for anew in all that it has seen."""

    def __init__(self, rule: Dam4Sam, history: Histories, o: int) -> None:
        self.rule, self.history, self.o = rule, history, o
        self.first: int | None = None
        self.anchors: list[int] = []
        self.seen: list[int] = []

    def go_on(self, t: int) -> dict[int, bool]:
        """Returns which frames are in memory, and which of them are anchors."""
        if self.history.certainty[t, self.o] > 0:
            self.seen.append(t)
        if self.first is None:
            self.first = t
        elif self.is_anchor(t):
            self.anchors.append(t)
        anchors = self.anchors[-self.rule.anchors :]
        room = self.rule.frames - 1 - len(anchors)
        old = [n for n in self.seen if n not in self.anchors and n != self.first]
        recent = old[-1:]
        recent += [n for n in reversed(old[:-1]) if n % self.rule.every == 0][: room - 1]
        return {n: n in anchors for n in (self.first, *anchors, *recent)}

    def is_anchor(self, t: int) -> bool:
        areas = self.history.area[:, self.o]
        if t not in self.seen or self.history.certainty[t, self.o] <= self.rule.threshold:
            return False
        ratio = areas[t] / np.median([areas[n] for n in self.seen[-10:]])
        if not 1 - self.rule.share <= ratio <= 1 + self.rule.share:
            return False
        if self.anchors and t - self.anchors[-1] <= self.rule.gap:
            return False
        return distracted_by_hand(self.rule, self.history.masks[t, self.o].astype(float))


def distracted_by_hand(rule: Dam4Sam, masks: np.ndarray) -> bool:
    found = parts_by_hand(masks >= rule.doubt)
    found.sort(key=lambda part: -sum(masks[place] for place in part))
    if len(found) < 2:
        return False
    main, both = np.zeros(masks.shape, bool), np.zeros(masks.shape, bool)
    main[tuple(zip(*found[0], strict=True))] = True
    both[tuple(zip(*(found[0] + found[1]), strict=True))] = True
    return overlap_by_hand(box_by_hand(main), box_by_hand(both)) <= rule.overlap


class PlainFilter:
    """The Kalman filter of a box with its whole 8 x 8 covariance."""

    def __init__(self, box: np.ndarray) -> None:
        height = box[2] - box[0]
        self.mean = np.concatenate([self.measured(box), np.zeros(4)])
        place, speed = self.deviations(height)
        deviation = np.concatenate([place * [2, 2, 1, 2], speed * [10, 10, 1, 10]])
        self.covariance = np.diag(deviation**2)

    @staticmethod
    def measured(box) -> np.ndarray:
        top, left, bottom, right = box.astype(float)
        return np.array(
            [(left + right) / 2, (top + bottom) / 2, (right - left) / (bottom - top), bottom - top]
        )

    @staticmethod
    def deviations(height: float) -> tuple[np.ndarray, np.ndarray]:
        place, speed = height / 20, height / 160
        return np.array([place, place, 1e-2, place]), np.array([speed, speed, 1e-5, speed])

    def move(self) -> None:
        step = np.eye(8) + np.eye(8, k=4)
        noise = np.diag(np.concatenate(self.deviations(self.mean[3])) ** 2)
        self.mean = step @ self.mean
        self.covariance = step @ self.covariance @ step.T + noise

    def correct(self, box: np.ndarray) -> None:
        see = np.eye(4, 8)
        deviation = self.deviations(self.mean[3])[0]
        deviation[2] = 1e-1
        total = see @ self.covariance @ see.T + np.diag(deviation**2)
        gain = self.covariance @ see.T @ np.linalg.inv(total)
        self.mean = self.mean + gain @ (self.measured(box) - see @ self.mean)
        self.covariance = self.covariance - gain @ total @ gain.T

    def box(self) -> np.ndarray:
        column, row, aspect, height = self.mean[:4]
        wide = aspect * height
        return np.array([row - height / 2, column - wide / 2, row + height / 2, column + wide / 2])


class PlainSamurai:
    def __init__(self, rule: Samurai, history: Histories, o: int) -> None:
        self.rule, self.history, self.o = rule, history, o
        self.first: int | None = None
        self.passed: list[int] = []
        self.filter: PlainFilter | None = None
        self.steady = 0

    def go_on(self, t: int) -> dict[int, bool]:
        """Returns which frames are in memory, and which of them have passed."""
        certainty, box = self.history.certainty[t, self.o], self.history.box[t, self.o]
        passes = certainty > 0 and certainty >= self.rule.threshold
        if certainty == 0:
            self.filter, self.steady = None, 0
        elif self.filter is None:
            self.filter, self.steady = PlainFilter(box), 1
        else:
            self.filter.move()
            if self.steady >= self.rule.steady:
                passes &= overlap_by_hand(self.filter.box(), box) > self.rule.motion
            self.filter.correct(box)
            self.steady += 1
        if self.first is None:
            self.first = t
        elif passes:
            self.passed.append(t)
        valid = [*self.passed]
        if t not in (self.first, *valid[-1:]):
            valid.append(t)
        latest = valid[-(self.rule.frames - 1) :]
        return {n: n in self.passed for n in (self.first, *latest)}


PLAIN = {DAM4SAM: (PlainDam4Sam, ANCHOR), SAMURAI: (PlainSamurai, PASSED)}
rules = pytest.mark.parametrize("rule", PLAIN, ids=lambda rule: type(rule).__name__)


@rules
def test_rules_decide_for_each_object_as_their_definitions(rule):
    histories = draw()
    read, (numbers, kinds, filled) = run(rule, histories)
    plain, kind = PLAIN[rule]
    assert not filled[:, :, 2].any() and (read[:, :, 2] == 0).all()  # the padded object
    assert (filled == (kinds != FREE)).all() and not filled[..., rule.frames :].any()
    counts = np.zeros(2, int)
    for index in range(len(numbers)):
        history = jax.tree.map(lambda array, i=index: array[i], histories)
        for o in (0, 1):
            memory = plain(rule, history, o)
            for t in range(LENGTH):
                expected = memory.go_on(t) if history.present[t, o] else {}
                there = filled[index, t, o]
                found = zip(numbers[index, t, o, there], kinds[index, t, o, there], strict=True)
                where = f"history {index}, object {o}, frame {t}"
                assert there.sum() == len(expected), where
                assert {int(n): bool(k == kind) for n, k in found} == expected, where
                counts += (len(expected) == rule.frames, any(expected.values()))
    assert (counts > 1000).all()  # so that the comparison means something


@rules
def test_what_is_read_are_the_frames_that_were_kept(rule):
    histories = draw(1)
    read, (numbers, _, filled) = run(rule, histories)
    for index, t, o in np.ndindex(3, LENGTH, 2):
        keys, values = (
            array[index, numbers[index, t, o, filled[index, t, o]], o].astype(float)
            for array in (histories.key, histories.value)
        )
        if len(keys) == 0:
            continue
        query = histories.query[index, t].reshape(-1, keys.shape[-1])
        weights = np.exp(query @ keys.reshape(-1, keys.shape[-1]).T / np.sqrt(keys.shape[-1]))
        expected = weights @ values.reshape(-1, 2) / weights.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(read[index, t, o].reshape(-1, 2), expected, atol=1e-5)


def test_a_video_of_known_length_needs_no_more_slots_than_frames():
    assert [Samurai().slots_for(n) for n in (None, 1, 4, 99)] == [7, 1, 3, 7]
    histories = draw(length=4)
    for rule in PLAIN:
        assert rule.slots_for(4) == 3
        tight, roomy = run(rule, histories, 3), run(rule, histories, 7)
        np.testing.assert_allclose(tight[0], roomy[0], atol=1e-6)


# What they are made of


def test_parts_are_connected_and_boxes_are_around():
    rng = np.random.default_rng(0)
    find, box = jax.jit(parts), jax.jit(corners)
    for _ in range(200):
        inside = rng.random((7, 9)) < rng.uniform(0, 0.7)
        found = np.asarray(find(inside))
        expected = {tuple(sorted(part)) for part in parts_by_hand(inside)}
        ours = {tuple(map(tuple, np.argwhere(found == n).tolist())) for n in set(found[inside])}
        assert ours == expected and not found[~inside].any()
        np.testing.assert_array_equal(box(inside), box_by_hand(inside))


def test_a_winding_part_is_one():
    snake = np.zeros((9, 9), bool)
    snake[::2] = True
    snake[1::4, -1] = snake[3::4, 0] = True
    assert set(np.unique(parts(jnp.asarray(snake)))) == {0, 81}


def test_overlap_of_boxes():
    rng = np.random.default_rng(0)
    for _ in range(50):
        pair = [np.sort(rng.integers(0, 9, (2, 2)), axis=0).ravel().astype(float) for _ in "ab"]
        found = overlap(*map(jnp.asarray, pair))
        np.testing.assert_allclose(found, overlap_by_hand(*pair), atol=1e-6)


def test_the_filter_is_that_of_the_whole_covariance():
    rng = np.random.default_rng(0)
    for _ in range(20):
        at, speed = rng.uniform(50, 90, 2), rng.uniform(-5, 5, 2)
        sides = rng.uniform(10, 40, 2)
        track, plain = None, None
        for t in range(15):
            centre = at + speed * t + rng.normal(0, 1, 2)
            box = np.concatenate([centre, centre + sides + rng.normal(0, 1, 2)])
            if track is None or plain is None:
                track, plain = begun(jnp.asarray(box)), PlainFilter(box)
            else:
                track = moved(track)
                plain.move()
                np.testing.assert_allclose(box_of(track), plain.box(), rtol=1e-4, atol=1e-3)
                track = corrected(track, jnp.asarray(box))
                plain.correct(box)
            variances = [np.diag(plain.covariance, k=k)[:4] for k in (0, 4)]
            np.testing.assert_allclose(track.variances[:2], variances, rtol=1e-3, atol=1e-7)
            assert not np.triu(plain.covariance - np.diag(np.diag(plain.covariance)), 5).any()


def test_what_a_frames_pixels_tell():
    rng = np.random.default_rng(0)
    masks = rng.uniform(0, 0.6, (3, 32, 48)).astype(np.float32)
    masks[0, 5:20, 7:30], masks[1] = 0.9, 0.4
    arrays = (np.zeros((3, 2, 3, 1), np.float32),) * 2
    flags = (np.int32(0), np.ones(3, bool), np.array(True), np.int32(0))
    found = candidate_of(*arrays, jnp.asarray(masks), *flags)
    np.testing.assert_array_equal(found.box, [box_by_hand(mask > 0.5) for mask in masks])
    np.testing.assert_array_equal(found.area, [(mask > 0.5).sum() for mask in masks])


# In a stream


def test_decisions_of_the_streams_own_masks():
    """An anchor is taken where the soft mask holds a second blob, and the pixels say so."""
    rule = Dam4Sam(frames=5, anchors=2, every=2, gap=1)
    masks = np.zeros((1, 80, 160), np.float32)
    masks[0, 16:48, 16:48] = 0.95
    state = rule.empty(1, 5, (5, 10), (2, 2), np.float32)
    write = jax.jit(rule.write)
    for t in range(6):
        shown = masks.copy()
        if t in (3, 4):  # the next after an anchor comes too soon
            shown[0, 16:48, 112:144] = 0.3
        arrays = (np.full((1, 5, 10, 2), t, np.float32),) * 2
        flags = (np.int32(t), np.ones(1, bool), np.array(t == 0), np.int32(0))
        state = write(state, candidate_of(*arrays, jnp.asarray(shown), *flags))
    anchors = np.asarray(state.frame_numbers)[np.asarray(state.kinds) == ANCHOR]
    assert anchors.tolist() == [3] and rule.staying(state).tolist() == [0, 2, 3, 4]


@rules
def test_objects_come_go_and_are_remembered_apart(rule):
    frames, mask = clip(8), first_mask()
    segmenter = stm_jax.Segmenter(lively_model(), memory=rule)
    expected = np.asarray(segmenter.segment(frames, mask, soft=True))
    segmenter.start(frames[0], mask)
    stepped = [segmenter.step(frame, soft=True) for frame in frames[1:6]]
    np.testing.assert_allclose(stepped, expected[1:6], atol=1e-5)
    assert 0 in segmenter.kept_frames and np.ptp(expected[-1]) > 0.5

    late = np.zeros_like(mask)
    late[2:14, 2:14] = 77
    segmenter.add_objects(frames[5], late)
    segmenter.step(frames[6])
    state = segmenter.state_arrays()
    index = segmenter.object_ids.index(77)
    assert state["bank_frame_numbers"][index].max() == 5
    assert (state["bank_frame_numbers"][index] >= 0).sum() == 1
    segmenter.remove_objects(segmenter.object_ids[:1])
    assert np.isfinite(segmenter.step(frames[7], soft=True)).all()


@rules
def test_a_look_tells_the_frames_of_all_objects(rule):
    frames, mask = clip(8), first_mask()
    late = np.zeros_like(mask)
    late[2:14, 2:14] = 77
    for pinned in (False, True):
        segmenter = stm_jax.Segmenter(lively_model(), memory=rule)
        segmenter.start(frames[0], mask)
        for frame in frames[1:5]:
            segmenter.step(frame)
        segmenter.add_objects(frames[4], late)
        if pinned:
            segmenter.pin(frames[7], mask, 3)  # by the number of another frame
        seen = segmenter.look(frames[5], row=20, column=30)
        numbers = seen.frame_numbers[seen.pinned :].tolist()
        assert numbers == sorted(set(numbers)) and {0, 4} <= set(numbers)
        sums = seen.weights.sum(axis=(2, 3))
        np.testing.assert_allclose(sums.sum(axis=1), 1, atol=1e-5)
        assert sums[-1, seen.pinned + numbers.index(4)] == pytest.approx(1)  # the late object
        assert (sums > 0).any(axis=0)[seen.pinned :].all() and (sums[:, 0] > 0).any()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Dam4Sam(frames=4), "not 4 frames with 3 anchors"),
        (lambda: Dam4Sam(every=0), "every must be at least 1, not 0"),
        (lambda: Dam4Sam(threshold=2), "within 0 and 1, so not above 2"),
        (lambda: Dam4Sam(share=-1), "at least 0, not -1 and 5"),
        (lambda: Dam4Sam(doubt=0), "above 0, up to 1: 0"),
        (lambda: Samurai(frames=1), "room for 2 frames at least"),
        (lambda: Samurai(threshold=-1), "within 0 and 1, so not above -1"),
        (lambda: Samurai(motion=1), "from 0 to 1, so not above 1"),
        (lambda: Samurai(steady=0), "needs 1 frame at least to expect, not 0"),
    ],
)
def test_knobs_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message) as refused:
        make()
    assert "\n" not in str(refused.value)
