"""The page's one worker: one piece of work at a time, told of, stopped, never left hanging."""

import threading
import time

import pytest

from stm_jax.errors import InputError
from stm_jax.paint.work import Worker


def ended(worker: Worker) -> None:
    deadline = time.monotonic() + 20
    while worker.progress is not None:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_it_stops_after_the_step_in_work():
    seen, closed, may_go = [], threading.Event(), threading.Semaphore(0)

    def steps():
        try:
            for step in range(1000):
                may_go.acquire()
                seen.append(step)
                yield
        finally:
            closed.set()

    worker = Worker(lambda: None)
    worker.begin("counting", 1000, steps)
    with pytest.raises(InputError, match="counting"):
        worker.begin("other", 0, steps)
    may_go.release()
    while not seen:
        time.sleep(0.001)
    worker.stop()
    may_go.release(500)
    ended(worker)
    assert len(seen) <= 2 and closed.is_set()


def test_what_goes_wrong_is_told_and_the_next_work_is_done(capfd):
    def wrong():
        yield
        raise RuntimeError("broken")

    told, done = [], []
    worker = Worker(lambda: told.append(worker.progress))
    worker.begin("failing", 3, wrong)
    ended(worker)
    assert "broken" in worker.error and told[-1] is None
    assert [each.done for each in told[:-1]] == [0, 1]
    worker.begin("working", 1, lambda: iter([done.append(1)]))
    ended(worker)
    assert done and worker.error == ""
    assert "RuntimeError" in capfd.readouterr().err
