"""Draw the ground truth of the demonstration clip from the polygons that were drawn by hand.

    python tools/make_demo_masks.py tools/bigbuckbunny_polygons.json \\
        stm_jax/assets/bigbuckbunny_masks

The polygons are {frame: [{"kind": "fill" or "hole", "points": [[x, y], ...]}, ...]}, in pixels of
the clip, x to the right and y down, with (0, 0) the upper left corner of the upper left pixel. A
pixel belongs to the rabbit if its centre does.
"""

import json
from pathlib import Path

import numpy as np
import tyro
from PIL import Image

from stm_jax.data.coco import filled
from stm_jax.data.palette import davis_palette

WIDTH, HEIGHT = 768, 432


def draw(polygons: list[dict], rows: int) -> np.ndarray:
    """The mask of one frame: (rows, columns) uint8, 1 in the fills and outside of the holes."""
    rabbit = np.zeros((rows, WIDTH * rows // HEIGHT), bool)
    for kind in ("fill", "hole"):
        for polygon in polygons:
            if polygon["kind"] == kind:
                points = np.array(polygon["points"], float) * (rows / HEIGHT)
                rabbit[filled(points, rabbit.shape)] = kind == "fill"
    return rabbit.astype(np.uint8)


def main(
    polygons: tyro.conf.Positional[Path], masks: tyro.conf.Positional[Path], rows: int = HEIGHT
) -> None:
    """Draws the masks of the demonstration clip.

    Args:
        polygons: As bigbuckbunny_polygons.json.
        masks: The folder to write 00000.png, ... to.
        rows: Their height, if not the clip's; they are 16 to 9.
    """
    masks.mkdir(parents=True, exist_ok=True)
    for frame, drawn in json.loads(polygons.read_text()).items():
        mask = Image.fromarray(draw(drawn, rows))  # uint8 makes mode "L", a palette makes it "P"
        mask.putpalette(davis_palette()[:2].tobytes())
        mask.save(masks / f"{int(frame):05d}.png", optimize=True)


if __name__ == "__main__":
    tyro.cli(main)
