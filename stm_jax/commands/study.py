"""`stm-jax study`: variants trained and measured, repeated with seeds, and compared."""

import dataclasses
import pathlib
import time
from typing import TYPE_CHECKING, Any

import tyro

from stm_jax.checks import within
from stm_jax.commands.shared.options import ResultOptions
from stm_jax.errors import InputError
from stm_jax.files import hash_of_file, write_csv
from stm_jax.processes import cores
from stm_jax.runtime.outputs import check_outputs, weights_read
from stm_jax.runtime.progress import FrameProgress

if TYPE_CHECKING:
    from stm_jax.study.config import Study as TheStudy
    from stm_jax.study.folder import StudyFolder
    from stm_jax.study.pieces import Piece, Plan
    from stm_jax.study.work import Workplace

SECONDS_BETWEEN_TABLES = 30.0
CORES_A_WORKER = 4


@dataclasses.dataclass(frozen=True)
class Study:
    """Run a study: train and measure variants of the memory, its read and the similarity.

    Writes DIR/study.csv, DIR/groups.csv and DIR/study.html, of the variants that are done, and
    DIR/pieces/, a file for each training and each video followed. The same command goes on where
    it was stopped or killed; after a change of the study only what depends on it is done again.
    """

    file: tyro.conf.Positional[pathlib.Path]
    """A Python file with get_study(), such as configs/study_rules.py. It is run."""
    results: ResultOptions
    data: pathlib.Path = pathlib.Path()
    """The folder that the study's paths are relative to."""
    keep_masks: tyro.conf.FlagCreatePairsOff[bool] = False
    """Keep all masks, in DIR/masks/VARIANT/seed-N/VIDEOS/VIDEO."""
    workers: int | None = None
    """Processes of this machine; one for every four cores if it is not given."""
    scheduler: str | None = None
    """Let a Dask cluster work instead: the address of its scheduler, such as tcp://HOST:8786."""

    def run(self) -> None:
        """Runs the command.

        Raises:
            InputError: An input cannot be used, or variants failed; what is done is kept.
            KeyboardInterrupt: Stopped by Ctrl-C or SIGTERM; what is done is kept.
            OSError: A result cannot be written.
        """
        if self.scheduler is not None and self.workers is not None:
            raise InputError("--workers are of this machine: leave it out beside --scheduler")
        workers = max(1, cores() // CORES_A_WORKER) if self.workers is None else self.workers
        within("--workers", workers, 1, 1024)
        file, data = self.file.resolve(), self.data.resolve()

        from stm_jax.study.config import load_study
        from stm_jax.study.folder import StudyFolder

        study = load_study(file, data)
        folder = StudyFolder(self.results.out.resolve(), self.keep_masks)
        check_outputs(
            _inputs(study, file), folder=folder.path, names=("pieces", "trainings", "masks")
        )
        with folder.claimed():
            folder.begin(self.results.overwrite)
            _draw(study, folder, workers)
            self._run(study, folder, file, data, workers)

    def _run(
        self,
        study: "TheStudy",
        folder: "StudyFolder",
        file: pathlib.Path,
        data: pathlib.Path,
        workers: int,
    ) -> None:
        import jax

        from stm_jax.study.depends import code_of
        from stm_jax.study.engine import cluster, local, run_pieces
        from stm_jax.study.pieces import plan_study
        from stm_jax.study.work import Workplace, all_sequences

        precision: Any = jax.config.values["jax_default_matmul_precision"]
        plan = plan_study(study, all_sequences(study, folder), precision)
        place = Workplace(
            *(file, hash_of_file(file), data, folder.path, precision, code_of()), self.keep_masks
        )
        with FrameProgress(None) as progress:
            told = _Telling(study, plan, folder, place, progress)
            address = self.scheduler
            run_pieces(
                told.missing(),
                place,
                (lambda: local(workers)) if address is None else (lambda: cluster(address)),
                told.done,
                told.look,
            )
            told.write()
        told.end()


class _Telling:
    """Keeps what is done, shows how far all is, and writes what is known."""

    def __init__(
        self,
        study: "TheStudy",
        plan: "Plan",
        folder: "StudyFolder",
        place: "Workplace",
        progress: FrameProgress,
    ) -> None:
        self._study, self._plan, self._folder, self._place = study, plan, folder, place
        self._progress = progress
        found = {key: folder.result_of(piece) for key, piece in plan.pieces.items()}
        self._results = {key: result for key, result in found.items() if result is not None}
        self._failed: dict[str, str] = {}
        self._told: set[str] = set()
        self._written = time.monotonic()
        self._reused = len(self._results)

    def missing(self) -> "list[Piece]":
        """Returns the pieces that are not done."""
        pieces = self._plan.pieces
        if self._reused:
            self._progress.say(f"{self._reused} of {len(pieces)} pieces are done already")
        return [piece for key, piece in pieces.items() if key not in self._results]

    def done(self, piece: "Piece", result: dict[str, Any]) -> None:
        """Takes a piece's result."""
        if "failed" in result:
            self._failed[piece.key] = result["failed"]
            self._progress.say(f"{piece} failed: {result['failed']}")
            return
        self._results[piece.key] = result
        for variant in self._study.variants:
            known = all(key in self._results for key in self._plan.of(variant))
            if known and variant.name not in self._told:
                self._told.add(variant.name)
                self.write()
                row = next(r for r in self._table.rows if r["variant"] == variant.name)
                self._progress.say(f"{variant.name}: {_line(row)}")

    def look(self) -> None:
        """Shows how far all is."""
        from stm_jax.study.cost import last_step

        pieces = self._plan.pieces
        frames = sum(pieces[key].frames for key in self._results)
        frames += self._folder.frames_followed()
        label = f"{len(self._results)} of {len(pieces)} pieces, "
        for key in dict.fromkeys(self._plan.trainings.values()):
            run = self._folder.run_of(key)
            if key not in self._results and (run / "log.jsonl").exists():
                label += f"{pieces[key]}: step {last_step(run)}, "
        total = sum(piece.frames for piece in pieces.values())
        self._progress.update(frames, False, label, total)

    def write(self) -> None:
        """Writes what is known of the variants that are done."""
        from stm_jax.study.page import write_study_page
        from stm_jax.study.table import COLUMNS, GROUP_COLUMNS, table_of

        self._table = table = table_of(self._study, self._plan, self._results)
        if not table.rows:
            return
        rows = [list(COLUMNS), *([row[c] for c in COLUMNS] for row in table.rows)]
        write_csv(self._folder.csv, rows)
        of_groups = [row for group in table.groups for row in group.rows()]
        write_csv(self._folder.groups, [list(GROUP_COLUMNS), *of_groups])
        write_study_page(self._folder.page, self._study, table)

    def end(self) -> None:
        """Prints the rows, and where they are.

        Raises:
            InputError: Variants failed.
        """
        for row in self._table.rows:
            print(f"{row['variant']}: {_line(row)}")
        variants = self._study.variants
        failed = {
            each.name: self._failed[key]
            for each in variants
            for key in self._plan.of(each)
            if key in self._failed
        }
        if failed:
            named = "; ".join(f"{name}: {why}" for name, why in failed.items())
            raise InputError(
                f"{len(failed)} of {len(variants)} variants failed ({named}); the others are in"
                f" {self._folder.path}"
            )
        print(f"to look at: {self._folder.page}")


def _line(row: dict[str, Any]) -> str:
    """Returns a row in short."""
    line = f"J&F {row['j_and_f']:.3f}"
    if row["difference"] is not None:
        line += f", {row['difference']:+.3f} to the baseline"
    if row["low"] is not None:
        line += f" [{row['low']:+.3f}, {row['high']:+.3f}]"
    memory, seconds = row["memory_bytes"] / 2**20, row["seconds_a_frame"]
    return f"{line}, memory {memory:.4g} MiB, {seconds:.3g} s a frame"


def _inputs(study: "TheStudy", file: pathlib.Path) -> list[pathlib.Path]:
    """Returns what the study reads."""
    from stm_jax.study.config import DataSet
    from stm_jax.train.paths import paths_read

    trainings = [each.training for each in study.variants if each.training is not None]
    sets = [each.root for each in study.videos if isinstance(each, DataSet)]
    return [
        *(file, *sets, *weights_read(study.weights)),
        *(path for training in trainings for path in paths_read(training)),
    ]


def _draw(study: "TheStudy", folder: "StudyFolder", workers: int) -> None:
    """Draws the videos that are not there."""
    from stm_jax.study.config import Drawn
    from stm_jax.synthetic.folder import SyntheticFolder, write_set

    for each in study.videos:
        if not isinstance(each, Drawn):
            continue
        drawn = SyntheticFolder(folder.drawn(each), each.knobs, each.seed)
        with drawn.claimed(), FrameProgress(each.videos * each.knobs.frames) as progress:
            drawn.begin(overwrite=False)
            label = f"{each.name}, drawn: "
            write_set(
                drawn,
                each.videos,
                workers,
                lambda done, label=label, p=progress: p.update(done, False, label),
            )
