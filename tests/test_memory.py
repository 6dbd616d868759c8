"""What is in memory when, and that preallocated slots give what plain lists would."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stm_jax.infer.segmenter import Segmenter
from stm_jax.memory.bank import (
    CAPACITIES,
    OBJECT_COUNTS,
    MemoryBank,
    empty_bank,
    room_for_objects,
    round_up,
)
from stm_jax.memory.protocol import candidate_of
from stm_jax.memory.rules.every_nth import EveryNth
from stm_jax.nn.model import Model
from stm_jax.nn.stm import STM, decode, memorize, query
from tests.lively import IDS, clip, first_mask, lively_model


@functools.partial(jax.jit, static_argnames="rule")
def remember(rule: EveryNth, bank: MemoryBank, number: int, present: np.ndarray) -> MemoryBank:
    """Writes a frame whose key is its number and whose value is minus its number."""
    key = jnp.full((bank.keys.shape[0], 1, 1, 1), number, jnp.float32)
    planes = jnp.zeros((bank.keys.shape[0], 16, 16))
    given, length = jnp.asarray(number == 0), jnp.int32(0)
    return rule.write(bank, candidate_of(key, -key, planes, number, present, given, length))


def in_memory(bank: MemoryBank, of_object: int = 0) -> list[int]:
    """Returns the numbers of the frames that an object has in memory, ascending."""
    filled = np.asarray(bank.filled)[of_object]
    numbers = np.asarray(bank.frame_numbers)[filled].tolist()
    np.testing.assert_array_equal(np.asarray(bank.keys)[of_object, filled].ravel(), numbers)
    np.testing.assert_array_equal(-np.asarray(bank.values)[of_object, filled].ravel(), numbers)
    return sorted(numbers)


def memories(rule: EveryNth, slots: int, length: int) -> list[list[int]]:
    """Returns what is in memory while frame 1, 2, ... length - 1 is segmented."""
    bank, seen = empty_bank((1, slots, 1, 1), (1, 1), jnp.float32), []
    for number in range(length - 1):
        bank = remember(rule, bank, number, np.ones(1, bool))
        seen.append(in_memory(bank))
    return seen


def test_every_third_frame_stays_and_the_previous_one_is_there_once():
    assert memories(EveryNth(3), slots=4, length=9) == [
        [0],  # while frame 1 is segmented
        [0, 1],
        [0, 2],
        [0, 3],
        [0, 3, 4],
        [0, 3, 5],
        [0, 3, 6],
        [0, 3, 6, 7],  # while frame 8 is segmented
    ]


@pytest.mark.parametrize("n, length", [(1, 9), (2, 16), (5, 27), (5, 26), (7, 7), (40, 9)])
def test_a_capacity_for_the_clip_loses_nothing(n, length):
    rule = EveryNth(n)
    seen = memories(rule, rule.slots_for(length), length)
    for t, memory in enumerate(seen, start=1):
        assert memory == sorted({*range(0, t, n), t - 1})
    peak = max(len(memory) for memory in seen)
    assert rule.slots_for(length) - peak in (0, 1)  # one to spare if the previous frame stays


def test_a_davis_clip_of_104_frames_peaks_at_22():
    rule = EveryNth(5)
    seen = memories(rule, rule.slots_for(104), 104)
    assert rule.slots_for(104) == 22 == max(len(memory) for memory in seen)
    assert seen[-1] == [*range(0, 101, 5), 102]


def test_a_full_memory_drops_the_oldest_but_the_first():
    assert memories(EveryNth(2), slots=4, length=11) == [
        [0],
        [0, 1],
        [0, 2],
        [0, 2, 3],
        [0, 2, 4],
        [0, 2, 4, 5],
        [0, 4, 6],  # frame 2 gave way
        [0, 4, 6, 7],
        [0, 6, 8],
        [0, 6, 8, 9],
    ]


def test_the_smallest_memories_keep_the_first_frame():
    assert memories(EveryNth(2), 2, 7) == [[0], [0, 1], [0, 2], [0, 3], [0, 4], [0, 5]]
    three = memories(EveryNth(2), 3, 7)
    assert three == [[0], [0, 1], [0, 2], [0, 2, 3], [0, 4], [0, 4, 5]]


@pytest.mark.parametrize(
    "n, frames, kept, slots", [(5, 1, 1, 2), (5, 5, 1, 2), (5, 6, 2, 2), (5, 7, 2, 3), (1, 4, 4, 4)]
)
def test_slots_for_a_clip(n, frames, kept, slots):
    assert EveryNth(n).kept(frames) == kept
    assert EveryNth(n).slots_for(frames) == slots


def test_every_zeroth_frame_is_refused():
    with pytest.raises(ValueError, match="n must be at least 1, not 0"):
        EveryNth(0)


def test_sizes_are_rounded_up():
    assert [round_up(count, (2, 4, 7)) for count in (1, 2, 3, 7, 8, 14, 15)] == [
        *(2, 2, 4, 7),
        *(14, 14, 21),  # multiples of the largest
    ]
    assert round_up(22, CAPACITIES) == 24 and round_up(1, OBJECT_COUNTS) == 1


def test_a_late_object_has_no_earlier_frames():
    rule, bank = EveryNth(2), empty_bank((1, 4, 1, 1), (1, 1), jnp.float32)
    for number in range(3):
        bank = remember(rule, bank, number, np.array([True]))
    bank = room_for_objects(bank, 3)
    assert bank.keys.shape == (3, 4, 1, 1, 1) and bank.values.shape == (3, 4, 1, 1, 1)
    assert in_memory(bank, 0) == [0, 2] and in_memory(bank, 1) == []
    bank = remember(rule, bank, 3, np.array([True, True, False]))
    assert in_memory(bank, 0) == [0, 2, 3] and in_memory(bank, 1) == [3]
    bank = remember(rule, bank, 4, np.array([True, True, False]))
    assert in_memory(bank, 0) == [0, 2, 4] and in_memory(bank, 1) == [4]
    assert in_memory(bank, 2) == []


def segment_with_lists(model: Model, frames: np.ndarray, mask: np.ndarray, n: int) -> np.ndarray:
    """STM as the paper tells it: an unbounded list as memory, the rest in NumPy's float64."""
    network = STM(model.config)
    remember = jax.jit(functools.partial(memorize, network))
    ask = jax.jit(functools.partial(query, network))
    predict = jax.jit(functools.partial(decode, network))
    height, width = mask.shape
    rows, columns = -height % 16, -width % 16
    edges = (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)
    inside = np.s_[:, edges[0][0] : edges[0][0] + height, edges[1][0] : edges[1][0] + width]
    padded = np.pad(frames / 255, [(0, 0), *edges, (0, 0)]).astype(np.float32)

    masks = np.stack([mask == i for i in IDS]).astype(np.float64)
    answers = [np.concatenate([1 - masks.sum(0, keepdims=True), masks])]
    staying: list[tuple[np.ndarray, np.ndarray]] = []
    for t in range(1, len(frames)):
        planes = np.pad(masks, [(0, 0), *edges])
        others = np.clip(planes.sum(0) - planes, 0, 1)
        previous = remember(
            model.variables,
            padded[t - 1][None],
            planes[None].astype(np.float32),
            others[None].astype(np.float32),
        )
        previous = tuple(np.asarray(a[0], np.float64) for a in previous)
        memory = [*staying, previous]
        if (t - 1) % n == 0:
            staying = memory
        asking, skips = ask(model.variables, padded[t][None])
        asking_key, asking_value = (np.asarray(a[0]) for a in (asking.key, asking.value))
        read = []
        for o in range(len(IDS)):
            keys = np.concatenate([key[o].reshape(-1, key.shape[-1]) for key, _ in memory])
            values = np.concatenate([value[o].reshape(-1, value.shape[-1]) for _, value in memory])
            scores = asking_key @ keys.T / np.sqrt(keys.shape[1])
            weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
            weights /= weights.sum(axis=-1, keepdims=True)
            read.append(np.concatenate([weights @ values, asking_value], axis=-1))
        log_odds = predict(model.variables, np.stack(read)[None].astype(np.float32), skips)[0]
        p = 1 / (1 + np.exp(-np.asarray(log_odds, np.float64)[inside]))
        every = np.concatenate([np.prod(1 - p, axis=0, keepdims=True), p]).clip(1e-7, 1 - 1e-7)
        odds = every / (1 - every)
        answers.append(odds / odds.sum(axis=0))
        masks = answers[-1][1:]
    return np.stack(answers)


def test_slots_give_what_an_unbounded_list_gives():
    frames, mask = clip(9), first_mask()
    expected = segment_with_lists(lively_model(), frames, mask, n=3)
    found = Segmenter(lively_model(), memorize_every=3).segment(frames, mask, soft=True)
    np.testing.assert_allclose(found, expected, atol=1e-4)  # float32, fed back eight times
    assert len(np.unique(found[-1].argmax(axis=0))) > 2  # so that the comparison means something
