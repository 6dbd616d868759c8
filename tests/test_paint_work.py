"""The page's one worker: one piece of work at a time, told of, stopped, never left hanging."""

import threading
import time

import pytest

from stm_jax.errors import InputError
from stm_jax.paint.work import Work, Worker


def ended(worker: Worker) -> None:
    deadline = time.monotonic() + 20
    while worker.progress is not None:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_it_stops_after_the_step_in_work():
    seen, closed, may_go = [], threading.Event(), threading.Semaphore(0)

    def count():
        try:
            for step in range(1000):
                may_go.acquire()
                seen.append(step)
                worker.step()
        finally:
            closed.set()

    worker = Worker(lambda: None)
    worker.begin(Work("counting", 1000, count))
    with pytest.raises(InputError, match="counting"):
        worker.begin(Work("other", 0, count), instead=True)
    may_go.release()
    while not seen:
        time.sleep(0.001)
    worker.stop()
    may_go.release(500)
    ended(worker)
    assert len(seen) <= 2 and closed.is_set() and worker.error == ""


def test_work_takes_the_place_of_its_own_kind():
    seen, may_go, ended_at = [], threading.Semaphore(0), []

    def look(name: str):
        def run():
            for step in range(3):
                may_go.acquire()
                seen.append((name, step))
                worker.step()
            ended_at.append(name)

        return Work("looking", 0, run)

    worker = Worker(lambda: None)
    worker.begin(look("first"))
    worker.begin(look("second"), instead=True)
    worker.begin(look("third"), instead=True)
    may_go.release(4)
    ended(worker)
    assert seen == [("first", 0), ("third", 0), ("third", 1), ("third", 2)]
    assert ended_at == ["third"] and worker.error == ""
    worker.begin(look("fourth"))
    worker.begin(look("fifth"), instead=True)
    worker.stop()  # and what waits is dropped as well
    may_go.release(9)
    ended(worker)
    assert seen[4:] == [("fourth", 0)]


def test_what_goes_wrong_is_told_and_the_next_work_is_done(capfd):
    def wrong():
        worker.step()
        raise RuntimeError("broken")

    told, done = [], []
    worker = Worker(lambda: told.append(worker.progress))
    worker.begin(Work("failing", 3, wrong))
    ended(worker)
    assert "broken" in worker.error and told[-1] is None
    assert [each.done for each in told[:-1]] == [0, 1]
    worker.begin(Work("working", 1, lambda: done.append(1)))
    ended(worker)
    assert done and worker.error == ""
    assert "RuntimeError" in capfd.readouterr().err
