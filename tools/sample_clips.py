"""Draws a page of the clips that a configuration trains on, with their masks: look at it.

    python tools/sample_clips.py --config configs/stm_r18.py --data DIR --stage 1 --out clips.png

A row is a clip, its frames as they are and again with their masks; the number under them is what
the clip's objects cover of the frame, in percent.
"""

import dataclasses
import pathlib
import sys

import numpy as np
import tyro

from stm_jax.commands.train import changed, load_config, with_root
from stm_jax.data.pipeline import training_clips
from stm_jax.errors import InputError
from stm_jax.report.overlay import contact_sheet


@dataclasses.dataclass(frozen=True)
class Options:
    """Which clips."""

    config: pathlib.Path
    """A Python file with get_config()."""
    data: pathlib.Path
    """The folder that the configuration's paths are relative to."""
    out: pathlib.Path
    """The picture to write."""
    changes: tyro.conf.Positional[tuple[str, ...]] = ()
    """Changes to the configuration, NAME=VALUE, as of `stm-jax train`."""
    stage: int = 0
    """Of which stage, from 0."""
    step: int = 0
    """From which step of the stage on: the largest skip grows with it."""
    clips: int = 8
    """How many clips."""


def main(options: Options) -> None:
    """Writes the page."""
    config = with_root(changed(load_config(options.config), options.changes), options.data)
    if not 0 <= options.stage < len(config.stages):
        raise InputError(f"no stage {options.stage}: there are {len(config.stages)}, from 0")
    stage = config.stages[options.stage]
    batches = training_clips(
        stage.data, config.seed + 100 * options.stage, stage.steps, start=options.step
    )
    frames, ids, captions = [], [], []
    count = 0
    while count < options.clips:
        batch = next(batches)
        for clip, masks in zip(batch["frames"], batch["masks"], strict=True):
            count += 1
            if count > options.clips:
                break
            frames += [*clip, *clip]
            ids += [*[None] * len(clip), *masks]
            captions += [f"clip {count}, frame {t}" for t in range(len(clip))]
            captions += [_covered(mask) for mask in masks]
    page = contact_sheet(frames, ids, 2 * stage.data.length, captions)
    page.save(options.out)
    print(f"{options.out}: {options.clips} clips of stage {options.stage}, step {options.step}")


def _covered(mask: np.ndarray) -> str:
    shares = np.bincount(mask.reshape(-1))[1:] / mask.size
    return ", ".join(f"{i}: {100 * share:.1f} %" for i, share in enumerate(shares, 1)) or "nothing"


if __name__ == "__main__":
    try:
        main(tyro.cli(Options))
    except InputError as error:
        sys.exit(f"error: {error}")
