"""`stm-jax convert`: weights from wherever they lie into one file, for us or for PyTorch."""

import dataclasses
import pathlib
from typing import TYPE_CHECKING, Literal

import numpy as np
import tyro
from jaxtyping import UInt8

from stm_jax.errors import InputError
from stm_jax.runtime.outputs import check_outputs, weights_read
from stm_jax.text import printable

if TYPE_CHECKING:
    from stm_jax.nn.model import Model

OURS, PYTORCH = ".safetensors", (".pth", ".pt")

LIMIT = 1e-4
"""Largest difference in probability that --verify takes for rounding.

Measured on `random_clip`: two right implementations in float32 differ by 1e-6 to 1e-5. A batch-norm
epsilon of 1e-3, one kernel with height and width changed over, or two tensors swapped, which have
the same shape, make 1e-3 to 1.
"""


@dataclasses.dataclass(frozen=True)
class Convert:
    """Convert weights, wherever they lie, into one file; what OUT ends in says for whom.

    OUT.safetensors is for stm_jax and holds the network's configuration too. OUT.pth (or .pt) is
    for the original implementation in PyTorch; files of PyTorch need `stm_jax[torch]`.
    """

    source: tyro.conf.Positional[str]
    """A file of PyTorch (.pth, .pt, ...), .npz or .safetensors, known by its content, with the
    original implementation's names; or weights of stm_jax: a .safetensors file, a bundled model,
    or the folder of a training run, whose newest checkpoint is taken (its best model is
    RUN_FOLDER/best.safetensors)."""
    out: tyro.conf.Positional[pathlib.Path]
    """The file to write: .safetensors for stm_jax, .pth or .pt for PyTorch."""
    dtype: Literal["float32", "float16"] = "float32"
    """What OUT.safetensors stores; float16 is half as large and loads as float32."""
    about: str | None = None
    """A line on where the weights come from, kept in OUT.safetensors; else SOURCE's name."""
    verify: tyro.conf.FlagCreatePairsOff[bool] = False
    """Read OUT back and compare every entry; with PyTorch installed also run both networks on a
    random clip."""

    def run(self) -> None:
        """Runs the command.

        Raises:
          InputError: the weights cannot be used, or --verify found a difference; or PyTorch is
            needed and not installed.
          OSError: OUT cannot be written; what was there before is untouched.
        """
        self._check_options()
        from stm_jax.weights.any_source import read_weights
        from stm_jax.weights.files import save
        from stm_jax.weights.pth import write_pth  # heavy, and not needed to say what is wrong
        from stm_jax.weights.pytorch import to_pytorch

        model, given = read_weights(self.source)
        if self.out.suffix == OURS:
            about = f"converted from {pathlib.Path(self.source).name}"
            about = about if self.about is None else self.about
            save(model, self.out, dtype=np.dtype(self.dtype).type, about=about)
        else:
            write_pth(self.out, to_pytorch(model))
        size = self.out.stat().st_size / 1e6
        print(f"{self.out}: {printable(model.config.name)}, {len(given)} entries, {size:.1f} MB")
        if self.verify:
            self._verify(model, given)

    def _check_options(self) -> None:
        if self.out.suffix not in (OURS, *PYTORCH):
            raise InputError(
                f"{self.out} must end in .safetensors (for stm_jax) or in .pth or .pt (for PyTorch)"
            )
        if self.dtype != "float32" and (self.verify or self.out.suffix != OURS):
            raise InputError(
                f"--dtype {self.dtype} is for OUT.safetensors, and changes what --verify compares"
            )
        check_outputs(weights_read(self.source), files=[self.out])

    def _verify(self, model: "Model", given: dict[str, np.ndarray]) -> None:
        from stm_jax.weights.any_source import entries_of
        from stm_jax.weights.files import load
        from stm_jax.weights.pth import read_pth
        from stm_jax.weights.pytorch import is_plain

        if self.out.suffix == OURS:
            ours, theirs = load(self.out), given
            back = entries_of(ours)
        else:
            ours, theirs = model, read_pth(self.out)
            back = theirs
        changed = changed_entries(given, back)
        if changed:
            raise InputError(
                f"{self.out} is not to be trusted: {len(changed)} of {len(given)} entries came "
                f"back changed, {changed[0]} for one; please report it"
            )
        print(f"{len(given)} of {len(given)} entries come back equal, bit for bit")
        if not is_plain(ours.config):
            print("networks not run: PyTorch's has the dot product only")
            return
        difference = largest_difference(ours, theirs)
        if difference is None:
            print('networks not run: that needs PyTorch, pip install "stm_jax[torch]"')
            return
        told = f"largest difference in probability on a random clip {difference:.1e}"
        if not difference <= LIMIT:  # so that NaN fails
            raise InputError(
                f"{self.out} is not to be trusted: {told}, above {LIMIT:.0e}; please report it"
            )
        print(f"{told} (rounding: below {LIMIT:.0e})")


def changed_entries(given: dict[str, np.ndarray], back: dict[str, np.ndarray]) -> list[str]:
    """Returns the names whose arrays are not the same to the bit, once in float32 or int64."""
    return sorted(
        name
        for name, array in back.items()
        if name in given and given[name].astype(array.dtype).tobytes() != array.tobytes()
    )


def largest_difference(model: "Model", state_dict: dict[str, np.ndarray]) -> float | None:
    """Returns the largest difference in probability between our network and PyTorch's.

    Both follow two objects through `random_clip`; None if PyTorch is not installed.
    """
    try:
        import torch
    except ImportError:
        return None
    import jax

    from stm_jax.infer.segmenter import Segmenter
    from stm_jax.runtime.compile_cache import enable_compilation_cache
    from stm_jax.weights import torch_twin

    enable_compilation_cache()
    frames, first_mask = random_clip()
    config = model.config
    twin = torch_twin.STM(config)
    twin.load_state_dict({name: torch.tensor(array) for name, array in state_dict.items()})
    theirs = torch_twin.segment_clip(twin, frames, first_mask, memorize_every=2)
    # Accelerators multiply float32 in lower precision by default.
    with jax.default_matmul_precision("highest"):
        ours = Segmenter(model, memorize_every=2).segment(frames, first_mask, soft=True)
    return float(np.abs(ours - theirs.numpy().swapaxes(0, 1)).max())


def random_clip() -> tuple[
    UInt8[np.ndarray, "frames height width 3"], UInt8[np.ndarray, "height width"]
]:
    """Returns frames of two patches that wander over a background, and the first one's ids.

    All three are random blotches; the sides are no multiple of 16, so padding counts too.
    """
    rng = np.random.default_rng(0)

    def blotches(height: int, width: int) -> np.ndarray:
        coarse = rng.integers(0, 256, (height // 6 + 1, width // 6 + 1, 3), np.uint8)
        return coarse.repeat(6, axis=0).repeat(6, axis=1)[:height, :width]

    frames = np.stack([blotches(90, 118)] * 5)
    mask = np.zeros((90, 118), np.uint8)
    for object_id, (top, left, step) in enumerate([(10, 8, 5), (44, 80, -4)], start=1):
        patch = blotches(34, 28)
        for t, frame in enumerate(frames):
            frame[top + 2 * t :][:34, left + step * t :][:, :28] = patch
        mask[top : top + 34, left : left + 28] = object_id
    return frames, mask
