"""`stm-jax variants`: many memories and reads over the same sequences, with the same weights."""

import concurrent.futures
import contextlib
import dataclasses
import multiprocessing
import os
import pathlib
import re
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

from stm_jax.benchmark.folder import BenchmarkFolder
from stm_jax.benchmark.sequences import hash_of_data
from stm_jax.benchmark.variant_results import finished_row, table_line, write_results
from stm_jax.checks import shown
from stm_jax.commands.benchmark_dataset import BenchmarkDataset
from stm_jax.commands.shared.options import (
    BenchmarkOptions,
    ModelOptions,
    NetworkOptions,
    ResultOptions,
)
from stm_jax.errors import InputError
from stm_jax.files import write_json
from stm_jax.json_files import read_json
from stm_jax.processes import end_with_parent
from stm_jax.runtime.claim import claimed
from stm_jax.runtime.freed_memory import keep_freed_memory
from stm_jax.runtime.outputs import check_outputs, weights_read
from stm_jax.runtime.progress import FrameProgress
from stm_jax.runtime.stopping import handling_signals
from stm_jax.runtime.used_memory import process_peak
from stm_jax.version import __version__

if TYPE_CHECKING:
    from stm_jax.benchmark.variant_list import Variant
    from stm_jax.data.benchmarks import BenchmarkSequence

DONE = "variant.json"
SCORES, SCORED = "scores.json", "scored"
TABLES = ("variants.csv", "variants.md", "variants.html")
FILES = "weights files"  # sizes and times, by which others of the same name are noticed


@dataclasses.dataclass(frozen=True)
class Variants:
    """Compare memories and reads: the same weights and sequences for each, and one table.

    Writes DIR/variants.csv, variants.md and variants.html, and DIR/VARIANT/, which is as of
    benchmark-dataset. The same command again goes on where it was stopped; with more variants it
    runs those only. Each variant has a process of its own, so that its peak memory is its own.
    """

    data: BenchmarkOptions
    results: ResultOptions
    network: NetworkOptions = dataclasses.field(default_factory=NetworkOptions)
    variants: pathlib.Path | None = None
    """A Python file with get_variants(), which returns the variants to compare. It is run."""
    only: tuple[str, ...] = ()
    """Only the variants with these names."""

    def run(self) -> None:
        """Runs the command.

        Raises:
            InputError: An input cannot be used, or variants failed; those that are done are kept.
            KeyboardInterrupt: Stopped by Ctrl-C or SIGTERM; what is done is kept.
            OSError: A result cannot be written.
        """
        self.network.check()
        sequences, out = self.data.of(self.data.root), self.results.out
        variants = chosen_variants(self.variants, self.only)
        check_outputs(
            [self.data.root, *weights_read(self.network.weights)],
            folder=out,
            names=(*TABLES, *(each.name for each in variants)),
        )
        with claimed(out, "variants", TABLES):
            self._run_all(sequences, variants)

    def _run_all(
        self, sequences: "Sequence[BenchmarkSequence]", variants: "Sequence[Variant]"
    ) -> None:
        """Runs the variants that are not done, each in a process of its own, and tells of all."""
        from stm_jax.catalogue import chosen_similarity, noted

        out = self.results.out
        shared = self._shared_settings() | {"data": hash_of_data(sequences)}
        failures, rows, frames = [], [], sum(len(each.frames) for each in sequences)
        with FrameProgress(None) as progress:
            for number, variant in enumerate(variants, start=1):
                about = {"memory": noted(variant.memory), "read": noted(variant.read)}
                if variant.similarity:
                    about["similarity"] = noted(chosen_similarity(variant.similarity))
                settings, folder = shared | about, out / variant.name
                done = _noted(folder)
                if done and not is_whole(folder, done, sequences):
                    progress.say(f"{variant.name}: what was done is missing or damaged, once more")
                    done = {}
                if self.results.overwrite or done.get("settings") != settings:
                    progress.say(f"variant {number} of {len(variants)}: {variant.name}")
                    failure = self._run_apart(variant.name, settings)
                    if failure:
                        progress.say(f"{variant.name} failed: {failure}")
                        failures.append(f"{variant.name}: {failure}")
                        continue
                rows.append(finished_row(variant, folder, _noted(folder)))
                print(table_line(rows[-1]), flush=True)
                shown = {name: shared[name] for name in shared if name != FILES}
                write_results(out, rows, shown | {"frames": frames})
        if failures:
            raise InputError(
                f"{len(failures)} of {len(variants)} variants failed ({'; '.join(failures)});"
                f" the others are in {out}"
            )
        print(f"to look at: {out / 'variants.html'}")

    def _shared_settings(self) -> dict[str, Any]:
        """Returns what all variants have in common, found without a device.

        A device is the variants' own: memory that this process took would not be theirs.
        """
        from stm_jax.weights.files import BUNDLED

        name = self.network.weights
        weights = pathlib.Path(name)
        there = weights if weights.exists() else BUNDLED / f"{name}.safetensors"
        files = sorted(there.rglob("*")) if there.is_dir() else [there]
        return {
            "protocol": self.data.protocol,
            "split": self.data.split,
            "sequences": list(self.data.sequences),
            "weights": str(weights.resolve()) if weights.exists() else name,
            FILES: [[f.stat().st_size, f.stat().st_mtime_ns] for f in files if f.is_file()],
            "size": self.network.size,
            "dtype": self.network.dtype,
            "runtime": self.network.runtime,
            "zoom": self.network.zoom,
            "version": __version__,
        }

    def _run_apart(self, name: str, settings: dict[str, Any]) -> str:
        """Runs a variant in a process of its own; returns what went wrong, "" if nothing did.

        Raises:
            KeyboardInterrupt: This process or that one was stopped.
        """
        context, failure = multiprocessing.get_context("spawn"), ""
        pool = concurrent.futures.ProcessPoolExecutor(1, context, end_with_parent)
        with _handing_on() as signals, pool:
            try:
                pool.submit(run_variant, self, name, settings).result()
            except BrokenProcessPool:
                failure = "its process was killed (too little memory?)"
            except Exception as error:  # the other variants are no worse for it
                failure = str(error)
                if not isinstance(error, InputError | OSError):
                    traceback.print_exception(error)
        if signals:
            raise KeyboardInterrupt
        return failure

    def benchmark(self, variant: "Variant") -> BenchmarkDataset:
        """Returns the benchmark whose folder is the variant's."""
        results = dataclasses.replace(self.results, out=self.results.out / variant.name)
        model = ModelOptions(**vars(self.network), similarity=variant.similarity)
        return BenchmarkDataset(self.data, results, model)


def run_variant(options: Variants, name: str, settings: dict[str, Any]) -> None:
    """Runs one variant: what the process of a variant does."""
    keep_freed_memory()
    (variant,) = chosen_variants(options.variants, (name,))
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
        options.benchmark(variant).run_with((variant.memory, variant.read))
    peak, _ = process_peak()
    folder = options.results.out / name
    noted = {"settings": settings, "peak_bytes": peak, SCORED: (folder / SCORES).exists()}
    write_json(folder / DONE, noted)


def chosen_variants(file: pathlib.Path | None, names: Sequence[str]) -> "tuple[Variant, ...]":
    """Returns the variants of the file, or the published ones, with these names if any.

    Raises:
        InputError: The file has no usable get_variants(), or there is no variant of a name.
    """
    from stm_jax.benchmark.variant_list import VARIANTS, Variant
    from stm_jax.catalogue import answer_of

    variants = VARIANTS
    if file is not None:
        given = answer_of(file, "get_variants")
        if not isinstance(given, Sequence):
            raise InputError(f"get_variants() of {file} must return Variants of different names")
        variants = tuple(given)
    known = [each.name for each in variants if isinstance(each, Variant)]
    if len(known) < len(variants) or len(set(known)) < len(known) or not known:
        raise InputError(f"get_variants() of {file} must return Variants of different names")
    for name in known:
        if not (isinstance(name, str) and re.fullmatch(r"\w[\w.-]*", name)):
            raise InputError(
                f"{shown(repr(name))} in {file} cannot be a variant's name: a folder is called so"
            )
    trained = [v.name for v in variants if v.training is not None or len(v.seeds) > 1]
    if trained:
        raise InputError(
            f"{', '.join(trained)} in {file} asks for a training or seeds: give it to stm-jax study"
        )
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"no variant {', '.join(unknown)}: there is {', '.join(known)}")
    return tuple(each for each in variants if not names or each.name in names)


def is_whole(
    folder: pathlib.Path, done: dict[str, Any], sequences: "Sequence[BenchmarkSequence]"
) -> bool:
    """Says whether all is there of a variant that is done, and neither empty nor cut off."""
    results = BenchmarkFolder(folder, {}, {})
    scores = read_json(folder / SCORES)
    return bool(scores or not done.get(SCORED)) and all(map(results.summary_of, sequences))


def _noted(folder: pathlib.Path) -> dict[str, Any]:
    """Returns what a variant that is done has left behind; nothing if it is not done."""
    return read_json(folder / DONE)


@contextlib.contextmanager
def _handing_on() -> Iterator[list[int]]:
    """Lets signals stop the child, which hears of none itself; yields those that came."""
    seen: list[int] = []

    def handle(number: int, _: object) -> None:
        seen.append(number)
        for child in multiprocessing.active_children():
            child.terminate()

    with handling_signals(handle):
        yield seen
