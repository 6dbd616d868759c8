"""Signals end every command soon, with one line; and children end with their parent."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import PROJECT
from tests.made_inputs import made_inputs

SECONDS = 5.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SLOW = """
import sys, time
from stm_jax.cli import main
from stm_jax.infer.segmenter import Segmenter
step = Segmenter.step
def slow(self, frame):
    print("step", file=sys.stderr, flush=True)
    time.sleep(0.3)
    return step(self, frame)
Segmenter.step = slow
sys.exit(main())
"""
COMPILING = """
import ctypes, sys
from stm_jax.cli import main
from stm_jax.infer.segmenter import Segmenter
def compile(self, *_, **__):
    print("step", file=sys.stderr, flush=True)
    # Like XLA it does not come back to Python; unlike sleep, no signal ends this.
    lock = ctypes.CDLL(None)
    while True:
        lock.sleep(60)
Segmenter.step = compile
sys.exit(main())
"""
SCORING = """
import sys, time
import stm_jax.eval.scoring as scoring
from stm_jax.cli import main
def slow(task):
    print("step", file=sys.stderr, flush=True)
    time.sleep(1.0)
    raise SystemError("not reached before the signal")
scoring.score_frames = slow
sys.exit(main())
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> pathlib.Path:
    return made_inputs(tmp_path_factory.mktemp("inputs"), 40)


def start(program: str, *words: object) -> subprocess.Popen:
    # A test run under nohup would hand down that SIGHUP is ignored.
    heard = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
    paths = os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", heard + program, *map(str, words)],
        env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_until(process: subprocess.Popen, word: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if word in line:
            return
    pytest.fail("it ended before")


def ends_in_time(process: subprocess.Popen, number: int) -> list[str]:
    """Sends a signal, and returns the lines of the program once it has ended in order."""
    begun = time.monotonic()
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    taken = time.monotonic() - begun
    assert process.returncode == 130 and taken < SECONDS, (process.returncode, taken, told)
    assert "Traceback" not in told
    return [line for line in told.splitlines() if line.startswith("stm-jax: ")]


def segment(inputs: pathlib.Path, out: pathlib.Path) -> list[object]:
    given = ["segment", inputs / "video.mp4", "--mask", inputs / "mask.png", "--out", out]
    return [*given, "--weights", inputs / "tiny.safetensors"]


@pytest.mark.parametrize("number", SIGNALS)
def test_segment_stops_between_frames(inputs, tmp_path, number):
    process = start(SLOW, *segment(inputs, tmp_path / "out"))
    for _ in range(3):  # the first of them compiles
        read_until(process, "step")
    (line,) = ends_in_time(process, number)
    assert "frames are done and kept" in line
    assert len(list((tmp_path / "out" / "masks").glob("*.png"))) >= 2


def test_a_command_that_does_not_come_back_is_ended(inputs, tmp_path):
    process = start(COMPILING, *segment(inputs, tmp_path / "out"))
    read_until(process, "step")
    (line,) = ends_in_time(process, signal.SIGTERM)
    assert "same command again" in line


def test_nohup_is_heeded(inputs, tmp_path):
    program = "signal.signal(signal.SIGHUP, signal.SIG_IGN)" + SLOW
    process = start(program, *segment(inputs, tmp_path / "out"))
    read_until(process, "step")
    process.send_signal(signal.SIGHUP)
    for _ in range(4):
        read_until(process, "step")
    ends_in_time(process, signal.SIGTERM)


@pytest.mark.parametrize("number", SIGNALS)
def test_evaluate_stops(inputs, number):
    truth = inputs / "davis/Annotations/480p"
    words = ["evaluate", truth, "--dataset", inputs / "davis", "--protocol", "davis2017"]
    process = start(SCORING, *words)
    read_until(process, "step")
    assert len(ends_in_time(process, number)) == 1


LEFT = "stm-jax: stopped: nobody reads what it prints\n"
PRINTING = """
import sys
from stm_jax.cli import main
from stm_jax.commands import Evaluate
def tell(self):
    while True:
        print("a line")
Evaluate.run = tell
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["--help"], 0, ""),
        (["evaluate", "--help"], 0, ""),
        (["evaluate", "masks", "--dataset", "davis", "--protocol", "davis2017"], 130, LEFT),
    ],
    ids=["help", "help on a command", "a command"],
)
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_reader_that_leaves_is_no_error(words, status, told, unbuffered):
    """As in `stm-jax --help | head`."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-c", PRINTING, *words],
            env=os.environ | {"PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": unbuffered},
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (status, told)


CHILDREN = """
import concurrent.futures, multiprocessing, os, time
from stm_jax.processes import end_with_parent
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(2, context, end_with_parent)
    at_work = [pool.submit(time.sleep, 0.5) for _ in range(2)]
    for each in at_work:  # one that is still being started would complain
        each.result()
    print(*(each.pid for each in multiprocessing.active_children()), flush=True)
    jobs = [pool.submit(time.sleep, 60) for _ in range(6)]
    time.sleep(60)
"""


def is_there(process: int) -> bool:
    try:
        state = pathlib.Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return state.rpartition(")")[2].split()[0] not in "ZX"


@pytest.mark.skipif(not pathlib.Path("/proc/self/stat").exists(), reason="reads Linux's /proc")
def test_children_end_with_a_parent_that_is_killed(tmp_path):
    (tmp_path / "program.py").write_text(CHILDREN)
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py")],
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None and parent.stderr is not None
    children = [int(word) for word in parent.stdout.readline().split()]
    assert children and all(map(is_there, children))
    parent.kill()
    parent.wait()
    ends = time.monotonic() + 60  # of jobs that take three minutes
    while any(map(is_there, children)) and time.monotonic() < ends:
        time.sleep(0.02)
    assert not any(map(is_there, children))
    assert "Traceback" not in parent.stderr.read()
    parent.stdout.close()
