"""Kills commands at random moments, takes what a power cut would take, and has them go on.

    python -m tests.kill_campaign
    python -m tests.kill_campaign segment --kills 5 --seed 1

A trial starts a command in an empty folder, kills it (SIGKILL) once or twice at random moments of
its work, and gives the same command again until it ends. The results must be those of a run that
nobody disturbed, byte for byte. Moments and damage are drawn from the seed; what a moment falls on
depends on how fast the machine is. The exit status is 1 if a trial ends otherwise.

Taken is what was written to a file after it was last flushed (fsync): files under temporary names,
files in place that are flushed later, the end of a log. Of each such file, at random, nothing is
lost, or the end, or the end is zeros, or all is empty, or it is not there. When files were flushed
is noted by the command's own process. TensorStore flushes what it writes (its `file_io_sync`),
which is not noted: its files are taken as flushed. Names that come and go are as they were when the
process was killed.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

import numpy as np
from PIL import Image

from stm_jax.runtime.claim import MARK
from tests.benchmark_trees import boxes, davis2017, write_palette
from tests.conftest import PROJECT
from tests.lively import clip

COUNT, HEIGHT, WIDTH = 120, 32, 48
KILLS_A_TRIAL = 2
PATIENCE = 300  # seconds that a process may take to begin its work
APPENDED = "log.jsonl"  # what of it was flushed stays
SAID = ".said"
FLUSHED_BY_TENSORSTORE = ("manifest.ocdbt", "d/*")

RECIPE = """
from pathlib import Path
from stm_jax.config import TINY
from stm_jax.data import DataConfig, Videos
from stm_jax.train import StageConfig, TrainConfig

def get_config():
    data = DataConfig((Videos(Path(".")),), size=32, batch_size=2, pasted=0, held_back=("cat",))
    stage = StageConfig(data, steps=12, learning_rate=1e-3, warmup_steps=1)
    return TrainConfig(
        model=TINY, stages=(stage, stage), log_every=1, checkpoint_every=3, average_decay=0.5,
        validate_on=("cat",), validate_every=8,
    )
"""

Result = dict[str, object]
"""What must be the same in the end, by name."""


@dataclasses.dataclass(frozen=True)
class Command:
    """What is killed.

    Attributes:
        words: The command line but for the folder of results, which comes last.
        result: What is compared of that folder.
        begun: The pattern of the first files that show that it works.
    """

    words: tuple[str, ...]
    result: Callable[[pathlib.Path], Result]
    begun: str


def commands(inputs: pathlib.Path) -> dict[str, Command]:
    """Makes the inputs of all commands, and returns the commands by name."""
    (inputs / "frames").mkdir()
    for index, frame in enumerate(clip(COUNT, HEIGHT, WIDTH)):
        Image.fromarray(frame).save(inputs / "frames" / f"{index:03d}.png")
    write_palette(inputs / "mask.png", boxes(HEIGHT, WIDTH, (1, 2)))
    videos = {name: (24, HEIGHT, WIDTH, (1, 2)) for name in ("ant", "bee", "cat", "dog")}
    davis2017(inputs / "davis", videos)
    (inputs / "recipe.py").write_text(RECIPE)
    from stm_jax import weights
    from tests.lively import lively_model

    weights.save(lively_model(), inputs / "tiny.safetensors")
    tiny = ("--weights", str(inputs / "tiny.safetensors"))
    frames, mask, davis = (str(inputs / name) for name in ("frames", "mask.png", "davis"))
    recipe = str(inputs / "recipe.py")
    return {
        "segment": Command(
            ("segment", frames, "--mask", mask, *tiny, "--out"), of_segment, "masks/*.png"
        ),
        "benchmark-dataset": Command(
            ("benchmark-dataset", davis, "--protocol", "davis2017", *tiny, "--out"),
            of_benchmark,
            "masks/*/*.png",
        ),
        "train": Command(
            ("train", "--config", recipe, "--data", davis, "--run-folder"), of_train, "log.jsonl"
        ),
    }


def files_in(out: pathlib.Path, *patterns: str) -> Result:
    """Returns the bytes of files by their names."""
    found = sorted(path for pattern in patterns for path in out.glob(pattern))
    return {str(p.relative_to(out)): p.read_bytes() if p.is_file() else "folder" for p in found}


def without_times(path: pathlib.Path) -> Result:
    """Returns what a JSON file holds, but how long something took."""
    content = json.loads(path.read_text())
    timed = ("seconds", "compile", "compiles", "clips_per_second")
    return {k: v for k, v in content.items() if not any(word in k for word in timed)}


def of_segment(out: pathlib.Path) -> Result:
    """Returns all that `stm-jax segment` leaves."""
    files = files_in(out, "*.mp4", "masks/*", ".resume", ".stm-jax-*")
    return files | {"segment.json": without_times(out / "segment.json")}


def of_benchmark(out: pathlib.Path) -> Result:
    """Returns all that `stm-jax benchmark-dataset` leaves but the page, which tells of times."""
    assert (out / "report.html").read_text().rstrip().endswith("</html>")
    notes = {str(path): without_times(path) for path in sorted(out.glob("sequences/*.json"))}
    notes = {str(pathlib.Path(name).name): note for name, note in notes.items()}
    return files_in(out, "masks/*/*", "scores.*", "settings.json", "**/.stm-jax-*") | notes


def of_train(run: pathlib.Path) -> Result:
    """Returns the weights of a run, its best ones, and what it has logged of each step."""
    import jax

    import stm_jax

    variables = jax.tree_util.tree_leaves_with_path(stm_jax.load(run).variables)
    found: Result = {jax.tree_util.keystr(p): np.asarray(leaf).tobytes() for p, leaf in variables}
    logged = {}
    for line in (run / "log.jsonl").read_text().splitlines():
        entry = json.loads(line)
        entry.pop("clips_per_second", None)
        logged[entry["step"], "validation" in entry] = entry
    found["log.jsonl"] = sorted(logged.items())
    return found | files_in(run, "config.json", "best.*", "**/.stm-jax-*", "checkpoints/*tmp*")


@contextlib.contextmanager
def started(
    command: Command, out: pathlib.Path, journal: pathlib.Path
) -> Iterator[subprocess.Popen]:
    """Starts a command in a process of its own, which notes its flushes and ends with the block.

    What it says comes beside the journal, for a pipe that nobody reads would stop it.
    """
    environment = {
        "PYTHONPATH": str(PROJECT),
        "JAX_PLATFORMS": "cpu",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_COMPILATION_CACHE_DIR": str(journal.parents[2] / "programs"),
    }
    child = [sys.executable, "-m", "tests.kill_campaign", "--as-child", str(journal)]
    with journal.with_suffix(SAID).open("w") as said:
        process = subprocess.Popen(
            [*child, *command.words, str(out)],
            cwd=PROJECT,
            env=os.environ | environment,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def as_child(journal: pathlib.Path, words: Sequence[str]) -> int:
    """Runs a command in this process, with every flush noted, and states that are saved often."""
    from stm_jax.cli import main as stm_jax_main
    from stm_jax.commands import segment

    segment._pause_after = lambda seconds: 0.1  # twenty seconds, else: longer than all frames take
    notes, flush = journal.open("a", buffering=1), os.fsync

    def noted(file: int) -> None:
        about = os.fstat(file)
        flush(file)
        note(notes, about)

    os.fsync = noted
    return stm_jax_main(list(words))


def take(out: pathlib.Path, journal: pathlib.Path, rng: np.random.Generator) -> list[str]:
    """Damages what was not flushed, and returns what was done to which file."""
    flushed: dict[int, tuple[int, int]] = {}  # when, and how long the file was then
    for line in journal.read_text().splitlines() if journal.exists() else ():
        inode, when, size = map(int, line.split())
        flushed[inode] = when, size
    told = []
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        about, content = path.stat(), path.read_bytes()
        when, size = flushed.get(about.st_ino, (0, 0))
        safe = size if path.name == APPENDED else 0
        by_tensorstore = any(path.match(pattern) for pattern in FLUSHED_BY_TENSORSTORE)
        if about.st_mtime_ns <= when or len(content) in (0, safe) or by_tensorstore:
            continue
        kept = int(rng.integers(safe, len(content)))
        hows = ("whole", "cut", "zeros") if safe else ("whole", "cut", "zeros", "empty", "gone")
        how = str(rng.choice(hows))
        if how == "whole":
            continue
        zeros = bytes(len(content) - kept) if how == "zeros" else b""
        path.write_bytes(b"" if how == "empty" else content[:kept] + zeros)
        if how == "gone":
            path.unlink()
        told.append(f"{path.relative_to(out)} {how}")
    with journal.open("a") as notes:  # what has come through is on the disk
        for path in (path for path in out.rglob("*") if path.is_file()):
            note(notes, path.stat())
    return told


def note(journal: TextIO, about: os.stat_result) -> None:
    """Notes that a file is flushed."""
    journal.write(f"{about.st_ino} {time.time_ns()} {about.st_size}\n")


def newest(out: pathlib.Path, pattern: str) -> int:
    """Returns when the newest such file was written, in nanoseconds; 0 if there is none."""
    times = [0]
    for path in out.glob(pattern):
        with contextlib.suppress(FileNotFoundError):
            times.append(path.stat().st_mtime_ns)
    return max(times)


def wait_for(process: subprocess.Popen, begun: Callable[[], bool]) -> None:
    """Returns once the process has begun its work, or has ended."""
    until = time.monotonic() + PATIENCE
    while not begun() and process.poll() is None:
        assert time.monotonic() < until, "it does not begin"
        time.sleep(0.002)


def undisturbed(command: Command, folder: pathlib.Path) -> tuple[Result, float]:
    """Returns the results of a run that nobody disturbs, and how many seconds its work took."""
    out, journal = folder / "out", folder / "flushes"
    with started(command, out, journal) as process:
        wait_for(process, lambda: newest(out, command.begun) > 0)
        begun = time.monotonic()
        process.wait()
    assert process.returncode == 0, journal.with_suffix(SAID).read_text()[-3000:]
    return command.result(out), time.monotonic() - begun


def trial(
    command: Command, folder: pathlib.Path, kills: int, seconds: float, rng: np.random.Generator
) -> tuple[Result | str, int, list[str]]:
    """Kills a command up to so many times, and lets it end.

    Returns:
        The results, or what it said if it failed; how often it was killed, for it may be quicker;
        and what was taken.
    """
    out, journal, killed, taken = folder / "out", folder / "flushes", 0, []
    for number in range(kills + 1):
        since = time.time_ns()
        with started(command, out, journal) as process:
            if number < kills:
                if rng.random() < 0.25:  # from the very beginning, before there are results
                    wait_for(process, (out / MARK).exists)
                else:
                    wait_for(process, lambda t=since: newest(out, command.begun) > t)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(rng.uniform(0, seconds))
                process.kill()
            process.wait()
        if process.returncode == -signal.SIGKILL:
            killed += 1
            taken += take(out, journal, rng)
        elif process.returncode:
            said = journal.with_suffix(SAID).read_text(errors="replace")
            return said.strip()[-2000:], killed, taken
    return command.result(out), killed, taken


def campaign(name: str, command: Command, folder: pathlib.Path, kills: int, seed: int) -> bool:
    """Kills one command so many times, prints a row for each trial; says if all ended well."""
    for run in ("compiling", "undisturbed"):  # the first takes longer than any other
        (folder / run).mkdir(parents=True)
        expected, seconds = undisturbed(command, folder / run)
    rng, done, number, good = np.random.default_rng(seed), 0, 0, True
    while done < kills:
        number += 1
        place = folder / f"trial{number}"
        place.mkdir()
        wanted = min(KILLS_A_TRIAL, kills - done)
        found, killed, taken = trial(command, place, wanted, seconds, rng)
        done += killed
        if isinstance(found, str):
            ends = f"FAILED: {found}"
        else:
            names = [n for n in {**expected, **found} if found.get(n) != expected.get(n)]
            ends = f"DIFFERS in {', '.join(map(str, names[:5]))}" if names else "the same"
        good &= ends == "the same"
        some = ", ".join(taken[:3]) + (f" and {len(taken) - 3} more" if len(taken) > 3 else "")
        row = f"{name:18} {number:5} {killed:5} {len(taken):5}  {ends:10}  {some}"
        print(row.rstrip(), flush=True)
    return good


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the campaign, prints a table, and returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="commands; all of them without")
    parser.add_argument("--kills", type=int, default=20, help="of each command")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    good, folder = True, pathlib.Path(tempfile.mkdtemp(prefix="kills-"))
    (folder / "inputs").mkdir()
    made = commands(folder / "inputs")
    print(f"{'command':18} {'trial':>5} {'kills':>5} {'taken':>5}  {'ends':10}  taken from")
    for name in given.names or made:
        good &= campaign(name, made[name], folder / name, given.kills, given.seed)
    if good:
        shutil.rmtree(folder)
    print("every run ended as one that was not disturbed" if good else f"NOT ALL DID: see {folder}")
    return 0 if good else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as-child"]:
        sys.exit(as_child(pathlib.Path(sys.argv[2]), sys.argv[3:]))
    sys.exit(main())
