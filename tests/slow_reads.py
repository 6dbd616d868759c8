"""Every read by its definition, one pair of positions after the other, in NumPy's float64."""

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np

Weigh = Callable[..., float]
"""Returns exp(score) times what a read makes of it; `s` is [h w slots mh mw]."""


def pairs(*sizes: int) -> Iterator[tuple[int, ...]]:
    return itertools.product(*(range(size) for size in sizes))


def dense(s, q, p, memory, expected) -> float:
    return math.exp(s[q][p]) if memory.filled[p[0]] else 0.0


def top_k(k: int) -> Weigh:
    def weigh(s, q, p, memory, expected):
        better = [o for o in pairs(*s.shape[2:]) if memory.filled[o[0]] and s[q][o] > s[q][p]]
        return dense(s, q, p, memory, expected) if len(better) < k else 0.0

    return weigh


def kernelized(sigma: float) -> Weigh:
    def weigh(s, q, p, memory, expected):
        best = max(pairs(*s.shape[:2]), key=lambda other: s[other][p])  # the first of several
        squared = (q[0] - best[0]) ** 2 + (q[1] - best[1]) ** 2
        return dense(s, q, p, memory, expected) * math.exp(-squared / (2 * sigma**2))

    return weigh


def in_box(plane: np.ndarray, place: tuple[int, int], margin: float) -> bool:
    rows, columns = np.nonzero(plane)
    if len(rows) == 0:
        return True
    row = min(max(place[0], min(rows)), max(rows))
    column = min(max(place[1], min(columns)), max(columns))
    return math.dist(place, (row, column)) <= margin


def regional(margin: float) -> Weigh:
    def weigh(s, q, p, memory, expected):
        if not memory.filled[p[0]] or not in_box(memory.region[p[0]], p[1:], margin):
            return 0.0
        return math.exp(s[q][p]) if in_box(expected, q, margin) else 1.0

    return weigh


def window(radius: int) -> Weigh:
    def weigh(s, q, p, memory, expected):
        near = max(abs(q[0] - p[1]), abs(q[1] - p[2])) <= radius
        return dense(s, q, p, memory, expected) if near else 0.0

    return weigh


def dot_product(query_key: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Returns the scores [h w slots mh mw]."""
    return np.einsum("yxc,tijc->yxtij", query_key, keys) / math.sqrt(keys.shape[-1])


def slow_read(weigh: Weigh, query_key, memory, expected, alike=dot_product):
    """Returns values [h w value] and mass [slots mh mw]."""
    arrays = (query_key, memory.keys, memory.values)
    query_key, keys, values = (np.asarray(array, np.float64) for array in arrays)
    s = alike(query_key, keys)
    read = np.zeros((*query_key.shape[:2], values.shape[-1]))
    mass = np.zeros(keys.shape[:3])
    for q in pairs(*query_key.shape[:2]):
        weights = {p: weigh(s, q, p, memory, expected) for p in pairs(*keys.shape[:3])}
        total = sum(weights.values())
        for p, weight in weights.items():
            if weight:
                read[q] += weight / total * values[p]
                mass[p] += weight / total
    return read, mass
