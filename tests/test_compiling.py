"""A long compilation says so, and a short one nothing."""

import time

import numpy as np
import pytest

import stm_jax
from stm_jax import compiling
from stm_jax.infer import segmenter
from tests.lively import clip, lively_model


@pytest.mark.parametrize(("seconds", "lines"), [(0.0, 0), (0.3, 1)])
def test_a_line_is_said_once_it_takes_long(monkeypatch, seconds, lines):
    monkeypatch.setattr(compiling, "SECONDS", 0.1)
    said: list[str] = []
    with compiling.telling_of_long_compiles("two objects", said.append):
        time.sleep(seconds)
    time.sleep(0.2)
    assert len(said) == lines and all("compiling for two objects" in line for line in said)


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
