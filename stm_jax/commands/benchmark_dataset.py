"""`stm-jax benchmark-dataset`: segment a whole data set, then score it."""

import dataclasses
import functools
import hashlib
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import tyro

from stm_jax.benchmark.folder import BenchmarkFolder
from stm_jax.benchmark.plan import MOST_PROGRAMS, Program, Video, plan_programs
from stm_jax.benchmark.results import print_speed, score
from stm_jax.data.benchmarks import BenchmarkSequence, Protocol, benchmark_sequences
from stm_jax.data.image_files import size_of
from stm_jax.errors import InputError
from stm_jax.runtime.progress import FrameProgress
from stm_jax.runtime.runs import (
    explain_out_of_memory,
    hash_of,
    stop_between_frames,
    versions,
)
from stm_jax.version import __version__

if TYPE_CHECKING:
    from stm_jax.eval.scores import Scores
    from stm_jax.infer.averaged import AveragedSegmenter
    from stm_jax.infer.segmenter import Segmenter
    from stm_jax.memory.protocol import Memory
    from stm_jax.nn.model import Model
    from stm_jax.reads.protocol import Read


@dataclasses.dataclass(frozen=True)
class BenchmarkDataset:
    """Segment every sequence of a data set, then score it.

    Writes DIR/masks/SEQUENCE/FRAME.png; where true masks are known scores.json, scores.csv and
    report.html; for YouTube-VOS submission.zip, as the server takes it. A run that was stopped
    goes on with the next sequence when the same command is given again.
    """

    root: tyro.conf.Positional[pathlib.Path]
    """The data set: the folder that holds JPEGImages and Annotations."""
    protocol: Protocol
    """davis2016 merges all objects into one; folder takes any data set in such folders."""
    out: pathlib.Path
    """The folder to write to."""
    split: str = "val"
    """train, val, test-dev; for youtube-vos also valid_all_frames."""
    sequences: tuple[str, ...] = ()
    """Only these sequences."""
    weights: str = "stm-r18"
    """A bundled model, a .safetensors file, or a checkpoint folder."""
    memorize_every: int = 5
    """Keep every n-th frame in memory."""
    memory: tuple[str, ...] = ()
    """What is kept instead: a rule or a store and its knobs, such as fifo frames=8. There is
    every-nth, previous, first, evenly-spread, fifo, annotated, recent, random-frame, reservoir,
    confident, least-used, ucb, diverse, xmem, afb-urr, swift-net, or FILE.py:CLASS of your own."""
    read: tuple[str, ...] = ()
    """How the memory is read: dense, slots, chunked, top-k, kernelized, regional, window, or
    FILE.py:NAME of your own, and its knobs, such as top-k k=30."""
    size: int | None = None
    """Work at this length of the shorter side, in pixels (masks keep the frames' own size)."""
    flip: tyro.conf.FlagCreatePairsOff[bool] = False
    """Segment mirrored frames as well, and average: takes twice as long."""
    scales: tuple[float, ...] = (1.0,)
    """Segment at each of these factors of the size, and average."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of the network."""
    devices: int = 1
    """Share the sequences out over so many devices."""
    heat_maps: int = 0
    """Show on the page where the worst frame of so many sequences looked in the memory: those with
    the lowest J, each segmented again up to there."""
    no_score: tyro.conf.FlagCreatePairsOff[bool] = False
    """Write masks only."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Start again, and replace the results that are in the folder."""

    def run(self) -> None:
        """Runs the command.

        Raises:
            InputError: An input cannot be used; sequences that are done are kept.
            KeyboardInterrupt: Stopped by Ctrl-C or SIGTERM; sequences that are done are kept.
            OSError: A result cannot be written.
        """
        self.run_with()

    def run_with(self, variant: "tuple[Memory, Read | None] | None" = None) -> None:
        """Runs the command with this memory and read, or with those that the options choose."""
        self._check_options()
        sequences = benchmark_sequences(self.root, self.protocol, self.split, self.sequences)
        programs = plan_programs(
            {sequence.name: _video(sequence) for sequence in sequences},
            max(1, MOST_PROGRAMS // len(self.scales)),
        )

        import jax  # heavy, and not needed to say what is wrong above

        from stm_jax.catalogue import chosen
        from stm_jax.runtime.compile_cache import enable_compilation_cache
        from stm_jax.weights.files import load

        variant = variant or chosen(self.memory, self.read, self.memorize_every)
        if self.devices > len(jax.local_devices()):
            raise InputError(f"--devices is {self.devices}: there are {len(jax.local_devices())}")
        enable_compilation_cache()
        model = load(self.weights)
        folder = BenchmarkFolder(
            self.out,
            self._settings(model, sequences, *variant),
            versions() | {"weights given": self.weights, "data set": str(self.root.resolve())},
        )
        folder.begin(self.overwrite)
        segmenter = functools.partial(self._segmenter, model, *variant)
        with explain_out_of_memory():
            self._segment(segmenter, sequences, programs, folder)
        if self.protocol == "youtube-vos" and not folder.submission.exists():
            folder.write_submission(sequences)
            print(f"for the server: {folder.submission}")
        if not self.no_score:
            with explain_out_of_memory():
                score(
                    sequences,
                    self.protocol,
                    folder,
                    functools.partial(self._draw, segmenter, programs, folder),
                )

    def _draw(
        self,
        segmenter: "Callable[[int], Segmenter | AveragedSegmenter]",
        programs: dict[str, Program],
        folder: BenchmarkFolder,
        scores: "Scores",
        sequences: Sequence[BenchmarkSequence],
    ) -> None:
        """Draws the heat maps that are asked for."""
        if not self.heat_maps:
            return
        from stm_jax.benchmark.attention import draw_attention
        from stm_jax.infer.segmenter import Segmenter

        first = segmenter(0)
        assert isinstance(first, Segmenter)  # as _check_options has seen to
        draw_attention(scores, sequences, programs, first, folder, self.heat_maps)

    def _check_options(self) -> None:
        if self.memorize_every < 1:
            raise InputError(f"--memorize-every is {self.memorize_every}: give 1 or more")
        if self.size is not None and self.size < 16:
            raise InputError(f"--size is {self.size}: give 16 pixels or more")
        if not self.scales or min(self.scales) <= 0 or len(set(self.scales)) < len(self.scales):
            given = " ".join(map(str, self.scales)) or "empty"
            raise InputError(f"--scales is {given}: give different positive numbers")
        if self.heat_maps < 0:
            raise InputError(f"--heat-maps is {self.heat_maps}: give 0 or more")
        if self.heat_maps and (self.flip or self.scales != (1.0,)):
            raise InputError("--heat-maps shows one memory: leave it out beside --flip or --scales")
        if self.devices < 1:
            raise InputError(f"--devices is {self.devices}: give 1 or more")

    def _settings(
        self,
        model: "Model",
        sequences: Sequence[BenchmarkSequence],
        memory: "Memory",
        read: "Read | None",
    ) -> dict[str, Any]:
        """Returns everything that the masks depend on: a run goes on only if all is the same."""
        import jax

        from stm_jax.catalogue import noted

        return {
            "protocol": self.protocol,
            "split": self.split,
            "sequences": [sequence.name for sequence in sequences],
            "data": hash_of_data(sequences),
            "weights": hash_of(model),
            "memory": noted(memory),
            "read": noted(read),
            "size": self.size,
            "flip": self.flip,
            "scales": list(self.scales),
            "dtype": self.dtype,
            "kind of device": jax.local_devices()[0].device_kind,
            "matmul precision": jax.config.values["jax_default_matmul_precision"] or "default",
            "version": __version__,
        }

    def _segmenter(
        self, model: "Model", memory: "Memory", read: "Read | None", index: int
    ) -> "Segmenter | AveragedSegmenter":
        """Returns the segmenter of one device."""
        import jax
        import jax.numpy as jnp

        from stm_jax.infer.averaged import AveragedSegmenter
        from stm_jax.infer.segmenter import Segmenter

        dtype, device = jnp.dtype(self.dtype), jax.local_devices()[index]
        if self.flip or self.scales != (1.0,):
            return AveragedSegmenter(
                model,
                memory=memory,
                read=read,
                scales=self.scales,
                flip=self.flip,
                short_side=self.size,
                dtype=dtype,
                device=device,
            )
        return Segmenter(
            model,
            memory=memory,
            read=read,
            short_side=self.size,
            dtype=dtype,
            device=device,
        )

    def _segment(
        self,
        segmenter: "Callable[[int], Segmenter | AveragedSegmenter]",
        sequences: Sequence[BenchmarkSequence],
        programs: dict[str, Program],
        folder: BenchmarkFolder,
    ) -> None:
        """Segments the sequences that are not done yet, and says how fast it was."""
        from stm_jax.benchmark.work import Stopped, segment_all

        by_name = {sequence.name: sequence for sequence in sequences}
        done = [each.name for each in sequences if folder.summary_of(each) is not None]
        # In the order of the plan, so that a device goes on with the program that it has.
        jobs = [(by_name[name], programs[name]) for name in programs if name not in done]
        if not jobs:
            print(f"all {len(sequences)} sequences are done (--overwrite starts again)")
            return
        segmenters = [segmenter(i) for i in range(min(self.devices, len(jobs)))]
        begun = time.perf_counter()
        count = sum(len(sequence.frames) for sequence in sequences)
        with stop_between_frames() as stop_asked, FrameProgress(count) as progress:
            if done:
                progress.say(f"going on after {len(done)} sequences that are done")
            tick = _ticking(progress, sequences, done)
            try:
                summaries = segment_all(jobs, segmenters, folder, tick, stop_asked)
            except (Stopped, InputError) as error:
                count = sum(folder.summary_of(each) is not None for each in sequences)
                kept = f"{count} of {len(sequences)} sequences are done and kept in {self.out}"
                if isinstance(error, InputError):
                    raise InputError(f"{error}; {kept}") from error
                raise KeyboardInterrupt(
                    f"{kept}; give the same command again to go on from there"
                ) from error
        print_speed(summaries, time.perf_counter() - begun, len(segmenters))


def _video(sequence: BenchmarkSequence) -> Video:
    """Returns what decides about the program; given masks must have the frames' size."""
    size = size_of(sequence.frames[0])
    for index in sequence.given:
        mask = sequence.truths[index]
        if mask is not None and size_of(mask) != size:
            height, width = size_of(mask)
            raise InputError(
                f"{mask} is {width}x{height} but the frames are {size[1]}x{size[0]}"
                " (width x height): give masks of the frames' size"
            )
    return Video(size, len(sequence.object_ids), len(sequence.frames))


def hash_of_data(sequences: Sequence[BenchmarkSequence]) -> str:
    """Returns a hash of the names and lengths of all frames, and of the masks that are given."""
    content = hashlib.sha256()
    for sequence in sequences:
        content.update(
            f"{sequence.name} {sequence.wanted} {sorted(sequence.given.items())}".encode()
        )
        for frame in sequence.frames:
            content.update(f"{frame.name} {frame.stat().st_size}".encode())
        for index in sequence.given:
            mask = sequence.truths[index]
            content.update(mask.read_bytes() if mask else b"")
    return content.hexdigest()


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
