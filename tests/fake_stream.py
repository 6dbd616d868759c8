"""A `Segmenter` without a network: its answers are drawn by a hash of all that it was ever given.

So two streams answer the same if, and only if, they were given the same in the same order.
"""

import hashlib

import numpy as np


class FakeSegmenter:
    """Has of a `Segmenter` what a session asks of it."""

    def __init__(self, *arguments, **options):
        self.object_ids: tuple[int, ...] = ()
        self.history = b""
        self.steps = 0
        self.kept_frames = (0,)

    def _note(self, *what) -> None:
        parts = [each.tobytes() if isinstance(each, np.ndarray) else repr(each) for each in what]
        parts = [each.encode() if isinstance(each, str) else each for each in parts]
        self.history = hashlib.sha256(b"|".join([self.history, *parts])).digest()

    def start(self, frame, mask, *, length, object_ids):
        assert set(np.unique(mask)) - {0} <= set(object_ids)
        self.history, self.object_ids, self.steps = b"", tuple(object_ids), 0
        self._note("start", frame, mask, length, self.object_ids)

    def pin(self, frame, mask, number, objects):
        told = sorted(set(objects))
        assert set(np.unique(mask)) - {0} <= set(told) <= set(self.object_ids)
        self._note("pin", frame, mask, number, told)

    def step(self, frame, *, soft):
        assert soft
        self.steps += 1
        self._note("step", frame)
        seed = int.from_bytes(hashlib.sha256(self.history).digest()[:8])
        shape = (1 + len(self.object_ids), *frame.shape[:2])
        scores = np.random.default_rng(seed).normal(0, 3, shape).astype(np.float32)
        weights = np.exp(scores)
        return weights / weights.sum(axis=0)

    def correct(self, frame, mask, objects):
        self.object_ids += tuple(sorted(set(objects) - set(self.object_ids)))
        self._note("correct", frame, mask, sorted(objects))

    def state_arrays(self):
        ids = np.array(self.object_ids, np.uint8)
        return {"history": np.frombuffer(self.history, np.uint8), "object_ids": ids}

    def restore(self, arrays):
        self.history = arrays["history"].tobytes()
        self.object_ids = tuple(arrays["object_ids"].tolist())
