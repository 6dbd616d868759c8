"""Measures videos side by side in one program against one after the other.

    python tools/speed/many_videos.py --rounds 3

There are two videos for each place of the batch, long ones with short ones after them, so that
places are filled again at different times. They take turns with the same videos one by one, and
with a batch whose videos a device segments at once (by `vmap`) rather than one after the other
within the program. Printed are milliseconds a frame, median over the rounds with [least, most], of
the clock and of all threads; before that, how far the probabilities are from those of one by one.
No file is read or written while time is taken. The pictures are those of the demo clip.
"""

import concurrent.futures
import dataclasses
from typing import Literal

import jax
import numpy as np
import tyro
from PIL import Image

from stm_jax.catalogue import chosen_memory
from stm_jax.commands.shared.demo_clip import CLIP
from stm_jax.data.video_files import open_frames
from stm_jax.infer.batch import Batch
from stm_jax.infer.segmenter import Segmenter
from stm_jax.weights.files import load
from tools.speed.turns import interleave, ratio, times


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured, and how often."""

    network: str = "stm-r18"
    frames: tuple[int, int] = (427, 240)
    """Width and height."""
    objects: int = 1
    videos: int = 8
    steps: int = 12
    """Frames after the first, of the two videos of a place together; more than --videos."""
    rounds: int = 3
    kept: tuple[str, ...] = ("every-nth",)
    """The memory, in the words of the option --memory."""
    dtype: Literal["float32", "bfloat16"] = "float32"


@dataclasses.dataclass(frozen=True)
class Video:
    """Frames, (T, H, W, 3) uint8, and the first one's mask, (H, W) uint8."""

    frames: np.ndarray
    mask: np.ndarray


def videos_of(options: Options) -> list[tuple[Video, Video]]:
    """Returns the two videos of each place."""
    clip = [Image.fromarray(each) for each in open_frames(CLIP).read()]
    width, height = options.frames
    scene = np.stack([np.array(each.resize(options.frames)) for each in clip])
    scene = np.concatenate([scene, scene[::-1]] * (1 + options.steps // len(scene)))
    mask = np.zeros((height, width), np.uint8)
    for number in range(options.objects):
        top = height * number // options.objects
        mask[top : top + height // (options.objects + 1), width // 4 : width // 2] = 1 + number

    def video(steps: int, shift: int) -> Video:
        return Video(np.roll(scene[: 1 + steps], 7 * shift, axis=2), np.roll(mask, 7 * shift, 1))

    firsts = [1 + (options.steps - 2) * (1 + i) // options.videos for i in range(options.videos)]
    return [(video(n, i), video(options.steps - n, -i)) for i, n in enumerate(firsts)]


def follow(segmenter: Segmenter, video: Video, options: Options) -> list[np.ndarray]:
    """Segments a video; returns the ids of its frames."""
    first, length = video.frames[0], 1 + options.steps
    answers = [segmenter.start(first, video.mask, length=length, objects=options.objects)]
    return answers + [segmenter.step(frame) for frame in video.frames[1:]]


def soft(segmenter: Segmenter, video: Video, options: Options) -> list[np.ndarray]:
    """Returns the soft masks of a video's frames."""
    found = []
    for number, frame in enumerate(video.frames):
        one = Video(frame[None], video.mask)
        follow(segmenter, one, options) if number == 0 else segmenter.step(frame)
        found.append(segmenter.state_arrays()["masks"])
    return found


def side_by_side(batch: Batch, pairs: list[tuple[Video, Video]], options: Options, do) -> list:
    """Does so with all videos; no place is left, for all end with the same step."""

    def work(place: int) -> list:
        return [do(batch.segmenters[place], video, options) for video in pairs[place]]

    with concurrent.futures.ThreadPoolExecutor(len(pairs)) as pool:
        return list(pool.map(work, range(len(pairs))))


def main(options: Options) -> None:
    """Prints the table."""
    model, pairs = load(options.network), videos_of(options)
    memory = chosen_memory(options.kept)
    segmenter = Segmenter(model, memory=memory, dtype=options.dtype)
    devices = jax.local_devices()
    batches = {
        name: Batch(
            model, options.videos, devices, at_once=at_once, memory=memory, dtype=options.dtype
        )
        for name, at_once in {"one after the other": False, "at once": True}.items()
    }
    print(f"{options.network}, {options}, {len(devices)} {devices[0].device_kind}", flush=True)
    alone = [[soft(segmenter, video, options) for video in pair] for pair in pairs]
    for name, batch in batches.items():
        found = side_by_side(batch, pairs, options, soft)
        pixels = jax.tree.map(lambda a, b: np.abs(a - b).max(), alone, found)
        print(f"{name}: probabilities differ by at most {max(jax.tree.leaves(pixels)):.1e}")
    calls = {"one by one": lambda: [[follow(segmenter, v, options) for v in p] for p in pairs]} | {
        name: lambda batch=batch: side_by_side(batch, pairs, options, follow)
        for name, batch in batches.items()
    }
    frames = options.videos * options.steps
    seconds = {name: each / frames for name, each in interleave(calls, options.rounds).items()}
    for name, each in seconds.items():
        times_as_fast = ratio(seconds["one by one"], each)
        print(f"| {name} | {times(each)} | {np.median(1 / each[0]):.2f} | {times_as_fast} |")


if __name__ == "__main__":
    main(tyro.cli(Options))
