"""`stm-jax export`: the network as programs that run without its code."""

import dataclasses
import pathlib
import re
from typing import TYPE_CHECKING, Literal

import tyro

from stm_jax.checks import MOST_PIXELS, within
from stm_jax.commands.shared.options import LoadedModel, ModelOptions
from stm_jax.errors import InputError
from stm_jax.runtime.claim import make_folder
from stm_jax.runtime.outputs import check_outputs, weights_read

if TYPE_CHECKING:
    from stm_jax.export.programs import Sizes

ARCHIVE, WEIGHTS = ".zip", ".safetensors"


@dataclasses.dataclass(frozen=True)
class ExportOptions(ModelOptions):
    """The network, its memory, how that is read, and how alike keys are."""

    # A choice more, which commands that run the network do not have.
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"  # pyright: ignore
    """Precision of the network; float16 is for ONNX."""


@dataclasses.dataclass(frozen=True)
class Export:
    """Export a network as programs that run without its code.

    OUT.zip holds StableHLO programs for CPUs, NVIDIA GPUs and TPUs, with the weights, what they
    are, and a test that is run when they are loaded: `stm_jax.exported.load(OUT)` needs JAX alone.
    `--format onnx` writes OUT/memorize.onnx and OUT/segment.onnx, for any ONNX runtime.
    """

    out: tyro.conf.Positional[pathlib.Path]
    """The archive to write, OUT.zip; for ONNX a folder."""
    model: ExportOptions = dataclasses.field(default_factory=ExportOptions)
    format: Literal["stablehlo", "onnx"] = "stablehlo"
    """What is written. ONNX is float32 or float16, of one size of frames, and leaves the memory's
    rule to whoever runs it."""
    frames: str = "any"
    """The size of the frames, as 854x480 (columns, rows); or any, for all whose sides are multiples
    of 16, each of which is compiled when it is first met."""
    objects: int = 1
    """How many objects there is room for."""
    slots: int = 6
    """How many frames there is room for in the memory."""
    platforms: tuple[Literal["cpu", "cuda", "rocm", "tpu"], ...] = ("cpu", "cuda", "tpu")
    """What StableHLO is lowered for."""
    weights_beside: tyro.conf.FlagCreatePairsOff[bool] = False
    """Write the weights to OUT.safetensors beside OUT.zip, not into it."""

    def run(self) -> None:
        """Runs the command.

        Raises:
          InputError: an option makes no sense, or the weights cannot be used.
          OSError: OUT cannot be written; what was there before is untouched.
        """
        self.model.check()
        size = self._checked_size()
        beside = self.out.with_suffix(WEIGHTS) if self.weights_beside else None
        onnx = self.format == "onnx"
        check_outputs(
            weights_read(self.model.weights),
            files=() if onnx else (self.out, beside),
            folder=self.out if onnx else None,
        )
        from stm_jax.export.programs import Sizes

        loaded, sizes = self.model.load(), Sizes(size, self.objects, self.slots)
        for path in self._onnx(loaded, sizes) if onnx else self._stablehlo(loaded, sizes, beside):
            print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")

    def _stablehlo(
        self, loaded: LoadedModel, sizes: "Sizes", beside: pathlib.Path | None
    ) -> list[pathlib.Path]:
        from stm_jax.export.stablehlo import export_stablehlo

        export_stablehlo(
            loaded.model,
            loaded.recipe(),
            self.out,
            sizes,
            platforms=self.platforms,
            beside=beside,
            about=self._about,
        )
        return [self.out] if beside is None else [self.out, beside]

    def _onnx(self, loaded: LoadedModel, sizes: "Sizes") -> list[pathlib.Path]:
        from stm_jax.export.onnx import export_onnx

        make_folder(self.out)
        dtype = self.model.dtype
        return export_onnx(loaded.model, self.out, sizes, dtype=dtype, about=self._about)

    @property
    def _about(self) -> str:
        return f"exported from {pathlib.Path(self.model.weights).name}"

    def _checked_size(self) -> tuple[int, int] | None:
        if self.out.suffix in (WEIGHTS, ".pth", ".pt"):
            raise InputError(
                f"{self.out} is a file of weights, which stm-jax convert writes; an export ends in"
                f" {ARCHIVE}"
            )
        if self.model.runtime != "jax":
            raise InputError("--runtime is for running a network, not for an export: leave it out")
        if self.model.zoom:
            raise InputError("--zoom is for running a network, not for an export: leave it out")
        if self.format == "onnx":
            self._check_onnx()
        elif self.model.dtype == "float16":
            raise InputError("--dtype float16 is for --format onnx: take bfloat16")
        elif self.out.suffix != ARCHIVE:
            raise InputError(f"{self.out} must end in {ARCHIVE}")
        within("--objects", self.objects, 1, 255)
        within("--slots", self.slots, 2, 2**15)
        if not self.platforms:
            raise InputError("--platforms has none: name one, as in --platforms cpu")
        if self.frames == "any":
            return None
        sides = re.fullmatch(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})", self.frames)
        if not sides:
            raise InputError(f"--frames {self.frames!r} is no size: give it as 854x480, or any")
        width, height = int(sides[1]), int(sides[2])
        for side in (width, height):
            within("--frames", side, 16, MOST_PIXELS)
        return height, width

    def _check_onnx(self) -> None:
        if self.frames == "any":
            raise InputError("ONNX is for one size of frames: give it, as in --frames 854x480")
        usual = Export(pathlib.Path())
        for name in ("platforms", "weights_beside"):
            if getattr(self, name) != getattr(usual, name):
                raise InputError(f"--{name.replace('_', '-')} is not for ONNX: leave it out")
        if self.model.dtype == "bfloat16":
            raise InputError("--dtype bfloat16 is not for ONNX: take float16")
        for name in ("size", "memory", "read", "memorize_every"):
            if getattr(self.model, name) != getattr(usual.model, name):
                raise InputError(f"--{name.replace('_', '-')} is not for ONNX: leave it out")
