"""Breaks what the project promises, one thing at a time, and looks whether a test turns red.

    python tools/semantic_breaks/run.py
    python tools/semantic_breaks/run.py void decay       # only those that have one of the words
    python tools/semantic_breaks/run.py --no-whole void  # without the tests of the whole checkout

The breaks are in the TOML files beside this one, each a table `[[broken]]`:

    what     what is wrong then, in a sentence
    file     the file that is broken
    passage  lines of it, which occur once
    instead  the lines in their place
    tests    the fewest tests, as pytest names them, that must notice

Each is made in a copy of the checkout, whose tests run with `-x`. First all of them run once with
nothing broken: a test that is always red notices nothing. The exit status is 1 if a break leaves
all of its tests green, or if they cannot run.
"""

import argparse
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Sequence

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
COPIED = ("stm_jax", "tests", "tools", "configs", "docs", "pyproject.toml", "README.md")
RED = 1  # pytest's exit status where a test has failed; others say that tests could not run
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Break:
    """One thing that is broken, as the docstring of this file says."""

    what: str
    file: str
    passage: str
    instead: str
    tests: tuple[str, ...]

    def broken(self, project: pathlib.Path) -> str:
        """Returns the file's text with the break; raises ValueError if its passage is not there."""
        text = (project / self.file).read_text(encoding="utf-8")
        count = text.count(self.passage)
        if count != 1 or self.instead == self.passage:
            raise ValueError(
                f"{self.what}: the passage is {count} times in {self.file}, not once: write it anew"
            )
        return text.replace(self.passage, self.instead)


def all_breaks() -> tuple[Break, ...]:
    """Returns the breaks of all lists, in the order of the files' names."""
    tables = [
        table
        for path in sorted(HERE.glob("*.toml"))
        for table in tomllib.loads(path.read_text(encoding="utf-8"))["broken"]
    ]
    return tuple(Break(**{**table, "tests": tuple(table["tests"])}) for table in tables)


def run_tests(project: pathlib.Path, tests: Iterable[str]) -> tuple[int, str]:
    """Returns pytest's exit status, and the first test that failed or what pytest said last."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "--tb=line", "-rfE", *tests],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(project)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    failed = FAILED.search(done.stdout)
    lines = done.stdout.strip().splitlines() or ["nothing was said"]
    return done.returncode, failed[1] if failed else lines[-1]


def copy_of_checkout(folder: pathlib.Path) -> pathlib.Path:
    """Copies what the tests need, and returns where it is."""
    copy = folder / "checkout"
    copy.mkdir()
    for name in COPIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, copy / name)
    return copy


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the breaks, prints a line for each, and returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("words", nargs="*", help="only breaks whose sentence or file has one")
    parser.add_argument("--no-whole", action="store_true", help="do not run the tests unbroken")
    given = parser.parse_args(arguments)
    words = [word.lower() for word in given.words] or [""]
    chosen = [b for b in all_breaks() if any(w in f"{b.what} {b.file}".lower() for w in words)]
    for each in chosen:
        each.broken(PROJECT)
    with tempfile.TemporaryDirectory(prefix="semantic-breaks-") as folder:
        copy = copy_of_checkout(pathlib.Path(folder))
        begun = time.monotonic()
        if not given.no_whole:
            status, said = run_tests(copy, dict.fromkeys(t for b in chosen for t in b.tests))
            if status:
                print(f"with nothing broken: {said}", flush=True)
                return 1
            print(f"green  {time.monotonic() - begun:4.0f} s  with nothing broken", flush=True)
        green = 0
        for each in chosen:
            file, since = copy / each.file, time.monotonic()
            whole, broken = file.read_text(encoding="utf-8"), each.broken(copy)
            file.write_text(broken, encoding="utf-8")
            status, said = run_tests(copy, each.tests)
            file.write_text(whole, encoding="utf-8")
            green += status != RED
            told = "red  " if status == RED else "NOT RED"
            print(f"{told}  {time.monotonic() - since:4.0f} s  {each.what}: {said}", flush=True)
    minutes = (time.monotonic() - begun) / 60
    print(f"{len(chosen) - green} of {len(chosen)} breaks are red, in {minutes:.1f} minutes")
    return 1 if green or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
