"""HOTA against its definition, one mask, one threshold and one way to match after the other."""

import itertools
import math

import numpy as np
import pytest

from stm_jax.eval.hota import THRESHOLDS, Frame, hota, matches_of


def slow_hota(sequences: list[tuple[list[Frame], int, int]]) -> tuple[float, float, float]:
    """Returns HOTA, DetA and AssA as Luiten et al. define them, means over the thresholds."""
    values = []
    for threshold in THRESHOLDS:
        found = missed = wrong = associated = 0.0
        for frames, true_tracks, predicted_tracks in sequences:
            pairs = slow_matches(frames, true_tracks, predicted_tracks, threshold)
            found += len(pairs)
            missed += sum(len(frame.true) for frame in frames) - len(pairs)
            wrong += sum(len(frame.predicted) for frame in frames) - len(pairs)
            for true, predicted in pairs:  # A(c) of each true positive c
                both = pairs.count((true, predicted))
                either = sum((true in f.true) + (predicted in f.predicted) for f in frames) - both
                associated += both / either
        detection = found / (found + missed + wrong) if found else 0.0
        association = associated / found if found else 0.0
        values.append((math.sqrt(detection * association), detection, association))
    return tuple(np.mean(values, axis=0).tolist())


def slow_matches(frames, true_tracks, predicted_tracks, threshold) -> list[tuple[int, int]]:
    agreement = np.zeros((true_tracks, predicted_tracks))
    for i, k in itertools.product(range(true_tracks), range(predicted_tracks)):
        alike = 0.0
        for frame in frames:
            if i in frame.true and k in frame.predicted:
                row, column = frame.true.index(i), frame.predicted.index(k)
                one = frame.similarity[row, column]
                others = frame.similarity[row].sum() + frame.similarity[:, column].sum() - one
                alike += one / others if others else 0.0
        length = sum((i in f.true) + (k in f.predicted) for f in frames)
        agreement[i, k] = alike / (length - alike) if alike else 0.0
    pairs = []
    for frame in frames:
        rows, columns = range(len(frame.true)), range(len(frame.predicted))
        few = min(len(rows), len(columns))
        ways = [
            list(zip(some, others, strict=True))
            for some in itertools.combinations(rows, few)
            for others in itertools.permutations(columns, few)
        ]

        def worth(way, frame=frame):
            return sum(
                agreement[frame.true[r], frame.predicted[c]] * frame.similarity[r, c]
                for r, c in way
            )

        best = max(ways, key=worth)
        pairs += [
            (frame.true[r], frame.predicted[c])
            for r, c in best
            if frame.similarity[r, c] >= threshold - 1e-12
        ]
    return pairs


def history(rng: np.random.Generator) -> tuple[list[Frame], int, int]:
    true_tracks, predicted_tracks = (int(n) for n in rng.integers(1, 4, 2))
    frames = []
    for _ in range(int(rng.integers(1, 6))):
        true = tuple(np.flatnonzero(rng.random(true_tracks) < 0.7).tolist())
        predicted = tuple(np.flatnonzero(rng.random(predicted_tracks) < 0.7).tolist())
        # No two ways to match are equally good: they would be chosen by chance.
        frames.append(Frame(true, predicted, rng.random((len(true), len(predicted)))))
    return frames, true_tracks, predicted_tracks


def test_hota_is_as_defined_on_200_histories():
    rng = np.random.default_rng(0)
    for _ in range(100):
        sequences = [history(rng), history(rng)]
        measured = hota([matches_of(*each) for each in sequences])
        expected = slow_hota(sequences)
        assert (measured.hota, measured.detection, measured.association) == pytest.approx(
            expected, abs=1e-12
        )


def same(shown: list[list[int]]) -> list[Frame]:
    return [Frame(tuple(s), tuple(s), np.eye(len(s))) for s in shown]


def test_what_is_right_is_1_and_what_is_missing_is_0():
    right = hota([matches_of(same([[0, 1], [], [1]]), 2, 2)])
    assert (right.hota, right.detection, right.association) == (1.0, 1.0, 1.0)
    lost = [Frame((0,), (), np.zeros((1, 0)))] * 3
    assert hota([matches_of(lost, 1, 1)]).hota == 0.0
    half = hota([matches_of(same([[0]] * 3), 1, 1), matches_of(lost, 1, 1)])
    assert (half.hota, half.detection, half.association) == pytest.approx(
        (math.sqrt(0.5), 0.5, 1.0)
    )


def test_a_swap_of_two_tracks_costs_association_alone():
    swap = np.eye(2)[::-1]
    frames = same([[0, 1]] * 2) + [Frame((0, 1), (0, 1), swap)] * 2
    measured = hota([matches_of(frames, 2, 2)])
    assert measured.detection == 1.0
    assert measured.association == pytest.approx(2 / 6)  # 2 of the 6 masks of either track


def test_a_similarity_that_is_just_the_threshold_counts():
    frames = [Frame((0,), (0,), np.array([[0.5]]))]
    assert hota([matches_of(frames, 1, 1)]).hota == pytest.approx(10 / 19)
