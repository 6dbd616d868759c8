"""`stm-jax benchmark-dataset`: segment a whole data set, then score it."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import tyro

from stm_jax.benchmark.folder import RESULTS, BenchmarkFolder
from stm_jax.benchmark.plan import MOST_PROGRAMS, Program, plan_programs
from stm_jax.benchmark.results import print_speed, score
from stm_jax.benchmark.sequences import hash_of_data, video_of
from stm_jax.checks import MOST_SCALE, within
from stm_jax.commands.shared.options import (
    BenchmarkOptions,
    LoadedModel,
    ModelOptions,
    ResultOptions,
)
from stm_jax.data.benchmarks import BenchmarkSequence
from stm_jax.errors import InputError
from stm_jax.runtime.outputs import check_outputs, weights_read
from stm_jax.runtime.progress import FrameProgress
from stm_jax.runtime.stopping import stop_between_frames
from stm_jax.runtime.used_memory import explain_out_of_memory
from stm_jax.version import __version__, versions

if TYPE_CHECKING:
    from stm_jax.benchmark.work import Job, Worked
    from stm_jax.eval.scores import Scores
    from stm_jax.infer.batch import Batch


@dataclasses.dataclass(frozen=True)
class BenchmarkDataset:
    """Segment every sequence of a data set, then score it.

    Writes DIR/masks/SEQUENCE/FRAME.png; where true masks are known scores.json, scores.csv and
    report.html; for YouTube-VOS, MOSE, LVOS and VOST submission.zip, as the server takes it, for
    BURST predictions.json. A run that was stopped goes on with the next sequence when the same
    command is given again.
    """

    data: BenchmarkOptions
    results: ResultOptions
    model: ModelOptions = dataclasses.field(default_factory=ModelOptions)
    flip: tyro.conf.FlagCreatePairsOff[bool] = False
    """Segment mirrored frames as well, and average: takes twice as long."""
    scales: tuple[float, ...] = (1.0,)
    """Segment at each of these factors of the size, and average."""
    devices: int = 1
    """Share the sequences out over so many devices."""
    scheduler: str | None = None
    """Let a Dask cluster work: the address of its scheduler, such as tcp://HOST:8786."""
    videos: int = 1
    """Follow so many videos of one program side by side, as one batch, shared out over all devices
    of this machine."""
    no_score: tyro.conf.FlagCreatePairsOff[bool] = False
    """Write masks only."""

    def run(self) -> None:
        """Runs the command.

        Raises:
            InputError: An input cannot be used; sequences that are done are kept.
            KeyboardInterrupt: Stopped by Ctrl-C or SIGTERM; sequences that are done are kept.
            OSError: A result cannot be written.
        """
        self._check_options()
        sequences, programs = self.planned()
        check_outputs(
            [self.data.root, *weights_read(self.model.weights)],
            folder=self.results.out,
            names=("masks", "sequences", "attention", *RESULTS),
        )

        import jax  # heavy, and not needed to say what is wrong above

        if self.devices > len(jax.local_devices()):
            raise InputError(f"--devices is {self.devices}: there are {len(jax.local_devices())}")
        model = self.model.load()
        folder = BenchmarkFolder(
            self.results.out,
            self.settings(model, sequences),
            versions()
            | {"weights given": self.model.weights, "data set": str(self.data.root.resolve())},
        )
        rather = "fewer --videos, or " if self.videos > 1 else ""
        with folder.claimed(), explain_out_of_memory(rather):
            folder.begin(self.results.overwrite)
            self._segment(model, sequences, programs, folder)
            written = folder.write_submission(sequences, self.data.protocol)
            if written:
                print(f"for the {'server' if written.suffix == '.zip' else 'evaluator'}: {written}")
            if not self.no_score:
                self._score(model, sequences, programs, folder)

    def planned(self) -> tuple[tuple[BenchmarkSequence, ...], dict[str, Program]]:
        """Returns the sequences, and the program of each by name."""
        sequences = self.data.of(self.data.root)
        videos = {sequence.name: video_of(sequence) for sequence in sequences}
        return sequences, plan_programs(videos, max(1, MOST_PROGRAMS // len(self.scales)))

    def _score(
        self,
        model: LoadedModel,
        sequences: Sequence[BenchmarkSequence],
        programs: dict[str, Program],
        folder: BenchmarkFolder,
    ) -> None:
        """Scores what has true masks, with the heat maps that are asked for."""
        known = [
            each
            for each in sequences
            if any(truth for index, truth in enumerate(each.truths) if index not in each.given)
        ]
        if not known:
            print(f"no true masks but the given ones here, so no scores: see {folder.masks}")
            return
        if len(known) < len(sequences):
            print(f"{len(sequences) - len(known)} sequences have no true masks and are not scored")

        def draw(scores: "Scores") -> None:
            from stm_jax.benchmark.attention import draw_attention

            if self.data.heat_maps:
                segmenter = model.segmenter(_device(0))
                draw_attention(scores, known, programs, segmenter, folder, self.data.heat_maps)

        score(
            folder.masks,
            known,
            self.data.protocol,
            json=folder.scores_json,
            csv=folder.scores_csv,
            page=folder.report,
            draw=draw,
        )
        print(f"to look at: {folder.report}")

    def _check_options(self) -> None:
        self.model.check()
        for scale in self.scales:
            within("--scales", scale, 0, MOST_SCALE, above=True)
        if not self.scales or len(set(self.scales)) < len(self.scales):
            given = " ".join(map(str, self.scales)) or "empty"
            raise InputError(f"--scales is {given}: give different positive numbers")
        within("--heat-maps", self.data.heat_maps, 0, 10**6)
        if self.data.heat_maps and self._is_averaged():
            raise InputError("--heat-maps shows one memory: leave it out beside --flip or --scales")
        within("--devices", self.devices, 1, 10**6)
        within("--videos", self.videos, 1, 10**6)
        if self.scheduler is not None and self.devices > 1:
            raise InputError("--devices are of this machine: leave it out beside --scheduler")
        excluded = {
            "--devices: all of this machine are used": self.devices > 1,
            "--flip and --scales": self._is_averaged(),
            "--runtime: it is JAX that takes a batch": self.model.runtime != "jax",
        }
        for option, is_given in excluded.items():
            if is_given and self.videos > 1:
                raise InputError(f"--videos is {self.videos}: leave out {option}")

    def _is_averaged(self) -> bool:
        return self.flip or self.scales != (1.0,)

    def settings(
        self, model: LoadedModel, sequences: Sequence[BenchmarkSequence]
    ) -> dict[str, Any]:
        """Returns everything that the masks depend on: a run goes on only if all is the same."""
        import jax

        return {
            "protocol": self.data.protocol,
            "split": self.data.split,
            "sequences": [sequence.name for sequence in sequences],
            "data": hash_of_data(sequences),
            **model.settings(),
            "flip": self.flip,
            "scales": list(self.scales),
            "kind of device": "a cluster's" if self.scheduler else _device(0).device_kind,
            "matmul precision": jax.config.values["jax_default_matmul_precision"] or "default",
            "version": __version__,
        }

    def _segment(
        self,
        model: LoadedModel,
        sequences: Sequence[BenchmarkSequence],
        programs: dict[str, Program],
        folder: BenchmarkFolder,
    ) -> None:
        """Segments the sequences that are not done yet, and says how fast it was."""
        from stm_jax.benchmark.work import Stopped

        by_name = {sequence.name: sequence for sequence in sequences}
        done = [each.name for each in sequences if folder.summary_of(each) is not None]
        # In the order of the plan, so that a device goes on with the program that it has.
        jobs = [(by_name[name], programs[name]) for name in programs if name not in done]
        if not jobs:
            print(f"all {len(sequences)} sequences are done (--overwrite starts again)")
            return
        begun = time.perf_counter()
        count = sum(len(sequence.frames) for sequence in sequences)
        with stop_between_frames() as stop_asked, FrameProgress(count) as progress:
            if done:
                progress.say(f"going on after {len(done)} sequences that are done")
            for name in [each.name for each in sequences if folder.is_spoiled(each)]:
                progress.say(f"{name}: what was done is missing or damaged, segmenting it again")
            tick = _ticking(progress, sequences, done)
            try:
                if self.scheduler is None:
                    work = self.worked(model, jobs, folder, tick, stop_asked)
                else:
                    from stm_jax.commands.shared.elsewhere import segment_elsewhere

                    settings = self.settings(model, sequences)
                    work = segment_elsewhere(self, jobs, settings, tick, stop_asked)
            except (Stopped, InputError) as error:
                count = sum(folder.summary_of(each) is not None for each in sequences)
                kept = f"{count} of {len(sequences)} sequences are done and kept in {folder.path}"
                if isinstance(error, InputError):
                    raise InputError(f"{error}; {kept}") from error
                raise KeyboardInterrupt(
                    f"{kept}; give the same command again to go on from there"
                ) from error
        each = " a worker" if self.scheduler else " a device" * (min(self.devices, len(jobs)) > 1)
        print_speed(work.summaries, time.perf_counter() - begun, each)
        if self.videos > 1:
            frames = work.frames + work.padded
            share = 100 * work.padded / max(frames, 1)
            print(f"{work.padded} of {frames} frames of the batches ({share:.1f} %) were padding")

    def worked(self, model: LoadedModel, jobs: "Sequence[Job]", *rest: Any) -> "Worked":
        """Segments sequences in this process; `rest` is that of `segment_all`."""
        import jax

        from stm_jax.benchmark.work import Worked, segment_all, segment_side_by_side

        if self.videos > 1:
            devices = jax.local_devices()

            def batch_of(videos: int) -> "Batch":
                return model.batch(videos, devices)

            return segment_side_by_side(jobs, self.videos, len(devices), batch_of, *rest)
        devices = [_device(index) for index in range(min(self.devices, len(jobs)))]
        if self._is_averaged():
            segmenters = [model.averaged(self.scales, self.flip, device) for device in devices]
        else:
            segmenters = [model.segmenter(device) for device in devices]
        places = [contextlib.nullcontext(segmenter) for segmenter in segmenters]
        return Worked(segment_all(jobs, places, *rest))


def _device(index: int) -> Any:
    import jax

    return jax.local_devices()[index]


def _ticking(
    progress: FrameProgress, sequences: Sequence[BenchmarkSequence], done: Sequence[str]
) -> Callable[[BenchmarkSequence], None]:
    """Returns what is called after each frame, to show how far all is."""
    frames = sum(len(each.frames) for each in sequences if each.name in done)
    begun = dict.fromkeys(done, 0)

    def tick(sequence: BenchmarkSequence) -> None:
        nonlocal frames
        frames += 1
        begun[sequence.name] = 0
        label = f"sequence {len(begun)} of {len(sequences)}, {sequence.name}: "
        progress.update(frames, segmented=True, label=label)

    return tick
