"""`stm-jax export`: the network as programs that run without its code."""

import dataclasses
import pathlib
import re
from typing import Literal

import tyro

from stm_jax.checks import MOST_PIXELS, within
from stm_jax.errors import InputError
from stm_jax.runtime.outputs import check_outputs, weights_read

ARCHIVE, WEIGHTS = ".zip", ".safetensors"


@dataclasses.dataclass(frozen=True)
class Export:
    """Export a network as programs that run without its code.

    OUT.zip holds StableHLO programs for CPUs, NVIDIA GPUs and TPUs, with the weights, what they
    are, and a test that is run when they are loaded: `stm_jax.exported.load(OUT)` needs JAX alone.
    `--format onnx` writes OUT/memorize.onnx and OUT/segment.onnx, for any ONNX runtime.
    """

    weights: tyro.conf.Positional[str]
    """A bundled model, a .safetensors file, or the folder of a training run."""
    out: tyro.conf.Positional[pathlib.Path]
    """The archive to write, OUT.zip; for ONNX a folder."""
    format: Literal["stablehlo", "onnx"] = "stablehlo"
    """What is written. ONNX is float32, and of one size."""
    size: str = "any"
    """Of the frames, as 854x480 (columns, rows); or any, for all whose sides are multiples of 16,
    each of which is compiled when it is first met."""
    objects: int = 1
    """How many objects there is room for."""
    slots: int = 6
    """How many frames there is room for in the memory; then the oldest but the first gives way."""
    memorize_every: int = 5
    """Every which frame `step` remembers."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of the network."""
    platforms: tuple[Literal["cpu", "cuda", "rocm", "tpu"], ...] = ("cpu", "cuda", "tpu")
    """What the programs are lowered for."""
    weights_beside: tyro.conf.FlagCreatePairsOff[bool] = False
    """Write the weights to OUT.safetensors beside OUT.zip, not into it."""

    def run(self) -> None:
        """Runs the command.

        Raises:
          InputError: an option makes no sense, or the weights cannot be used.
          OSError: OUT cannot be written; what was there before is untouched.
        """
        size = self._checked_size()
        if self.format == "onnx":
            self._export_onnx(size)
            return
        beside = self.out.with_suffix(WEIGHTS) if self.weights_beside else None
        check_outputs(weights_read(self.weights), files=[self.out, beside])
        from stm_jax.export.programs import Sizes
        from stm_jax.export.stablehlo import export_stablehlo
        from stm_jax.runtime.compile_cache import enable_compilation_cache
        from stm_jax.weights.files import load

        enable_compilation_cache()
        export_stablehlo(
            load(self.weights),
            self.out,
            Sizes(size, self.objects, self.slots),
            memorize_every=self.memorize_every,
            dtype=self.dtype,
            platforms=self.platforms,
            beside=beside,
            about=f"exported from {pathlib.Path(self.weights).name}",
        )
        for path in (self.out, beside):
            if path is not None:
                print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")

    def _export_onnx(self, size: tuple[int, int] | None) -> None:
        if size is None:
            raise InputError("ONNX is for one size of frames: give --size, as in --size 854x480")
        stablehlo = Export("", pathlib.Path())
        for name in ("dtype", "platforms", "memorize_every", "weights_beside"):
            if getattr(self, name) != getattr(stablehlo, name):
                raise InputError(f"--{name.replace('_', '-')} is not for ONNX: leave it out")
        check_outputs(weights_read(self.weights), folder=self.out)
        from stm_jax.export.onnx import export_onnx
        from stm_jax.export.programs import Sizes
        from stm_jax.weights.files import load

        model = load(self.weights)
        self.out.mkdir(parents=True, exist_ok=True)
        about = f"exported from {pathlib.Path(self.weights).name}"
        for path in export_onnx(
            model, self.out, Sizes(size, self.objects, self.slots), about=about
        ):
            print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")

    def _checked_size(self) -> tuple[int, int] | None:
        if self.out.suffix in (WEIGHTS, ".pth", ".pt"):
            raise InputError(
                f"{self.out} is a file of weights, which stm-jax convert writes; an export ends in"
                f" {ARCHIVE}"
            )
        if self.format == "stablehlo" and self.out.suffix != ARCHIVE:
            raise InputError(f"{self.out} must end in {ARCHIVE}")
        within("--objects", self.objects, 1, 255)
        within("--slots", self.slots, 2, 2**15)
        within("--memorize-every", self.memorize_every, 1, 2**31 - 1)
        if not self.platforms:
            raise InputError("--platforms has none: name one, as in --platforms cpu")
        if self.size == "any":
            return None
        sides = re.fullmatch(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})", self.size)
        if not sides:
            raise InputError(f"--size {self.size!r} is no size: give it as 854x480, or any")
        width, height = int(sides[1]), int(sides[2])
        for side in (width, height):
            within("--size", side, 16, MOST_PIXELS)
        return height, width
