"""A long compilation says so, and a short one nothing."""

import queue
import threading

import numpy as np

import stm_jax
from stm_jax import compiling
from stm_jax.infer import segmenter
from tests.lively import clip, lively_model


def test_a_line_is_said_once_it_takes_long(monkeypatch):
    monkeypatch.setattr(compiling, "SECONDS", 0.01)
    said: queue.Queue[str] = queue.Queue()
    with compiling.telling_of_long_compiles("two objects", said.put):
        assert "compiling for two objects" in said.get(timeout=60)
    wait_for_timers()
    assert said.empty()


def test_nothing_is_said_if_it_takes_short():
    said: list[str] = []
    with compiling.telling_of_long_compiles("two objects", said.append):
        pass
    wait_for_timers()  # 5 seconds, were it not called off
    assert said == []


def wait_for_timers() -> None:
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join()


def test_a_segmenter_tells_of_the_first_call_of_each_program(monkeypatch):
    told: list[str] = []

    def telling(what: str) -> compiling.contextlib.nullcontext:
        told.append(what)
        return compiling.contextlib.nullcontext()

    monkeypatch.setattr(segmenter, "telling_of_long_compiles", telling)
    frames, mask = clip(4, 32, 48), np.ones((32, 48), np.uint8)
    stream = stm_jax.Segmenter(lively_model())
    stream.start(frames[0], mask)
    for frame in frames[1:]:
        stream.step(frame)
    assert told == ["48x32, objects: 1"] * 2  # to begin, and the first step
