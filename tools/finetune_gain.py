"""How much J a few annotated frames of a video bring on the rest of it: a Markdown table.

    python tools/finetune_gain.py --videos DIR --sequences dance-jump swing

Each video is trained on alone, from the weights, by configs/finetune.py and a few of its frames,
evenly spread. Before and after, it is followed from its first mask, with the options of the model
as of `stm-jax segment`, and J is the mean over the frames that were not given.
"""

import dataclasses
import pathlib
import shutil
import tempfile
import time

import numpy as np
import tyro

import stm_jax
from stm_jax.commands.shared.options import ModelOptions
from stm_jax.commands.train import changed, load_config, with_root
from stm_jax.data.samples import Video
from stm_jax.data.sources import Videos
from stm_jax.eval.davis import region_similarity
from stm_jax.runtime.freed_memory import keep_freed_memory
from stm_jax.train.loop import fit

RECIPE = pathlib.Path(__file__).resolve().parent.parent / "configs" / "finetune.py"


@dataclasses.dataclass(frozen=True)
class Options:
    """What is trained on, and how."""

    videos: pathlib.Path
    """Folder with JPEGImages and Annotations, every frame with its mask."""
    sequences: tuple[str, ...]
    """Which videos, one after the other."""
    frames: int = 5
    """How many frames are given with their masks."""
    changes: tuple[str, ...] = ()
    """Changes to the recipe, NAME=VALUE, as `stm-jax train` takes them."""
    model: tyro.conf.OmitArgPrefixes[ModelOptions] = dataclasses.field(default_factory=ModelOptions)


def given_of(length: int, frames: int) -> list[int]:
    """Returns which frames of a video are given: evenly spread, the first and the last too."""
    return [int(i) for i in np.linspace(0, length - 1, frames).round()]


def copy_given(video: Video, given: list[int], folder: pathlib.Path) -> None:
    """Copies the given frames and their masks into a folder of videos that has no others."""
    for sample in (video.samples[i] for i in given):
        for kind, file in (("JPEGImages", sample.image), ("Annotations", sample.mask)):
            (folder / kind / video.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(str(file), folder / kind / video.name)


def rest_j(segmenter: stm_jax.Segmenter, video: Video, given: list[int]) -> float:
    """Returns J of "some object" over the frames that were not given."""
    overlaps = []
    for number, sample in enumerate(video.samples):
        frame, truth = sample.read()
        if number == 0:
            segmenter.start(frame, truth, length=len(video.samples))
            continue
        found = segmenter.step(frame)
        if number not in given:
            overlaps.append(region_similarity(found > 0, truth > 0))
    return float(np.mean(overlaps))


def tuned(video: Video, given: list[int], options: Options) -> stm_jax.Model:
    """Returns the model after training on the given frames alone."""
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        copy_given(video, given, folder / "data")
        changes = (f"start_from={options.model.weights}", *options.changes)
        config = changed(load_config(RECIPE), changes)
        return fit(with_root(config, folder / "data"), folder / "run")


def main(options: Options) -> None:
    """Prints a row for each sequence, and the mean."""
    keep_freed_memory()
    before = options.model.load()
    rows = []
    print("| sequence | frames | given | J before | J after | gain | minutes of training |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for video in Videos(options.videos).videos():
        if video.name not in options.sequences:
            continue
        given = given_of(len(video.samples), options.frames)
        begun = time.perf_counter()
        after = dataclasses.replace(before, model=tuned(video, given, options))
        minutes = (time.perf_counter() - begun) / 60
        row = [rest_j(each.segmenter(), video, given) for each in (before, after)]
        rows.append(row)
        numbers = ", ".join(map(str, given))
        print(
            f"| {video.name} | {len(video.samples)} | {numbers} | {row[0]:.3f} | {row[1]:.3f} "
            f"| {row[1] - row[0]:+.3f} | {minutes:.1f} |",
            flush=True,
        )
    if rows:
        old, new = np.mean(rows, axis=0)
        print(f"| mean | | | {old:.3f} | {new:.3f} | {new - old:+.3f} | |")


if __name__ == "__main__":
    main(tyro.cli(Options))
