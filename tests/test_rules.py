"""Every update rule decides as a plain list of frames would, on 200 random histories."""

import abc
import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stm_jax.memory.frame_rule import FrameRule, Places
from stm_jax.memory.rules.annotated import Annotated
from stm_jax.memory.rules.confident import Confident
from stm_jax.memory.rules.diverse import Diverse
from stm_jax.memory.rules.evenly_spread import EvenlySpread
from stm_jax.memory.rules.every_nth import EveryNth
from stm_jax.memory.rules.fifo import Fifo
from stm_jax.memory.rules.first import First
from stm_jax.memory.rules.least_used import LeastUsed
from stm_jax.memory.rules.previous import Previous
from stm_jax.memory.rules.random_frame import RandomFrame, uniform
from stm_jax.memory.rules.recent import Recent
from stm_jax.memory.rules.reservoir import Reservoir
from stm_jax.memory.rules.ucb import Ucb
from tests.histories import LENGTH, draw, remembered, run

REAL = (0, 1)  # the third object is padding
DRAWS = {
    seed: np.asarray(jax.vmap(lambda t, s=seed: uniform(s, t))(np.arange(99))) for seed in (3,)
}


@dataclasses.dataclass
class Frame:
    """A frame in memory, and what rules keep of it."""

    number: int
    key: np.ndarray
    objects: tuple[int, ...]
    permanent: bool = False
    received: list[float] = dataclasses.field(default_factory=list)
    relevance: float | None = None
    times: int = 1


class PlainList(abc.ABC):
    """The memory of one history as a list of frames that stay, and the previous one."""

    def __init__(self, rule, history):
        self.rule, self.history = rule, history
        self.staying: list[Frame] = []
        self.previous: Frame | None = None

    def everything(self) -> list[Frame]:
        return [*self.staying, *([self.previous] if self.previous else [])]

    def go_on(self, t: int) -> dict[int, tuple[int, ...]]:
        """Remembers frame t; returns what is in memory when frame t + 1 is segmented."""
        present = tuple(o for o in REAL if self.history.present[t, o])
        seen = {o for frame in self.everything() for o in frame.objects}
        new_object = not set(present) <= seen
        self.previous = None
        frame = Frame(t, self.history.key[t], present)
        self.put(frame, bool(self.history.given[t]), new_object)
        self.tell_mass(t)
        return {frame.number: frame.objects for frame in self.everything()}

    def tell_mass(self, t: int) -> None:
        frames = self.everything()
        mass = [sum(float(self.history.mass[t, o, f.number]) for o in f.objects) for f in frames]
        for frame, own in zip(frames, mass, strict=True):
            frame.received.append(own / sum(mass))

    @abc.abstractmethod
    def put(self, frame: Frame, given: bool, new_object: bool) -> None:
        """Remembers a frame, and drops what gives way."""


class PlainEveryNth(PlainList):
    def put(self, frame, given, new_object):
        if frame.number % self.rule.n == 0:
            self.staying.append(frame)
        else:
            self.previous = frame


class PlainPrevious(PlainList):
    def put(self, frame, given, new_object):
        self.previous = frame


class PlainFirst(PlainList):
    def put(self, frame, given, new_object):
        if given and len(self.staying) < self.rule.frames:
            frame.permanent = True
            self.staying.append(frame)
        elif self.rule.previous:
            self.previous = frame


class PlainRecent(PlainList):
    def put(self, frame, given, new_object):
        if given and sum(f.permanent for f in self.staying) < self.rule.given:
            frame.permanent = True
        self.staying.append(frame)
        oldest = frame.number - self.rule.n
        self.staying = [f for f in self.staying if f.permanent or f.number > oldest]


class PlainBudget(PlainList):
    """All rules with a budget: at most so many frames, permanent ones never go."""

    def wanted(self, frame, given):
        return frame.number % self.rule.every == 0

    def for_ever(self, given, new_object):
        return new_object

    def victim(self, frame) -> Frame | None:
        return min(self.may_go(), key=lambda f: f.number)

    def before(self, frame) -> None:
        pass

    def may_go(self) -> list[Frame]:
        return sorted((f for f in self.staying if not f.permanent), key=lambda f: f.number)

    def put(self, frame, given, new_object):
        permanents = len(self.staying) - len(self.may_go())
        permanent = self.for_ever(given, new_object) and permanents < self.rule.frames - 1
        if not (self.wanted(frame, given) or new_object):
            self.previous = frame
            return
        self.before(frame)
        if len(self.staying) == self.rule.frames:
            victim = self.victim(frame)
            if victim is None:
                self.previous = frame
                return
            self.staying.remove(victim)
        frame.permanent = permanent
        self.staying.append(frame)


class PlainEvenlySpread(PlainBudget):
    def wanted(self, frame, given):
        chosen = [round(i * LENGTH / self.rule.frames) for i in range(self.rule.frames)]
        return frame.number in chosen


class PlainFifo(PlainBudget):
    pass


class PlainAnnotated(PlainBudget):
    def wanted(self, frame, given):
        return given or super().wanted(frame, given)

    def for_ever(self, given, new_object):
        return given


class PlainRandomFrame(PlainBudget):
    def victim(self, frame):
        frames = self.may_go()
        return frames[
            int(np.float32(DRAWS[self.rule.seed][frame.number]) * np.float32(len(frames)))
        ]


class PlainReservoir(PlainBudget):
    def victim(self, frame):
        frames, turn = self.may_go(), frame.number // self.rule.every
        index = int(np.float32(DRAWS[self.rule.seed][frame.number]) * np.float32(turn))
        return frames[index] if index < len(frames) else None


class PlainConfident(PlainBudget):
    def wanted(self, frame, given):
        certainty = [self.history.certainty[frame.number, o] for o in frame.objects]
        visible = [c for c in certainty if c > 0]
        enough = bool(visible) and np.mean(visible) >= self.rule.threshold
        return super().wanted(frame, given) and enough


class PlainLeastUsed(PlainBudget):
    def victim(self, frame):
        return min(self.may_go(), key=lambda f: (np.mean(f.received), f.number))


class PlainUcb(PlainBudget):
    def before(self, frame):
        total = sum(f.received[-1] for f in self.staying)
        for kept in self.staying:
            now = kept.received[-1] / total
            old, momentum = kept.relevance, self.rule.momentum
            kept.relevance = now if old is None else (1 - momentum) * old + momentum * now
            kept.times += 1

    def victim(self, frame):
        times = {f.number: len(self.staying) if f.permanent else f.times for f in self.staying}
        total = sum(times.values())

        def score(kept):
            freshness = math.sqrt(math.log(total) / (times[kept.number] + self.rule.offset))
            return kept.relevance + self.rule.weight * freshness

        return min(self.may_go(), key=lambda f: (score(f), f.number))


class PlainDiverse(PlainBudget):
    def alike(self, one: Frame, other: Frame) -> float:
        earlier, later = sorted((one, other), key=lambda f: f.number)
        cosines = []
        for o in set(one.objects) & set(other.objects):
            old = earlier.key[o].reshape(-1, earlier.key.shape[-1]).astype(np.float64)
            new = later.key[o].reshape(-1, later.key.shape[-1]).astype(np.float64)
            best = [
                max(range(len(old)), key=lambda p, q=q: old[p] @ new[q]) for q in range(len(new))
            ]
            fitting = old[best].ravel()
            norms = np.linalg.norm(fitting) * np.linalg.norm(new)
            cosines.append(fitting @ new.ravel() / norms)
        return float(np.mean(cosines)) if cosines else 0.0

    def wanted(self, frame, given):
        if not super().wanted(frame, given):
            return False
        first = min(self.staying, key=lambda f: f.number, default=None)
        return first is not None and self.alike(first, frame) > self.rule.bound

    def determinant(self, frames):
        gram = [[1.0 if a is b else self.alike(a, b) for b in frames] for a in frames]
        return abs(np.linalg.det(gram))

    def victim(self, frame):
        if frame.number % self.rule.every != 0:
            return None
        with_it = {
            f.number: self.determinant([frame if g is f else g for g in self.staying])
            for f in self.may_go()
        }
        best = max(self.may_go(), key=lambda f: with_it[f.number])
        return best if with_it[best.number] >= self.determinant(self.staying) else None


PLAIN = {
    EveryNth(3): PlainEveryNth,
    Previous(): PlainPrevious,
    First(2): PlainFirst,
    First(3, previous=True): PlainFirst,
    EvenlySpread(16): PlainEvenlySpread,
    Fifo(4, every=3): PlainFifo,
    Annotated(5, every=3): PlainAnnotated,
    Recent(3, given=2): PlainRecent,
    RandomFrame(4, every=2, seed=3): PlainRandomFrame,
    Reservoir(4, every=2, seed=3): PlainReservoir,
    Confident(4, every=2, threshold=0.75): PlainConfident,
    LeastUsed(4, every=2): PlainLeastUsed,
    Ucb(4, every=2): PlainUcb,
    Diverse(4, every=2, bound=0.3): PlainDiverse,
}


@pytest.mark.parametrize("rule", PLAIN, ids=lambda rule: type(rule).__name__)
def test_rules_decide_as_their_definitions(rule: FrameRule):
    histories = draw()
    read, (numbers, permanent, filled) = run(rule, histories)
    found = remembered(numbers, filled)
    for index in range(len(found)):
        plain = PLAIN[rule](rule, jax.tree.map(lambda array, i=index: array[i], histories))
        expected = [plain.go_on(t) for t in range(LENGTH)]
        assert found[index] == expected, f"history {index}"
    check_permanent_frames(rule, numbers, permanent)
    assert np.isfinite(read).all() and (read[:, :, 2] == 0).all()  # the padded object

    if hasattr(rule, "frames"):  # the order of slots decides nothing
        shuffle = np.random.default_rng(1).random(histories.shuffle.shape, np.float32)
        shuffled = run(rule, histories._replace(shuffle=shuffle))
        assert remembered(shuffled[1][0], shuffled[1][2]) == found
        assert (shuffled[1][0] != numbers).any()
        np.testing.assert_allclose(shuffled[0], read, atol=1e-5)


def check_permanent_frames(rule, numbers, permanent):
    """No frame that is permanent is ever dropped; the first frame is, where it can be."""
    for of_history, is_permanent in zip(numbers, permanent, strict=True):
        for_ever: set[int] = set()
        for slots, never in zip(of_history, is_permanent, strict=True):
            assert for_ever <= set(slots[never].tolist())
            for_ever = set(slots[never].tolist())
            assert 0 in for_ever or isinstance(rule, EveryNth | Previous)


def test_of_equal_scores_the_oldest_frame_goes():
    numbers = jnp.array([9, 6, 0, 3, -1])
    places = Places(numbers, jnp.array([False, False, True, False, False]))
    score = np.array([2, 1, 0, 1, 0], np.float32)
    assert int(places.lowest(jnp.asarray(score))) == 3
    assert int(places.lowest(jnp.zeros(5))) == 3
    assert [int(places.by_age(jnp.int32(i))) for i in range(3)] == [3, 1, 0]


ROOM_FOR_ALL = [
    Fifo(9, every=3),
    Annotated(9, every=3),
    RandomFrame(9, every=3),
    Reservoir(9, every=3),
    Confident(9, every=3, threshold=0),
    LeastUsed(9, every=3),
    Ucb(9, every=3),
    Diverse(9, every=3, bound=-1),
]


@pytest.mark.parametrize("rule", ROOM_FOR_ALL, ids=lambda rule: type(rule).__name__)
def test_with_room_for_all_a_rule_is_the_plain_rule(rule):
    histories = draw(late=False)
    read, (numbers, _, filled) = run(rule, histories)
    plain_read, (plain_numbers, _, plain_filled) = run(EveryNth(3), histories)
    assert remembered(numbers, filled) == remembered(plain_numbers, plain_filled)
    np.testing.assert_allclose(read, plain_read, atol=1e-6)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Fifo(1), "room for 2 frames at least"),
        (lambda: Fifo(5, every=0), "every must be at least 1, not 0"),
        (lambda: First(0), "the first frame needs room"),
        (lambda: EvenlySpread(1), "room for 2 frames at least"),
        (lambda: Recent(0), "not n = 0 and given = 4"),
        (lambda: Recent(2, given=0), "not n = 2 and given = 0"),
        (lambda: Annotated(1), "room for 2"),
        (lambda: RandomFrame(1), "room for 2"),
        (lambda: Reservoir(1), "room for 2"),
        (lambda: Confident(threshold=1.5), "within 0 and 1"),
        (lambda: LeastUsed(1), "room for 2"),
        (lambda: Ucb(offset=-1), "weight and offset must be at least 0"),
        (lambda: Ucb(momentum=2), "momentum must be within 0 and 1"),
        (lambda: Diverse(bound=1), "the bound of a cosine"),
    ],
)
def test_knobs_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message) as refused:
        make()
    assert "\n" not in str(refused.value)
