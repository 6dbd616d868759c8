"""The options that several commands take, each declared here and nowhere else.

A command has them as fields; their names are those of the headings in `--help`. They are written
without those names before them, by OmitArgPrefixes.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from stm_jax.catalogue import STM_EVERY, help_of
from stm_jax.checks import MOST_PIXELS, within
from stm_jax.data.benchmarks import BenchmarkSequence, benchmark_sequences
from stm_jax.data.masks import HandMask, check_first_mask, read_hand_mask
from stm_jax.data.protocols import Protocol
from stm_jax.data.video_files import Frames, ImageFolder, open_frames
from stm_jax.errors import InputError

if TYPE_CHECKING:
    import jax

    from stm_jax.annotate.annotator import Annotator
    from stm_jax.infer.averaged import AveragedSegmenter
    from stm_jax.infer.batch import Batch
    from stm_jax.infer.openvino import OpenVino
    from stm_jax.infer.segmenter import Segmenter
    from stm_jax.infer.stream import Recipe
    from stm_jax.memory.protocol import Memory
    from stm_jax.nn.model import Model
    from stm_jax.reads.protocol import Read

MEMORY_HELP = f"""What is kept instead: a rule or a store and its knobs, such as fifo frames=8, or
FILE.py:NAME of your own.

{help_of("memory")}"""
READ_HELP = f"""How the memory is read: a read and its knobs, such as top-k k=30, or FILE.py:NAME of
your own.

{help_of("read")}"""

SIMILARITY_HELP = f"""How alike two keys are instead of as the weights were trained: a similarity
and its knobs, or FILE.py:NAME of your own. What it learns must be in the weights.

{help_of("similarity")}"""


MADE_FOR = 480
"""Rows of the frames that weights of this family are made for: those of DAVIS."""
SMALL = (120, 360)
"""From and up to how many rows it pays to enlarge frames to that."""
LARGE = 720
"""From how many rows on it pays to work at fewer."""


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """The network, its memory, how that is read, and how alike keys are."""

    weights: str = "stm-r18"
    """A bundled model, a .safetensors file, or the folder of a training run."""
    size: int | None = None
    """Work at this length of the shorter side, in pixels (masks keep the frames' own size)."""
    dtype: Literal["float32", "bfloat16", "int8"] = "float32"
    """Precision of the network; int8 with --runtime openvino alone."""
    runtime: Literal["jax", "openvino"] = "jax"
    """What runs the network. OpenVINO is quicker on CPUs that have instructions for int8 (and for
    bfloat16), with --dtype int8 (and bfloat16)."""
    zoom: bool = False
    """Look through a window that follows the objects: small ones keep their pixels."""
    memorize_every: int = STM_EVERY
    """Keep every n-th frame in memory."""
    memory: Annotated[tuple[str, ...], tyro.conf.arg(help=MEMORY_HELP)] = ()
    read: Annotated[tuple[str, ...], tyro.conf.arg(help=READ_HELP)] = ()
    similarity: Annotated[tuple[str, ...], tyro.conf.arg(help=SIMILARITY_HELP)] = ()

    def check(self) -> None:
        """Raises InputError if an option makes no sense, before anything heavy is imported."""
        within("--memorize-every", self.memorize_every, 1, 10**6)
        if self.size is not None:
            within("--size", self.size, 16, MOST_PIXELS)
        if self.dtype == "int8" and self.runtime == "jax":
            raise InputError("--dtype int8 needs --runtime openvino")

    def say_if_small_or_large(self, height: int, width: int) -> None:
        """Says that another working size would pay, where it would and none was decided."""
        rows = min(height, width)
        if self.size is not None:
            return
        times = (MADE_FOR / rows) ** 2
        if rows >= LARGE:
            print(
                f"{width}x{height} is large: --size {MADE_FOR}, which the weights are made for, is"
                f" about {1 / times:.2g} times as fast, and may be more accurate"
            )
        elif not self.zoom and SMALL[0] <= rows <= SMALL[1]:
            print(
                f"{width}x{height} is small: --size {MADE_FOR} enlarges the frames, which finds"
                f" small objects better and takes {times:.2g} times as long"
            )

    def load(self) -> "LoadedModel":
        """Returns what the options choose.

        Raises:
            InputError: There are no such weights, there is no such memory, read or similarity, or
                the weights have not learnt what it needs.
        """
        from stm_jax.catalogue import chosen
        from stm_jax.runtime.compile_cache import enable_compilation_cache
        from stm_jax.weights.files import load

        self.check()
        memory, read = chosen(self.memory, self.read, self.memorize_every)
        enable_compilation_cache()
        return LoadedModel(self, load(self.weights, self.similarity), memory, read)


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """The network, the memory and the read that options have chosen.

    Attributes:
        options: Those.
        model: The network with its weights.
        memory: What is written and dropped.
        read: How it is read; None for the memory's default.
    """

    options: ModelOptions
    model: "Model"
    memory: "Memory"
    read: "Read | None"

    def settings(self) -> dict[str, Any]:
        """Returns all of it that results depend on, as JSON values."""
        from stm_jax.catalogue import noted
        from stm_jax.weights.files import hash_of

        return {
            "weights": hash_of(self.model),
            "memory": noted(self.memory),
            "read": noted(self.read),
            "size": self.options.size,
            "dtype": self.options.dtype,
            **({} if self.options.runtime == "jax" else {"runtime": self.options.runtime}),
            **({"zoom": True} if self.options.zoom else {}),
        }

    def recipe(self) -> "Recipe":
        """Returns what decides the program of a step."""
        import jax.numpy as jnp

        from stm_jax.infer.stream import Recipe

        dtype = jnp.dtype(self._memory_dtype)
        return Recipe(self.model.config, self.memory, dtype, self.options.size, self.read)

    def segmenter(
        self,
        device: "jax.Device | None" = None,  # pyright: ignore[reportInvalidTypeForm]
    ) -> "Segmenter":
        """Returns a segmenter."""
        from stm_jax.infer.segmenter import Segmenter

        return Segmenter(self.model, device=device, **self._chosen())

    def batch(self, videos: int, devices: Sequence[Any]) -> "Batch":
        """Returns segmenters of so many videos that step together."""
        from stm_jax.infer.batch import Batch

        return Batch(self.model, videos, devices, **self._chosen())

    def averaged(
        self,
        scales: Sequence[float],
        flip: bool,
        device: "jax.Device | None" = None,  # pyright: ignore[reportInvalidTypeForm]
    ) -> "AveragedSegmenter":
        """Returns a segmenter at several scales, and mirrored."""
        from stm_jax.infer.averaged import AveragedSegmenter

        return AveragedSegmenter(
            self.model, scales=scales, flip=flip, device=device, **self._chosen()
        )

    def annotator(
        self, video: pathlib.Path, folder: pathlib.Path, *, keep_soft: bool = False
    ) -> "Annotator":
        """Returns a session over a video."""
        from stm_jax.annotate.annotator import Annotator

        return Annotator(self.model, video, folder, keep_soft=keep_soft, **self._chosen())

    def _chosen(self) -> dict[str, Any]:
        return {
            "memory": self.memory,
            "read": self.read,
            "short_side": self.options.size,
            "dtype": self._memory_dtype,
            "runtime": self._runtime,
            "zoom": self.options.zoom,
        }

    @property
    def _memory_dtype(self) -> str:
        return "bfloat16" if self.options.dtype == "int8" else self.options.dtype

    @functools.cached_property
    def _runtime(self) -> "OpenVino | None":
        if self.options.runtime == "jax":
            return None
        from stm_jax.infer.openvino import OpenVino

        if self.options.dtype != "int8":
            return OpenVino(self.model, self.options.dtype)
        from stm_jax.commands.shared.demo_clip import frames_with_masks

        return OpenVino(self.model, "int8", tuple(frames_with_masks().values()))


@dataclasses.dataclass(frozen=True)
class VideoOptions:
    """A video, and masks of its frames."""

    path: Annotated[tyro.conf.Positional[pathlib.Path], tyro.conf.arg(metavar="VIDEO")]
    """A video file, or a folder of frames (.jpg .png .bmp .webp, in natural order)."""
    mask: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """The mask of the first frame: a palette PNG, black and white, or flat colours on black. Or
    FRAME=FILE of any frame, by its number from 0 or its name, and the option once for each."""

    @property
    def first_mask(self) -> pathlib.Path | None:
        """The file of the first frame's mask, if that is all that is given."""
        if len(self.mask) != 1:
            return None
        frame, equals, file = self.mask[0].partition("=")
        if not equals or pathlib.Path(self.mask[0]).exists():
            return pathlib.Path(self.mask[0])
        return pathlib.Path(file) if frame.isdecimal() and int(frame) == 0 else None

    def open(self) -> tuple[Frames, HandMask]:
        """Returns the frames and the first mask; raises InputError if they cannot be used."""
        if self.first_mask is None:
            raise InputError("give the mask of the first frame: --mask FILE")
        frames = open_frames(self.path)
        _check_is_of_first_frame(self.first_mask, frames)
        first_mask = read_hand_mask(self.first_mask)
        check_first_mask(first_mask.ids, (frames.height, frames.width), self.first_mask)
        return frames, first_mask


def _check_is_of_first_frame(mask: pathlib.Path, frames: Frames) -> None:
    """Raises InputError if the mask bears the name of another frame of the folder."""
    if isinstance(frames, ImageFolder):
        first, *later = (file.stem for file in frames.files)
        if mask.stem != first and mask.stem in later:
            raise InputError(
                f"{mask} is named as frame {mask.stem} of {frames.path}, but the first is {first}:"
                f" give it as --mask {mask.stem}={mask}, or a mask of that one"
            )


@dataclasses.dataclass(frozen=True)
class ResultOptions:
    """Where the results go."""

    out: pathlib.Path
    """The folder to write to."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Start again, and replace the results that are in the folder."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SequenceOptions:
    """Which sequences of a data set."""

    protocol: Protocol
    """Whose layout and rules. davis2016 merges all objects into one; long-video is Long-time Video;
    folder takes any data set in such folders."""
    split: str = "val"
    """train, val, test, test-dev; for youtube-vos also valid_all_frames."""
    sequences: tuple[str, ...] = ()
    """Only these sequences."""

    def of(self, root: pathlib.Path) -> tuple[BenchmarkSequence, ...]:
        """Returns the sequences of the data set there; raises InputError if there are none."""
        return benchmark_sequences(root, self.protocol, self.split, self.sequences)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkOptions(SequenceOptions):
    """The data set that is segmented, and what is shown of it."""

    root: tyro.conf.Positional[pathlib.Path]
    """The data set: the folder that holds JPEGImages and Annotations; of BURST that with frames."""
    heat_maps: int = 0
    """Show on the page where the worst frame of so many sequences looked in the memory: those with
    the lowest J, each segmented again up to there."""
