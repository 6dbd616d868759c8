"""Draw the ground truth of the demonstration clip from the polygons that were drawn by hand.

    python tools/make_demo_masks.py tools/bigbuckbunny_polygons.json \\
        stm_jax/assets/bigbuckbunny_masks

The polygons are {frame: [{"kind": "fill" or "hole", "points": [[x, y], ...]}, ...]}, in pixels of
the clip, x to the right and y down, with (0, 0) the upper left corner of the upper left pixel. A
pixel belongs to the rabbit if its centre does. Done in NumPy, so that the masks are the same
whatever the version of an imaging library.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 768, 432
PALETTE = [0, 0, 0, 128, 0, 0]  # 0 background, 1 the rabbit: the first two colours of DAVIS


def inside(points: np.ndarray) -> np.ndarray:
    """Which pixel centres lie inside a polygon, by the even-odd rule.

    points: (N, 2) float64, x and y. Returns (HEIGHT, WIDTH) bool.
    """
    x, y = np.arange(WIDTH) + 0.5, np.arange(HEIGHT)[:, None] + 0.5
    odd = np.zeros((HEIGHT, WIDTH), bool)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y0 != y1:
            crosses_row = (y0 <= y) != (y1 <= y)
            odd ^= crosses_row & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return odd


def draw(polygons: list[dict]) -> np.ndarray:
    """The mask of one frame: (HEIGHT, WIDTH) uint8, 1 in the fills and outside of the holes."""
    rabbit = np.zeros((HEIGHT, WIDTH), bool)
    for kind in ("fill", "hole"):
        for polygon in polygons:
            if polygon["kind"] == kind:
                rabbit[inside(np.array(polygon["points"], float))] = kind == "fill"
    return rabbit.astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the masks of the demonstration clip.")
    parser.add_argument("polygons", type=Path, help="bigbuckbunny_polygons.json")
    parser.add_argument("masks", type=Path, help="the folder to write 00000.png, ... to")
    arguments = parser.parse_args()
    arguments.masks.mkdir(parents=True, exist_ok=True)
    for frame, polygons in json.loads(arguments.polygons.read_text()).items():
        mask = Image.fromarray(draw(polygons))  # uint8 makes mode "L", a palette makes it "P"
        mask.putpalette(PALETTE)
        mask.save(arguments.masks / f"{int(frame):05d}.png", optimize=True)


if __name__ == "__main__":
    main()
