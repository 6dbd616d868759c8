"""`stm-jax plan`: what a network would do on accelerators that are not here."""

import dataclasses
import itertools
import pathlib
from typing import TYPE_CHECKING, Literal

import tyro

from stm_jax.checks import MOST_PIXELS, within
from stm_jax.commands.train import changed, load_config
from stm_jax.config import PRESETS
from stm_jax.data.config import DataConfig
from stm_jax.errors import InputError
from stm_jax.files import write_csv
from stm_jax.plan.targets import Target, target_of
from stm_jax.runtime.outputs import check_outputs
from stm_jax.train.config import StageConfig, TrainConfig

if TYPE_CHECKING:
    from stm_jax.plan.compiling import Compiled
    from stm_jax.plan.programs import Program

MOST = 10**4


@dataclasses.dataclass(frozen=True)
class Plan:
    """Compile a training step and a frame of a video for accelerators, and say how fast they are.

    None of them need be here. Targets are v5e-8, v5p-128, v6e-256 and the like, h100x1 to h100x8,
    and cpu. A row for each program and target: how long it compiles, whether it fits, its work
    and its bytes, what is exchanged, the time that its compiler and the published rates let
    expect, and what was measured where such devices are here.
    """

    targets: tyro.conf.Positional[tuple[str, ...]]
    """What to compile for."""
    config: pathlib.Path | None = None
    """A training's configuration, of which the last stage is planned: configs/davis_main.py."""
    change: tuple[str, ...] = ()
    """Changes to it, NAME=VALUE, as `stm-jax train` takes them."""
    networks: tuple[str, ...] = ("stm-r18", "stm-r50")
    """Which networks, in place of the configuration's."""
    programs: tuple[Literal["train", "segment"], ...] = ("segment", "train")
    """A step of training, a frame of a video, or both; to train needs --config."""
    clips: int = 4
    """Clips of a step on each chip."""
    frame: tuple[int, int] = (854, 480)
    """Width and height of a frame."""
    follow: tuple[int, ...] = (1,)
    """Numbers of objects that are followed in it."""
    slots: int = 6
    """Frames in its memory."""
    videos: tuple[int, ...] = (1,)
    """Numbers of videos that a chip follows at once, as `benchmark-dataset --videos` does."""
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """Of the convolutions."""
    texts: pathlib.Path | None = None
    """A folder that keeps what was compiled; what is there is not compiled again."""
    csv: pathlib.Path | None = None
    """A file for the rows."""

    def run(self) -> None:
        """Runs the command.

        Raises:
          InputError: there is no such target or network, or nothing here compiles for it.
        """
        targets = [target_of(name) for name in self.targets]
        self._check(targets)
        config = None if self.config is None else changed(load_config(self.config), self.change)

        from stm_jax.plan.compiling import check_installed, compiled_for, measured_seconds
        from stm_jax.plan.table import growth_of, markdown, planned, row_of

        for target in targets:
            check_installed(target)
        rows, growth = [], []
        done: dict[str, Compiled] = {}
        for name, program, target in self._all(config, targets):
            if name not in done:
                print(f"compiling {name}", flush=True)
                folder = None if self.texts is None else self.texts / name
                done[name] = compiled_for(target, program, folder)
            plan = planned(target, program, done[name], measured_seconds(target, program))
            rows.append(row_of(plan))
            print(markdown(rows[-1:]), flush=True)
            if config is not None and name.startswith("train"):
                growth += growth_of(plan, config)
        print()
        print(markdown(rows))
        if growth:
            print()
            print(markdown(growth))
        if self.csv is not None:
            write_csv(self.csv, [list(rows[0]), *(row.values() for row in rows)])

    def _check(self, targets: list[Target]) -> None:
        if not targets:
            raise InputError("no target: give some, such as v5e-8 or h100x1")
        if "train" in self.programs and self.config is None:
            raise InputError("to train needs --config FILE; or give --programs segment")
        for option in ("clips", "slots"):
            within(f"--{option}", getattr(self, option), 1, MOST)
        for objects in self.follow:
            within("--follow", objects, 1, 255)
        for videos in self.videos:
            within("--videos", videos, 1, MOST)
        for side in self.frame:
            within("--frame", side, 16, MOST_PIXELS)
        known = {preset.name for preset in PRESETS}
        for network in self.networks:
            if network not in known:
                raise InputError(f"no network {network}: give {', '.join(sorted(known))}")
        if self.csv is not None:
            check_outputs([self.config] if self.config else [], files=[self.csv])

    def _all(
        self, config: TrainConfig | None, targets: list[Target]
    ) -> "list[tuple[str, Program, Target]]":
        """Returns the programs, each with its target and a name for what is kept of it."""
        from stm_jax.plan.programs import Segmenting, Training

        found: list[tuple[str, Program, Target]] = []
        for network in (each for name in self.networks for each in PRESETS if each.name == name):
            for kind in self.programs:
                for target in targets:
                    if kind == "segment":
                        size = self.frame[1], self.frame[0]
                        # Each chip has videos of its own, and all have the same program.
                        for count, videos in itertools.product(self.follow, self.videos):
                            what = f"{network.name}-{size[1]}x{size[0]}-{count}-of-{self.slots}"
                            what += f"-{videos}-videos" if videos > 1 else ""
                            program = Segmenting(
                                network, self.precision, size, count, self.slots, videos
                            )
                            name = f"segment-{what}-{self.precision}-{target.chip.name}"
                            found.append((name, program, target))
                    elif config is not None:
                        stage = _planned_stage(config.stages[-1], self.clips * target.chips)
                        changes = {"model": network, "stages": (stage,), "dtype": self.precision}
                        step = Training(dataclasses.replace(config, **changes), stage)
                        what = f"{network.name}-{self.clips}-clips-{self.precision}"
                        found.append((f"train-{what}-{target.name}", step, target))
        return found


def _planned_stage(stage: StageConfig, clips: int) -> StageConfig:
    """Returns a stage with so many clips a step, and without its data: the program is the same."""
    data: DataConfig = dataclasses.replace(stage.data, sources=(), batch_size=clips)
    return dataclasses.replace(stage, data=data)
