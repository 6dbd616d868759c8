"""Segments sequences of a folder in the DAVIS 2016 layout and prints J and F as a Markdown table.

    python tools/score_sequences.py --videos DIR --sequences bear swing --weights stm-r18

Frames are segmented at their own size, by STM's rule (every fifth frame, first and previous).
"""

import dataclasses
import pathlib
import time

import numpy as np
import tyro

import stm_jax
from stm_jax.data.config import Videos
from stm_jax.data.sources import videos_of
from stm_jax.eval.davis import mean_over_objects, score_sequence
from stm_jax.runtime.compile_cache import enable_compilation_cache
from stm_jax.runtime.freed_memory import keep_freed_memory


@dataclasses.dataclass(frozen=True)
class Options:
    """What is scored."""

    videos: pathlib.Path
    """Folder with JPEGImages/480p and Annotations/480p."""
    sequences: tuple[str, ...]
    """Which sequences."""
    weights: str = "stm-r18"
    """Bundled name, .safetensors file or run folder."""
    memorize_every: int = 5
    """Keep every n-th frame in memory."""


def main(options: Options) -> None:
    """Prints a row for each sequence, and the mean."""
    keep_freed_memory()
    enable_compilation_cache()
    segmenter = stm_jax.Segmenter(stm_jax.load(options.weights), options.memorize_every)
    print("| sequence | frames | J | F | frames/s |\n| --- | --- | --- | --- | --- |")
    scores = []
    for video in videos_of(Videos(options.videos)):
        if video.name not in options.sequences:
            continue
        found, truths, begun = [], [], time.perf_counter()
        for sample in video.samples:
            frame, truth = sample.read()
            truths.append(truth)
            if found:
                found.append(segmenter.step(frame))
            else:
                found.append(segmenter.start(frame, truths[0], length=len(video.samples)))
        rate = len(found) / (time.perf_counter() - begun)
        (score,) = score_sequence(found, truths, [1])
        scores.append(score)
        print(
            f"| {video.name} | {len(found)} | {np.mean(score.j):.3f} | {np.mean(score.f):.3f} "
            f"| {rate:.2f} |",
            flush=True,
        )
    total = mean_over_objects(scores)
    print(f"| mean | | {total.j.mean:.3f} | {total.f.mean:.3f} | |")


if __name__ == "__main__":
    main(tyro.cli(Options))
