"""Work beside the main thread: in order, bounded, and its errors are told in their turn."""

import contextlib
import threading
import time

import pytest

from stm_jax.runtime.beside import AHEAD, BEHIND, ahead, behind


def test_items_come_in_order_and_few_are_made_ahead():
    made = []

    def items():
        for number in range(20):
            made.append(number)
            yield number

    taken = []
    for number in ahead(items()):
        taken.append(number)
        time.sleep(0.002)
        assert len(made) <= len(taken) + AHEAD
    assert taken == list(range(20))


def test_an_error_of_the_items_comes_after_those_before_it():
    def items():
        yield 1
        yield 2
        raise ValueError("the third")

    taken = []
    with pytest.raises(ValueError, match="the third"):
        taken.extend(ahead(items()))  # extend keeps what came before
    found = ahead(items())
    assert [next(found), next(found)] == [1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(found)


def test_no_thread_stays_when_the_items_are_left():
    before = threading.active_count()
    with contextlib.closing(ahead(iter(range(100)))) as coming:
        next(coming)
    assert threading.active_count() == before


def test_calls_are_made_in_order_and_all_of_them_even_when_interrupted():
    made = []

    def call(number):
        time.sleep(0.002)
        made.append(number)

    with pytest.raises(KeyboardInterrupt), behind(call) as later:
        for number in range(10):
            later(number)
            assert number - len(made) <= BEHIND
        raise KeyboardInterrupt
    assert made == list(range(10))


def test_an_error_of_a_call_stops_the_one_who_calls():
    def full(number):
        if number == 3:
            raise OSError("no space left")

    called = 0
    with pytest.raises(OSError, match="no space left"), behind(full) as later:
        for number in range(100):
            later(number)
            called += 1
    assert called <= 3 + 1 + BEHIND
    with pytest.raises(OSError, match="no space left"), behind(full) as later:
        later(3)
