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


def draw(polygons: list[dict]) -> np.ndarray:
    """The mask of one frame: (HEIGHT, WIDTH) uint8, 1 in the fills and outside of the holes."""
    rabbit = np.zeros((HEIGHT, WIDTH), bool)
    for kind in ("fill", "hole"):
        for polygon in polygons:
            if polygon["kind"] == kind:
                rabbit[filled(np.array(polygon["points"], float), rabbit.shape)] = kind == "fill"
    return rabbit.astype(np.uint8)


def main(polygons: tyro.conf.Positional[Path], masks: tyro.conf.Positional[Path]) -> None:
    """Draws the masks of the demonstration clip.

    Args:
        polygons: As bigbuckbunny_polygons.json.
        masks: The folder to write 00000.png, ... to.
    """
    masks.mkdir(parents=True, exist_ok=True)
    for frame, drawn in json.loads(polygons.read_text()).items():
        mask = Image.fromarray(draw(drawn))  # uint8 makes mode "L", a palette makes it "P"
        mask.putpalette(davis_palette()[:2].tobytes())
        mask.save(masks / f"{int(frame):05d}.png", optimize=True)


if __name__ == "__main__":
    tyro.cli(main)
