"""Other memories and reads in a Segmenter: they are handed over as objects."""

import dataclasses
import io

import jax
import numpy as np
import pytest

from stm_jax.errors import InputError
from stm_jax.infer import stream as steps
from stm_jax.infer.segmenter import Segmenter
from stm_jax.memory.rules.evenly_spread import EvenlySpread
from stm_jax.memory.rules.fifo import Fifo
from stm_jax.memory.rules.first import First
from stm_jax.memory.rules.least_used import LeastUsed
from stm_jax.memory.rules.recent import Recent
from stm_jax.memory.stores.swiftnet import SwiftNet
from stm_jax.memory.stores.xmem import XMem
from stm_jax.reads import Slots
from tests.lively import IDS, clip, first_mask, lively_model

FRAMES = clip(9)
MASK = first_mask()
LATE = np.zeros_like(MASK)
LATE[22:34, 20:30] = 2


def stream(segmenter: Segmenter, frames: np.ndarray, soft: bool = False) -> np.ndarray:
    first = segmenter.start(frames[0], MASK, soft=soft)
    return np.stack([first, *(segmenter.step(frame, soft=soft) for frame in frames[1:])])


@dataclasses.dataclass(frozen=True)
class FussyRead:
    """The usual read, if it is told what every read is to be told."""

    def __call__(self, query_key, memory, expected, *, with_mass):
        assert memory.region.shape == memory.keys.shape[:3]
        assert expected.shape == query_key.shape[:2]
        assert with_mass  # as the rule counts
        return Slots()(query_key, memory, with_mass=True)


def test_a_rule_with_room_for_all_is_the_plain_rule():
    plain = Segmenter(lively_model(), memorize_every=3, capacity=4)
    expected = stream(plain, FRAMES, soft=True)
    rule = LeastUsed(3, every=3)
    segmenter = Segmenter(lively_model(), memory=rule, read=FussyRead())
    np.testing.assert_allclose(stream(segmenter, FRAMES, soft=True), expected, atol=1e-6)
    assert segmenter.kept_frames == plain.kept_frames == (0, 3, 6)

    state = segmenter.state_arrays()
    assert state["bank_frame_numbers"].tolist() == [7, 0, 3, 6]
    # Frame 0 was read eight times, frame 3 five times, frame 6 twice, frame 7 once.
    assert state["bank_reads"].tolist() == [1, 8, 5, 2]
    assert 0 < state["bank_usage"].sum() < 8
    # The frame of 40x52 is padded by 4 above and 6 to the left: 3x4 positions.
    padded = np.pad(IDS[0] == MASK, [(4, 4), (6, 6)])
    cells = padded.reshape(3, 16, 4, 16).any(axis=(1, 3))
    np.testing.assert_array_equal(state["bank_region"][0, 1], cells)


@dataclasses.dataclass(frozen=True)
class EagerFirst(First):
    """Encodes every frame, whether it is written or not."""

    def may_write(self, state, given):
        return True


def test_what_is_not_written_is_not_encoded(monkeypatch):
    encoded, encode = [], steps.memorize

    def counted(*arguments):
        jax.debug.callback(lambda: encoded.append(1))
        return encode(*arguments)

    monkeypatch.setattr(steps, "memorize", counted)
    answers = []
    for rule in (First(), EagerFirst()):
        before = steps.advance._cache_size()
        segmenter = Segmenter(lively_model(), memory=rule)
        answers.append(stream(segmenter, FRAMES[:6], soft=True))
        segmenter.add_objects(FRAMES[5], LATE)  # now frame 5 is written, too
        answers[-1] = [*answers[-1], segmenter.step(FRAMES[6]), segmenter.step(FRAMES[7])]
        assert segmenter.kept_frames == (0, 5)
        assert steps.advance._cache_size() - before == 2  # soft masks, then ids of more objects
        jax.effects_barrier()
        answers[-1].append(len(encoded))
    *lazily, few = answers[0]
    *eagerly, many = answers[1]
    assert few == 2 and many - few == 7
    for lazy, eager in zip(lazily, eagerly, strict=True):
        np.testing.assert_allclose(lazy, eager, atol=1e-6)


def test_a_store_of_elements_streams_saves_and_grows():
    memory = XMem(every=1, fewest_frames=2, most_frames=4, prototypes=5, elements=12)

    def new() -> Segmenter:
        return Segmenter(lively_model(), memory=memory)

    segmenter = new()
    before = steps.advance._cache_size()
    expected = stream(segmenter, FRAMES)
    assert steps.advance._cache_size() - before == 1
    state = segmenter.state_arrays()
    filled = state["bank_elements_filled"][0]
    assert filled[: 5 * 12].sum() == 2 * 12 and filled[5 * 12 :].sum() == 12  # 3x4 positions
    assert segmenter.kept_frames == (0, 7)
    assert len(np.unique(expected[-1])) > 2  # so that what follows means something

    stream(segmenter, FRAMES[:6])
    file = io.BytesIO()
    np.savez(file, **segmenter.state_arrays())
    file.seek(0)
    other = new()
    with np.load(file, allow_pickle=False) as arrays:
        other.restore(dict(arrays))
    np.testing.assert_array_equal([other.step(frame) for frame in FRAMES[6:]], expected[6:])
    with pytest.raises(InputError, match="the saved state has no 'bank_keys'"):
        Segmenter(lively_model()).restore(other.state_arrays())

    np.testing.assert_array_equal(new().segment(FRAMES, MASK), expected)

    segmenter.add_objects(FRAMES[5], LATE)  # room for 3 objects becomes room for 5
    ids = [segmenter.step(frame) for frame in FRAMES[6:8]]
    assert 2 in np.unique(ids)
    filled = segmenter.state_arrays()["bank_elements_filled"]
    assert filled.shape[0] == 5 and filled[3].sum() == 2 * 12 and not filled[4].any()


def test_memories_with_a_bound_take_it_whatever_the_capacity():
    def arrays(memory, **options) -> dict[str, np.ndarray]:
        segmenter = Segmenter(lively_model(), memory=memory, capacity=3)
        segmenter.start(FRAMES[0], MASK, **options)
        return segmenter.state_arrays()

    assert len(arrays(Fifo(7))["bank_frame_numbers"]) == 8
    assert len(arrays(Fifo(7), length=4)["bank_frame_numbers"]) == 4
    assert len(arrays(Recent())["bank_frame_numbers"]) == 12  # 10, rounded up
    assert arrays(EvenlySpread(3), length=9)["length"] == 9
    positions, updates = 12, 8  # rounded up from 7 in a stream of 35 frames
    store = arrays(SwiftNet(updates=8, share=0.5), length=35)["bank_elements_filled"]
    assert store.shape == (3, 2 * positions + updates * 6)


def test_a_memory_that_needs_the_length_says_so():
    segmenter = Segmenter(lively_model(), memory=EvenlySpread())
    with pytest.raises(InputError, match="EvenlySpread needs the length of the video"):
        segmenter.start(FRAMES[0], MASK)


def test_the_memory_takes_what_its_shapes_say():
    frame, mask = np.zeros((32, 48, 3), np.uint8), np.eye(32, 48, dtype=np.uint8)
    segmenter = Segmenter(lively_model(), memory=First(frames=2))
    segmenter.start(frame, mask)
    config = lively_model().config
    # 4 slots, the next capacity, of 2x3 positions with key and value in float32 and a region;
    # and for each slot 2 flags and 4 numbers.
    position = 4 * (config.key_channels + config.value_channels) + 1
    assert segmenter.memory_bytes == 4 * (6 * position + 2 * 1 + 4 * 4)
