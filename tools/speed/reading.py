"""Times reading a frame and a mask of 480p, beside another checkout of the project and Pillow.

    python tools/speed/reading.py --before DIR

Each checkout reads in a process of its own; they take turns, round after round. Printed are the
median of the rounds, and the lowest and the highest.
"""

import argparse
import importlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEIGHT, WIDTH, CALLS = 480, 854, 20
FILES = {"frame, JPEG": "frame.jpg", "frame, PNG": "frame.png", "mask, by hand": "mask.png"}
TRUTH = "mask, of a data set"


def write_inputs(folder: pathlib.Path) -> None:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (30, 54, 3), np.uint8))
    frame = coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    frame.save(folder / "frame.jpg", quality=95)
    frame.save(folder / "frame.png")
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    for object_id, (row, column) in enumerate([(200, 300), (260, 600)], 1):
        ids[(rows - row) ** 2 + (columns - column) ** 2 < 110**2] = object_id
    mask = Image.fromarray(ids)
    mask.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    mask.save(folder / "mask.png")


def readers() -> dict:
    """Returns what reads each kind, of whichever checkout is imported."""
    pictures = importlib.import_module("stm_jax.data.image_files")
    masks = importlib.import_module("stm_jax.data.masks")
    found: dict = {"frame, JPEG": pictures.read_rgb, "frame, PNG": pictures.read_rgb}
    found["mask, by hand"] = masks.read_mask
    try:
        found[TRUTH] = importlib.import_module("stm_jax.data.truth_masks").read_truth
    except ImportError:  # as it was called until 0.1.0
        found[TRUTH] = importlib.import_module("stm_jax.data.truths").read_truth
    return found


def times(folder: pathlib.Path, reads: dict) -> dict[str, float]:
    """Returns the milliseconds of a call."""
    found = {}
    for kind, read in reads.items():
        path = folder / FILES.get(kind, "mask.png")
        read(path)
        taken = []
        for _ in range(CALLS):
            begun = time.perf_counter()
            read(path)
            taken.append(time.perf_counter() - begun)
        found[kind] = 1000 * float(np.median(taken))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Times reading a frame and a mask of 480p.")
    parser.add_argument("--before", type=pathlib.Path, help="another checkout")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--child", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        print(json.dumps(times(options.child, readers())))
        return
    checkouts = {"now": ROOT} | ({} if options.before is None else {"before": options.before})
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_inputs(folder)
        rounds: dict[str, list[dict[str, float]]] = {who: [] for who in (*checkouts, "Pillow")}
        plain = dict.fromkeys((*FILES, TRUTH), lambda path: np.array(Image.open(path)))
        for _ in range(options.rounds):
            for who, place in checkouts.items():
                command = [sys.executable, __file__, "--child", str(folder)]
                environment = os.environ | {"PYTHONPATH": str(place.resolve())}
                said = subprocess.run(command, env=environment, capture_output=True, check=True)
                rounds[who].append(json.loads(said.stdout))
            rounds["Pillow"].append(times(folder, plain))
    print(f"milliseconds for {WIDTH}x{HEIGHT}: median (lowest to highest) of {options.rounds}")
    for kind in (*FILES, TRUTH):
        cells = []
        for who, found in rounds.items():
            values = [each[kind] for each in found]
            low, high = min(values), max(values)
            cells.append(f"{who} {np.median(values):6.2f} ({low:.2f} to {high:.2f})")
        print(f"{kind:>20}: {'   '.join(cells)}")


if __name__ == "__main__":
    main()
