"""A stream of many frames: programs compiled, memory of the process, and time of a frame.

    python tools/speed/stream_length.py --frames 10000 --memory fifo
    python tools/speed/stream_length.py --frames 10000 --memory xmem

follows the rabbit of the bundled clip, which is played forwards and backwards, over and over,
through `Segmenter.step`. Printed are

- the XLA programs that were compiled, all of them counted, and at which frames: one is wanted;
- the resident memory of the process, the median of every 100 frames, and the slope of these after
  the first 100 frames: by least squares, and the median of the slopes of all pairs, which a single
  rise does not move. The median of frames, for what a frame takes for a moment may still be there
  or not when the frame is answered; if it is, the next frame has to ask the system for as much once
  more. Such a rise comes at chance and at most a few times: each is printed with its frame;
- the median time of a frame in every block of 1,000 frames, and the slope of these.

The options of the model are those of `stm-jax segment`, such as `--memory fifo frames=8`.
"""

import collections
import dataclasses
import itertools
import time

import numpy as np
import tyro
from jaxtyping import UInt8
from PIL import Image
from scipy import stats
from turns import status_kib

from stm_jax.commands.shared.demo_clip import CLIP, TRUTH
from stm_jax.commands.shared.options import ModelOptions
from stm_jax.data.masks import read_mask
from stm_jax.data.video_files import open_frames
from stm_jax.runtime.compile_watch import watch_compilation
from stm_jax.runtime.freed_memory import keep_freed_memory

SETTLED = 100  # frames; buffers and caches are there by then


@dataclasses.dataclass(frozen=True)
class Options:
    """What is streamed."""

    frames: int = 10_000
    rows: int = 240
    """Rows of the frames."""
    model: tyro.conf.OmitArgPrefixes[ModelOptions] = dataclasses.field(
        default_factory=lambda: ModelOptions(memory=("fifo",))
    )
    sample: int = 100
    """Frames whose resident memory one median is taken of."""
    block: int = 1000
    """Frames whose times one median is taken of."""


def main(options: Options) -> None:
    """Streams, and prints what it took."""
    keep_freed_memory()
    clip, mask = rabbit(options.rows)
    there_and_back = itertools.cycle([*range(len(clip)), *range(len(clip) - 2, 0, -1)])
    model = options.model.load()
    segmenter = model.segmenter()
    seconds, kib = np.zeros(options.frames - 1), np.zeros(options.frames - 1)
    compiled: collections.Counter[int] = collections.Counter()
    with watch_compilation() as compilation:
        ids = segmenter.start(clip[next(there_and_back)], mask)
        compiled[0] = compilation.programs
        for number in range(1, options.frames):
            before, begun = compilation.programs, time.perf_counter()
            ids = segmenter.step(clip[next(there_and_back)])
            seconds[number - 1] = time.perf_counter() - begun
            kib[number - 1] = status_kib("VmRSS")
            compiled[number] += compilation.programs - before
            if number % options.block == 0:
                last = np.median(seconds[number - options.block : number])
                mib = kib[number - 1] / 2**10
                print(f"frame {number}: {mib:.1f} MiB, {1e3 * last:.1f} ms a frame", flush=True)

    height, width = mask.shape
    print(f"{model.memory}, {options.frames} frames of {width}x{height}")
    first, last = (mask > 0).mean(), (ids > 0).mean()
    print(f"  the object covers {first:.1%} of the first frame, {last:.1%} of the last")
    where = ", ".join(f"{count} at frame {n}" for n, count in compiled.items() if count)
    print(f"  compiled: {compilation.programs} programs ({where})")
    report_memory(kib, options.sample)
    report_time(seconds, options.block)


def report_memory(kib: np.ndarray, sample: int) -> None:
    """Prints how the resident memory after each frame goes on once it has settled."""
    begins = np.arange(SETTLED, len(kib) - sample + 1, sample)
    if len(begins) < 2:
        print("  resident memory: too few frames")
        return
    medians = np.array([np.median(kib[i : i + sample]) for i in begins]) / 2**10
    rest = kib[SETTLED:] / 2**10
    of_pairs = np.asarray(stats.theilslopes(medians, begins))[0]
    print(
        f"  resident memory, medians of {sample} frames: {medians[0]:.1f} MiB after frame "
        f"{SETTLED}, {medians[-1]:.1f} MiB in the end, from {medians.min():.1f} to "
        f"{medians.max():.1f} MiB (single frames {rest.min():.1f} to {rest.max():.1f}); "
        f"slope {1e3 * 2**10 * slope(begins, medians):+.1f} KiB per 1,000 frames by least squares, "
        f"{1e3 * 2**10 * of_pairs:+.1f} KiB by the median of all pairs"
    )
    rises = np.diff(kib) / 2**10
    listed = ", ".join(f"{rises[i]:+.1f} at frame {i + 2}" for i in np.flatnonzero(rises > 1))
    print(f"  rises of more than 1 MiB: {listed or 'none'}")


def report_time(seconds: np.ndarray, block: int) -> None:
    """Prints the median time of a frame, block by block, without the first, which compiles."""
    blocks = [seconds[max(i, 1) : i + block] for i in range(0, len(seconds), block)]
    medians = np.array([1e3 * np.median(each) for each in blocks if len(each)])
    listed = " ".join(f"{median:.1f}" for median in medians)
    line = f"  time of a frame, medians of {block} frames: {listed} ms"
    if len(medians) > 1:
        a_block = slope(np.arange(len(medians)), medians)
        change = 1e3 * a_block / block
        line += f"; slope {change:+.3f} ms ({change / np.median(medians):+.2%}) per 1,000 frames"
    print(line)


def slope(at: np.ndarray, values: np.ndarray) -> float:
    """Returns the slope of the line of least squares."""
    return float(np.polyfit(at - at.mean(), values, 1)[0])


def rabbit(rows: int) -> tuple[UInt8[np.ndarray, "frames h w 3"], UInt8[np.ndarray, "h w"]]:
    """Returns the bundled clip with so many rows, and the mask of its first frame."""
    source = open_frames(CLIP)
    size = round(source.width * rows / source.height), rows
    frames = [np.array(Image.fromarray(frame).resize(size)) for frame in source.read()]
    mask = Image.fromarray(read_mask(TRUTH / "00000.png"))
    return np.stack(frames), np.array(mask.resize(size, Image.Resampling.NEAREST))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
