"""`stm-jax export`: the model of a training run as one file."""

import dataclasses
import pathlib
from typing import Literal

import numpy as np
import tyro

from stm_jax.errors import InputError
from stm_jax.train.validation import BEST


@dataclasses.dataclass(frozen=True)
class Export:
    """Write the model of a training run into one file: its newest checkpoint, or its best.

    OUT.safetensors is what `--weights` and stm_jax.load take; OUT.pth (or .pt) is for the original
    implementation in PyTorch and needs `stm_jax[torch]`.
    """

    run_folder: tyro.conf.Positional[pathlib.Path]
    """The folder of the run."""
    out: tyro.conf.Positional[pathlib.Path]
    """The file to write: .safetensors, or .pth or .pt."""
    best: tyro.conf.FlagCreatePairsOff[bool] = False
    """The model that did best in validation, rather than the newest."""
    dtype: Literal["float32", "float16"] = "float32"
    """What OUT.safetensors stores; float16 is half as large and loads as float32."""
    about: str = ""
    """A line on where the weights come from, kept in OUT.safetensors."""

    def run(self) -> None:
        """Runs the command.

        Raises:
          InputError: the run has nothing to export, or OUT's name says no format.
          OSError: OUT cannot be written; what was there before is untouched.
        """
        if self.out.suffix not in (".safetensors", ".pth", ".pt"):
            raise InputError(f"{self.out} must end in .safetensors, .pth or .pt")
        if not self.out.parent.is_dir():
            raise InputError(f"there is no folder {self.out.parent}: make it, or give another OUT")
        if not self.run_folder.is_dir():
            raise InputError(f"there is no folder {self.run_folder}: give that of a training run")
        source = self.run_folder / BEST if self.best else self.run_folder
        if self.best and not source.is_file():
            raise InputError(
                f"{self.run_folder} has no {BEST}: name sequences in the configuration's "
                "validate_on, or leave out --best"
            )
        from stm_jax.weights.files import load, save
        from stm_jax.weights.pth import write_pth  # heavy, and not needed to say what is wrong
        from stm_jax.weights.pytorch import to_pytorch

        model = load(source)
        if self.out.suffix == ".safetensors":
            save(model, self.out, dtype=np.dtype(self.dtype).type, about=self.about)
        else:
            write_pth(self.out, to_pytorch(model))
        print(f"{self.out}: {model.config.name}, {self.out.stat().st_size / 1e6:.1f} MB")
