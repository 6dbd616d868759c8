"""What exports of a network are worth on the demo clip: a Markdown table.

    python tools/exported.py
    python tools/exported.py --weights stm-r50.safetensors --dtype bfloat16

Each kind of export is loaded in a process of its own, without a compilation cache, and follows the
clip from its first mask. Its ids are compared with those of the library, its J with the masks made
by hand. ONNX graphs are followed by `examples/onnx/follow.py`, and need jax2onnx and onnxruntime.
"""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import tyro
from PIL import Image

from stm_jax.commands.shared.demo_clip import CLIP, TRUTH
from stm_jax.commands.shared.options import ModelOptions
from stm_jax.data.masks import read_mask
from stm_jax.data.video_files import open_frames
from stm_jax.eval.davis import region_similarity
from stm_jax.export.onnx import export_onnx
from stm_jax.export.programs import Sizes
from stm_jax.export.stablehlo import export_stablehlo

EXAMPLE = pathlib.Path(__file__).parents[1] / "examples" / "onnx" / "follow.py"
RUNNER = """
import json, sys, time
begun = time.perf_counter()
import numpy as np
from stm_jax import exported
clip = np.load(sys.argv[1])
network = exported.load(sys.argv[2], check=False)
loaded = time.perf_counter()
ids, ends = [], []
for each in network.follow(clip["frames"], clip["mask"]):
    ids.append(np.asarray(each))
    ends.append(time.perf_counter())
np.save(sys.argv[3], ids)
assert not any(name.startswith("stm_jax.nn") for name in sys.modules)
laps = np.diff(ends)
print(json.dumps([loaded - begun, laps[0], float(np.median(laps[1:]))]))
"""


@dataclasses.dataclass(frozen=True)
class Options:
    """What is exported."""

    model: tyro.conf.OmitArgPrefixes[ModelOptions] = dataclasses.field(default_factory=ModelOptions)
    frames: int = 61
    """How many frames of the clip."""


def main(options: Options) -> None:
    """Prints the table."""
    frames = np.stack(list(open_frames(CLIP).read())[: options.frames])
    truth = {int(path.stem): read_mask(path) for path in sorted(TRUTH.glob("*.png"))}
    loaded = options.model.load()
    height, width = frames.shape[1:3]
    dtype = options.model.dtype
    print("| export | MB | loaded, s | first frame, s | a frame, s | pixels equal | J |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    segmenter = loaded.segmenter()
    segmenter.segment(frames[:3], truth[0])  # compiles
    begun = time.perf_counter()
    expected = segmenter.segment(frames, truth[0])
    each = (time.perf_counter() - begun) / (len(frames) - 1)
    print(f"| the library, {dtype} | | | | {each:.2f} | | {mean_j(expected, truth):.4f} |")
    for name, size in (("any size", None), ("one size", (height, width))):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "out.zip"
            sizes = Sizes(size, objects=1, slots=16)
            export_stablehlo(loaded.model, loaded.recipe(), path, sizes)
            found = run(path, frames, truth[0])
            megabytes = path.stat().st_size / 1e6
        print_row(f"StableHLO, {dtype}, {name}", megabytes, *found, expected, truth)
    for numbers in ("float32", "float16"):
        with tempfile.TemporaryDirectory() as folder:
            graphs = pathlib.Path(folder) / "graphs"
            graphs.mkdir()
            sizes = Sizes((height, width), objects=1, slots=16)
            files = export_onnx(loaded.model, graphs, sizes, dtype=numbers)
            found = run_onnx(graphs, frames, truth[0])
            megabytes = sum(each.stat().st_size for each in files) / 1e6
        print_row(f"ONNX, {numbers}, one size, onnxruntime", megabytes, *found, expected, truth)


def print_row(
    name: str,
    megabytes: float,
    ids: np.ndarray,
    seconds: list[float],
    expected: np.ndarray,
    truth: dict[int, np.ndarray],
) -> None:
    """Prints what one export is worth."""
    load, first, later = seconds
    print(
        f"| {name} | {megabytes:.1f} | {load:.1f} | {first:.1f} | {later:.2f} |"
        f" {(ids == expected).mean():.6f} | {mean_j(ids, truth):.4f} |",
        flush=True,
    )


def run(path: pathlib.Path, frames: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Returns the ids of an export's own process, and its seconds."""
    clip, answer = path.with_name("clip.npz"), path.with_name("ids.npy")
    np.savez(clip, frames=frames, mask=mask)
    command = [sys.executable, "-c", RUNNER, str(clip), str(path), str(answer)]
    environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return np.load(answer), json.loads(done.stdout)


def run_onnx(
    graphs: pathlib.Path, frames: np.ndarray, mask: np.ndarray
) -> tuple[np.ndarray, list[float]]:
    """Returns the ids of the example without JAX, and its seconds: by when it wrote each mask."""
    pictures, first_mask, out = (graphs / name for name in ("frames", "mask.png", "out"))
    pictures.mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(pictures / f"{number:05}.png")
    Image.fromarray(mask).save(first_mask)
    begun = time.time()
    subprocess.run([sys.executable, EXAMPLE, graphs, pictures, first_mask, out], check=True)
    masks = sorted(out.iterdir())
    ends = [each.stat().st_mtime for each in masks]
    laps = np.diff(ends)
    ids = np.stack([np.array(Image.open(each)) for each in masks])
    return ids, [ends[0] - begun, laps[0], float(np.median(laps[1:]))]


def mean_j(ids: np.ndarray, truth: dict[int, np.ndarray]) -> float:
    """Returns the mean J over the frames with a true mask, but the first."""
    later = [number for number in truth if 0 < number < len(ids)]
    return float(np.mean([region_similarity(ids[i] > 0, truth[i] > 0) for i in later]))


if __name__ == "__main__":
    main(tyro.cli(Options))
