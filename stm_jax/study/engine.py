"""Who works on pieces: an executor of `concurrent.futures`, of this machine or a Dask cluster."""

import concurrent.futures
import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from stm_jax.errors import InputError
from stm_jax.processes import end_with_parent
from stm_jax.runtime.freed_memory import keep_freed_memory
from stm_jax.study.pieces import Piece
from stm_jax.study.work import Workplace, run_piece

MOST_LOSSES = 3
"""So many times a local worker may be killed before the study gives up."""
SECONDS_A_LOOK = 0.5
SECONDS_TO_CONNECT = 10

Open = Callable[[], contextlib.AbstractContextManager[concurrent.futures.Executor]]


@contextlib.contextmanager
def local(workers: int) -> Iterator[concurrent.futures.Executor]:
    """Yields processes of this machine, which end with this one."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # they may share a GPU
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(workers, context, _begin)
    try:
        yield pool
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()  # a training saves where it is
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def cluster(address: str) -> Iterator[concurrent.futures.Executor]:
    """Yields the workers of a Dask cluster; what a lost one worked on, another does again.

    Args:
        address: Of the scheduler, such as tcp://10.0.0.1:8786.

    Raises:
        InputError: dask.distributed is not installed, or there is no scheduler.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(
            "--scheduler needs dask.distributed: pip install 'stm_jax[cluster]'"
        ) from error
    try:
        client = Client(address, timeout=SECONDS_TO_CONNECT)
    except (OSError, ValueError, TypeError) as error:  # a timeout is an OSError
        raise InputError(
            f"no Dask scheduler answers at {address}: start one with `dask scheduler`, and give"
            " the address that it prints"
        ) from error
    with client:
        # Pure: pieces of a study that was killed, still being worked on, are not begun twice.
        executor = client.get_executor(pure=True)
        try:
            yield executor
        finally:
            executor.shutdown(wait=False)


def run_pieces(
    pieces: Sequence[Piece],
    place: Workplace,
    open_executor: Open,
    done: Callable[[Piece, dict[str, Any]], None],
    look: Callable[[], None],
) -> None:
    """Runs pieces, each once the piece that it needs is done.

    Args:
        pieces: Those that are not done; what they need is among them, or done.
        place: Where they are worked on.
        open_executor: Gives who works; again if its processes were killed.
        done: Called with each piece and its result, or {"failed": why}; what needs one that
            failed is left out.
        look: Called now and then.

    Raises:
        InputError: Workers were lost again and again.
    """
    waiting = {piece.key: piece for piece in pieces}
    losses = 0
    while waiting:
        try:
            with open_executor() as executor:
                _run(waiting, place, executor, done, look)
        except BrokenProcessPool as error:
            losses += 1
            if losses > MOST_LOSSES:
                raise InputError(
                    f"a worker was killed {losses} times (too little memory?): give fewer"
                    " --workers; the same command goes on with what is not done"
                ) from error


def _run(
    waiting: dict[str, Piece],
    place: Workplace,
    executor: concurrent.futures.Executor,
    done: Callable[[Piece, dict[str, Any]], None],
    look: Callable[[], None],
) -> None:
    running: dict[concurrent.futures.Future[dict[str, Any]], Piece] = {}

    def submit(pieces: Sequence[Piece]) -> None:
        running.update({executor.submit(run_piece, place, piece): piece for piece in pieces})

    submit([piece for piece in waiting.values() if piece.needs not in waiting])
    while running:
        finished, _ = concurrent.futures.wait(
            running, SECONDS_A_LOOK, concurrent.futures.FIRST_COMPLETED
        )
        for future in finished:
            piece = running.pop(future)
            result = result_of(future)
            del waiting[piece.key]
            after = [each for each in waiting.values() if each.needs == piece.key]
            if "failed" in result:
                for each in after:
                    del waiting[each.key]
            else:
                submit(after)
            done(piece, result)
        look()


def result_of(future: concurrent.futures.Future[dict[str, Any]]) -> dict[str, Any]:
    """Returns the result of what somebody worked on, or {"failed": why} if there is none."""
    try:
        return future.result()
    except BrokenProcessPool:
        raise
    except concurrent.futures.CancelledError as error:
        raise InputError(
            "the Dask scheduler is gone: start it again; the same command goes on with what is"
            " not done"
        ) from error
    except Exception as error:  # the other variants are no worse for it
        return {"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}


def _begin() -> None:
    end_with_parent()
    keep_freed_memory()
