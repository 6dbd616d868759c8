"""Small data sets in the layouts of the benchmarks, and a process to run a program on them."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
from PIL import Image

import stm_jax
from stm_jax.data.palette import davis_palette
from tests.lively import clip

# Not the colours of DAVIS, as in YouTube-VOS.
OTHER_PALETTE = np.stack([np.arange(256), np.arange(256)[::-1], np.full(256, 90)], axis=1)


def write_frames(folder: pathlib.Path, names: list[str], height: int, width: int) -> None:
    folder.mkdir(parents=True)
    for name, frame in zip(names, clip(len(names), height, width), strict=True):
        Image.fromarray(frame).save(folder / name)


def write_palette(path: pathlib.Path, ids: np.ndarray, palette: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids)
    palette = davis_palette() if palette is None else palette
    image.putpalette(palette.astype(np.uint8).tobytes())
    image.save(path)


def boxes(height: int, width: int, ids: tuple[int, ...], shift: int = 0) -> np.ndarray:
    """Returns a mask with a stripe of each object, (height, width) uint8."""
    mask = np.zeros((height, width), np.uint8)
    step = height // (len(ids) + 1)
    for row, i in enumerate(ids):
        mask[2 + row * step : row * step + step, 3 + shift : width // 2 + shift] = i
    return mask


def davis2017(root: pathlib.Path, videos: dict[str, tuple[int, int, int, tuple[int, ...]]]) -> None:
    """Writes name: (frames, height, width, ids) with a true mask of every frame, and a val list."""
    for name, (count, height, width, ids) in videos.items():
        names = [f"{t:05d}.png" for t in range(count)]
        write_frames(root / "JPEGImages" / "480p" / name, names, height, width)
        for t, file in enumerate(names):
            path = root / "Annotations" / "480p" / name / file
            write_palette(path, boxes(height, width, ids, min(t, 4)))
    lists = root / "ImageSets" / "2017"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_bytes(os.fsencode("\n".join(videos) + "\n"))


def youtube_vos(root: pathlib.Path) -> None:
    """Writes `valid` and `valid_all_frames` with two videos.

    "early" has objects 1 and 2 from its first frame on. In "late", which begins at frame 5, object
    1 is given at frame 10 and object 3, alone in its mask, at frame 20. Every fifth frame is in
    `valid`; of "late", frame 25 is not wanted.
    """
    spans = {"early": (0, 15), "late": (5, 31)}
    height, width = 32, 48
    for name, (first, last) in spans.items():
        names = [f"{t:05d}.png" for t in range(first, last + 1)]
        every = root / "valid_all_frames" / "JPEGImages" / name
        write_frames(every, names, height, width)
        fifth = root / "valid" / "JPEGImages" / name
        fifth.mkdir(parents=True)
        for file in names:
            if int(file[:5]) % 5 == 0:
                (fifth / file).write_bytes((every / file).read_bytes())
    masks = root / "valid" / "Annotations"
    stripes = boxes(height, width, (1, 2, 3))
    write_palette(masks / "early/00000.png", stripes * (stripes < 3), OTHER_PALETTE)
    write_palette(masks / "late/00010.png", stripes * (stripes == 1), OTHER_PALETTE)
    write_palette(masks / "late/00020.png", stripes * (stripes == 3), OTHER_PALETTE)

    def thing(category: str, *frames: int) -> dict:
        return {"category": category, "frames": [f"{t:05d}" for t in frames]}

    early = {"1": thing("ape", 0, 5, 10, 15), "2": thing("zebra", 0, 5, 10)}
    late = {"1": thing("ape", 10, 15, 20, 30), "3": thing("train", 20, 30)}
    meta = {"videos": {"early": {"objects": early}, "late": {"objects": late}}}
    (root / "valid" / "meta.json").write_text(json.dumps(meta))


def run_elsewhere(
    program: str, given: list[str], **environment: str
) -> subprocess.CompletedProcess:
    """Runs a Python program in a process of its own that shares the compilation cache."""
    root = str(pathlib.Path(stm_jax.__file__).parents[1])
    environment |= {
        "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]),
        "JAX_COMPILATION_CACHE_DIR": str(jax.config.jax_compilation_cache_dir),
        "JAX_DEFAULT_MATMUL_PRECISION": "highest",
    }
    return subprocess.run(
        [sys.executable, "-c", program, *given],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
