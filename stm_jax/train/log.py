"""What a run tells: a progress bar, log.jsonl for programs, TensorBoard scalars and pictures."""

import contextlib
import json
import os
import pathlib
import time
from collections.abc import Iterator

import jax
import numpy as np
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from tensorboardX import SummaryWriter

from stm_jax.errors import InputError
from stm_jax.files import write_whole
from stm_jax.text import printable
from stm_jax.train.config import StageConfig, TrainConfig
from stm_jax.train.pictures import picture_of
from stm_jax.train.step import learning_rates

TRACED_STEPS = range(5, 8)  # of a stage: compiling is over


class RunLog:
    """Collects metrics and reports their means every `log_every` steps.

    Metrics stay on the device until they are reported, so that no step waits for the host.
    Only the first of several processes writes.
    """

    def __init__(self, run: pathlib.Path, config: TrainConfig, parameters: int) -> None:
        self._run, self._config = run, config
        self._total = sum(stage.steps for stage in config.stages)
        self._schedule = learning_rates(config.stages)
        self._speaks = jax.process_index() == 0
        self._stage, self._stage_end, self._batch_size = 0, 0, 1
        self._metrics: list[dict] = []
        self._since = time.perf_counter()
        self._about = f"{config.network.name}: {parameters / 1e6:.1f} million parameters"

    def __enter__(self) -> "RunLog":
        self._stack = contextlib.ExitStack()
        if not self._speaks:
            return self
        log = self._run / "log.jsonl"
        _remove_torn_end(log)
        self._lines = self._stack.enter_context(log.open("a"))
        self._board = self._stack.enter_context(
            contextlib.closing(SummaryWriter(str(self._run / "tensorboard")))
        )
        self._bar = self._stack.enter_context(
            Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed}/{task.total}"),
                TimeRemainingColumn(),
                transient=True,
            )
        )
        self._task = self._bar.add_task("compiling", total=self._total)
        self.say(f"{self._about}; {jax.device_count()} x {jax.devices()[0].device_kind}")
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def say(self, line: str) -> None:
        """Prints one line."""
        if self._speaks:
            self._bar.console.print(printable(line), highlight=False, markup=False, soft_wrap=True)

    def begin_stage(
        self, index: int, stage: StageConfig, begin: int, done: int, gflop: float | None
    ) -> None:
        """Tells which stage the next steps belong to.

        Args:
            index: Of the stage, from 0.
            stage: Its configuration.
            begin: The step that it begins at.
            done: The step that it goes on from.
            gflop: The work of a step, where it is known.
        """
        self._stage, self._stage_end = index + 1, begin + stage.steps
        self._batch_size = stage.data.batch_size
        self._metrics, self._since = [], time.perf_counter()
        if self._speaks:
            self._bar.update(self._task, completed=done)
        work = "" if gflop is None else f", {gflop:.3g} GFLOP a step"
        self.say(
            f"stage {index + 1}: steps {begin + 1} to {self._stage_end}, {self._batch_size} clips "
            f"of {stage.data.length} x {stage.data.size} x {stage.data.size}{work}"
        )

    def add(self, step: int, metrics: dict) -> None:
        """Takes a step's metrics, and reports when it is time.

        Raises:
            InputError: Too many steps in a row had no finite gradient.
        """
        self._metrics.append(metrics)
        if self._speaks:
            self._bar.update(self._task, completed=step)
        if step % self._config.log_every and step != self._stage_end:
            return
        read = {name: np.array([m[name] for m in self._metrics]) for name in metrics}
        worst = int(read.pop("bad_steps").max())
        seconds = time.perf_counter() - self._since
        if self._speaks:
            self._report(step, read, worst, len(self._metrics) * self._batch_size / seconds)
        self._metrics, self._since = [], time.perf_counter()
        if worst >= self._config.bad_steps:
            raise InputError(
                f"{worst} steps in a row had no finite gradient, the last at step {step}; lower "
                f"the learning rate and go on from the last checkpoint in {self._run}"
            )

    def flush(self) -> None:
        """Has what was reported outlast a power cut, as a checkpoint of the same step does."""
        if self._speaks:
            os.fsync(self._lines.fileno())

    def add_scores(self, step: int, scores: dict[str, float]) -> None:
        """Reports a validation."""
        found = "  ".join(f"{name} {value:.3f}" for name, value in scores.items())
        self.say(f"step {step}/{self._total}  validation  {found}")
        self._write({"step": step, "validation": scores})
        for name, value in scores.items():
            self._board.add_scalar(f"validation/{name}", value, step)

    def add_picture(self, step: int, batch: dict[str, np.ndarray], labels: jax.Array) -> None:
        """Shows a few clips of this process, and what was predicted of them, in TensorBoard."""
        if not self._speaks:
            return
        predicted = np.concatenate([shard.data for shard in labels.addressable_shards])
        picture = picture_of(batch["frames"], batch["masks"], predicted)
        self._board.add_image("train/frame_truth_prediction", picture, step, dataformats="HWC")

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """What happens inside takes its time, which is no step's."""
        began = time.perf_counter()
        yield
        self._since += time.perf_counter() - began

    @contextlib.contextmanager
    def trace(self, wanted: bool, step_of_stage: int) -> Iterator[None]:
        """Writes a profile of a few steps of each stage, if it is wanted."""
        if wanted and step_of_stage == TRACED_STEPS.start:
            jax.profiler.start_trace(self._run / "profile")
        yield
        if wanted and step_of_stage == TRACED_STEPS.stop:
            jax.profiler.stop_trace()
            self.say(f"profile: tensorboard --logdir {self._run / 'profile'}")

    def _report(self, step: int, read: dict[str, np.ndarray], worst: int, speed: float) -> None:
        # A step without a finite gradient was skipped: it is counted, and no part of the mean.
        finite = np.isfinite(read["loss"]) & np.isfinite(read["gradient_norm"])
        mean = {n: float(v[finite].mean()) if finite.any() else None for n, v in read.items()}
        skipped = int((~finite).sum())
        rate = float(np.asarray(self._schedule(step)))
        found = "  ".join(f"{n} {mean[n]:.4f}" for n in ("loss", "iou") if mean[n] is not None)
        note = f"  {skipped} skipped: no finite gradient" if skipped else ""
        self.say(
            f"step {step}/{self._total}  stage {self._stage}  {found}  {speed:.2f} clips/s{note}"
        )
        self._bar.update(self._task, description=f"stage {self._stage}  {found}")
        self._write(
            {"step": step, "stage": self._stage, **mean, "skipped": skipped}
            | {"learning_rate": rate, "clips_per_second": speed}
        )
        for name, value in ({**mean, "learning_rate": rate, "clips_per_second": speed}).items():
            if value is not None:
                self._board.add_scalar(f"train/{name}", value, step)

    def _write(self, line: dict) -> None:
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()


def _remove_torn_end(log: pathlib.Path) -> None:
    """Takes off what a killed process or a power cut has left of a line."""
    content = log.read_bytes() if log.is_file() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        write_whole(log, whole)
