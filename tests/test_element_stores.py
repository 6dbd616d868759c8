"""XMem's, AFB-URR's and SwiftNet's stores against plain lists, on 200 random histories."""

import abc

import jax
import numpy as np
import pytest

from stm_jax.errors import InputError
from stm_jax.memory.rules.every_nth import EveryNth
from stm_jax.memory.stores.afb_urr import AfbUrr
from stm_jax.memory.stores.swiftnet import SwiftNet
from stm_jax.memory.stores.xmem import XMem
from tests.histories import KEY, LENGTH, POSITIONS, SIZE, VALUE, Histories, draw, run

XMEM = XMem(every=2, fewest_frames=2, most_frames=4, prototypes=4, elements=9)
AFB_URR = AfbUrr(threshold=0.8, rate=0.3, elements=10)
SWIFTNET = SwiftNet(every=2, share=0.5, updates=3)


class Element:
    """A position in memory."""

    def __init__(self, key: np.ndarray, value: np.ndarray, born: int) -> None:
        self.key, self.value, self.born = key.astype(float), value.astype(float), born
        self.mass: list[float] = []

    @property
    def usage(self) -> float:
        return float(np.mean(self.mass)) if self.mass else 0.0


def softmax(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores - scores.max())
    return weights / weights.sum()


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


class PlainStore(abc.ABC):
    """The memory of one object of one history."""

    def __init__(self, memory) -> None:
        self.memory = memory

    @abc.abstractmethod
    def everything(self) -> list[Element]:
        """Returns all that is remembered."""

    @abc.abstractmethod
    def put(self, t: int, elements: list[Element]) -> None:
        """Remembers frame t, whose elements are none where the object is not there yet."""

    def read(self, query: np.ndarray) -> np.ndarray:
        elements = self.everything()
        answer = np.zeros((POSITIONS, VALUE))
        if not elements:
            return answer
        mass = np.zeros(len(elements))
        for q, asking in enumerate(query.reshape(POSITIONS, KEY).astype(float)):
            weights = softmax(np.array([e.key @ asking for e in elements]) / np.sqrt(KEY))
            answer[q] = weights @ np.array([e.value for e in elements])
            mass += weights
        for element, received in zip(elements, mass, strict=True):
            element.mass.append(float(received))
        return answer


class PlainXMem(PlainStore):
    def __init__(self, memory):
        super().__init__(memory)
        self.previous: list[Element] = []
        self.working: list[list[Element]] = []
        self.long_term: list[Element] = []

    def everything(self):
        return [*self.previous, *(e for frame in self.working for e in frame), *self.long_term]

    def put(self, t, elements):
        self.previous = []
        if t % self.memory.every:
            self.previous = elements
            return
        self.working.append(elements)
        if len(self.working) < self.memory.most_frames:
            return
        recent = self.memory.fewest_frames - 1
        first, *rest = self.working
        cut = len(rest) - recent
        candidates = [e for frame in rest[:cut] for e in frame]
        self.working = [first, *rest[cut:]]
        chosen = sorted(candidates, key=lambda e: -e.usage)[: self.memory.prototypes]
        prototypes = []
        for one in chosen:
            weights = softmax(np.array([e.key @ one.key for e in candidates]) / np.sqrt(KEY))
            prototypes.append(Element(one.key, weights @ [e.value for e in candidates], t))
        room = self.memory.elements - len(prototypes)
        self.long_term = sorted(self.long_term, key=lambda e: -e.usage)[:room] + prototypes


class PlainAfbUrr(PlainStore):
    def __init__(self, memory):
        super().__init__(memory)
        self.bank: list[Element] = []

    def everything(self):
        return self.bank

    def put(self, t, elements):
        if not self.bank:
            self.bank = elements
            return
        came: dict[int, list[Element]] = {}
        added = []
        for new in elements:
            alike = [cosine(e.key, new.key) for e in self.bank]
            nearest = int(np.argmax(alike))
            if alike[nearest] > self.memory.threshold:
                came.setdefault(nearest, []).append(new)
            else:
                added.append(new)
        for nearest, news in came.items():
            old = self.bank[nearest]
            old.key = self.blend(old.key, [e.key for e in news])
            old.value = self.blend(old.value, [e.value for e in news])
        room = self.memory.elements - len(added)
        if len(self.bank) > room:
            self.bank.sort(key=lambda e: -sum(np.log1p(e.mass)) / (t - e.born))
            self.bank = self.bank[:room]
        self.bank = self.bank + added

    def blend(self, old, news):
        mean = np.mean([new / np.linalg.norm(new) for new in news], axis=0)
        length = np.linalg.norm(old)
        return length * ((1 - self.memory.rate) * old / length + self.memory.rate * mean)


class PlainSwiftNet(PlainStore):
    def __init__(self, memory):
        super().__init__(memory)
        self.previous: list[Element] = []
        self.first: list[Element] = []
        self.updates: list[list[Element]] = []

    def everything(self):
        return [*self.previous, *self.first, *(e for update in self.updates for e in update)]

    def put(self, t, elements):
        store = self.everything()[len(self.previous) :]
        if self.previous and not self.first:
            self.first = self.previous
        elif self.previous and (t - 1) % self.memory.every == 0:
            count = POSITIONS - int(POSITIONS * (1 - self.memory.share))
            least = sorted(self.previous, key=lambda e: max(cosine(e.key, s.key) for s in store))
            self.updates = [*self.updates, least[:count]][-self.memory.updates :]
        self.previous = elements


@pytest.mark.parametrize(
    "memory, plain",
    [(XMEM, PlainXMem), (AFB_URR, PlainAfbUrr), (SWIFTNET, PlainSwiftNet)],
    ids=["XMem", "AfbUrr", "SwiftNet"],
)
def test_stores_hold_what_their_definitions_say(memory, plain):
    histories = draw()
    room = memory.slots_for(None)  # a stream's: their stores fill up
    read, (keys, values, filled) = run(memory, histories, room)
    assert not filled[:, :, 2].any() and (read[:, :, 2] == 0).all()  # the padded object
    for index in range(len(read)):
        history = jax.tree.map(lambda array, i=index: array[i], histories)
        for o in (0, 1):
            store = plain(memory)
            for t in range(LENGTH):
                store.put(t, elements_of(history, t, o))
                expected = store.read(history.query[t]).reshape(*SIZE, VALUE)
                where = f"history {index}, object {o}, frame {t}"
                there = filled[index, t, o]
                elements = store.everything()
                assert there.sum() == len(elements), where
                for found, name in ((keys, "key"), (values, "value")):
                    ours = in_order(found[index, t, o, there])
                    theirs = in_order(np.array([getattr(e, name) for e in elements]))
                    np.testing.assert_allclose(ours, theirs, atol=1e-4, err_msg=where)
                np.testing.assert_allclose(read[index, t, o], expected, atol=1e-4, err_msg=where)


def elements_of(history: Histories, t: int, o: int) -> list[Element]:
    if not history.present[t, o]:
        return []
    key, value = history.key[t, o].reshape(-1, KEY), history.value[t, o].reshape(-1, VALUE)
    return [Element(k, v, t) for k, v in zip(key, value, strict=True)]


def in_order(rows: np.ndarray) -> np.ndarray:
    return rows[np.argsort(rows[:, 0])] if len(rows) else rows.reshape(0)


@pytest.mark.parametrize(
    "memory, n",
    [
        (XMem(every=4, fewest_frames=2, most_frames=7), 4),
        (AfbUrr(threshold=1, elements=LENGTH * POSITIONS), 1),
        (SwiftNet(every=3, share=1), 3),
    ],
    ids=["XMem", "AfbUrr", "SwiftNet"],
)
def test_with_room_for_all_a_store_is_the_plain_rule(memory, n):
    histories = draw(late=False)
    read, _ = run(memory, histories)
    np.testing.assert_allclose(read, run(EveryNth(n), histories)[0], atol=1e-6)


def test_room_for_a_video_of_known_length():
    memory = XMem()
    # Frames 0, 5, ... 45 are the tenth frame's consolidation, then one for every five more.
    assert [memory.slots_for(frames) for frames in (2, 46, 47, 71, 72, 10**6)] == [
        *(128, 128, 128, 128),
        *(256, 10_000),
    ]
    assert SwiftNet().slots_for(104) == 21 and SwiftNet(updates=5).slots_for(104) == 5
    assert AfbUrr().slots_for(104) == AfbUrr().slots_for(None) == 20_000


def test_a_bank_smaller_than_a_frame_is_refused():
    with pytest.raises(InputError, match="a frame has 12 positions and the bank room for 11"):
        AfbUrr(elements=11).empty(1, 11, (3, 4), (1, 1), np.float32)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: XMem(every=0), "every must be at least 1, not 0"),
        (lambda: XMem(fewest_frames=5, most_frames=5), "not 5 and 5"),
        (lambda: XMem(prototypes=9, elements=8), "not 9 of 8"),
        (lambda: AfbUrr(rate=2), "within 0 and 1, not 2"),
        (lambda: AfbUrr(threshold=1.1), "from -1 to 1, not 1.1"),
        (lambda: AfbUrr(elements=0), "not for 0"),
        (lambda: SwiftNet(every=0), "every must be at least 1, not 0"),
        (lambda: SwiftNet(share=0), "above 0, up to 1: 0"),
        (lambda: SwiftNet(updates=0), "1 update at least, not 0"),
    ],
)
def test_knobs_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message) as refused:
        make()
    assert "\n" not in str(refused.value)
