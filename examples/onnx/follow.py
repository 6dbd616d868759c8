"""Follows objects through a folder of frames with ONNX graphs: NumPy and onnxruntime, no JAX.

    stm-jax export onnx-r18 --format onnx --frames 768x432
    pip install numpy pillow onnxruntime
    python follow.py onnx-r18 frames first_mask.png result

What stm-jax does by itself is written out here: which frames are remembered, and which gives way.
"""

import json
import pathlib
import sys

import numpy as np
import onnxruntime
from PIL import Image

MEMORIZE_EVERY = 5


def main(graphs: str, frames: str, first_mask: str, out: str) -> None:
    """Writes a mask of every frame into the folder `out`."""
    memorize, segment = (
        onnxruntime.InferenceSession(f"{graphs}/{name}.onnx") for name in ("memorize", "segment")
    )
    about, other = (
        json.loads(graph.get_modelmeta().custom_metadata_map["stm_jax"])
        for graph in (memorize, segment)
    )
    if about != other:
        sys.exit(f"the two graphs in {graphs} are of different exports: export them again")
    objects, slots = about["objects"], about["slots"]
    picture = Image.open(first_mask)
    mask = np.array(picture)
    ids = np.setdiff1d(mask, 0)
    if len(ids) > objects:
        sys.exit(f"{first_mask} has {len(ids)} objects, and the graphs are for {objects}")
    soft = np.zeros((objects, *mask.shape), np.float32)
    soft[: len(ids)] = mask == ids[:, None, None]

    keys = values = numbers = None
    filled = np.zeros((objects, slots), bool)
    pathlib.Path(out).mkdir(exist_ok=True)
    frame_before = None
    for number, path in enumerate(sorted(pathlib.Path(frames).iterdir())):
        frame = np.array(Image.open(path).convert("RGB"))
        if frame_before is not None:
            key, value = memorize.run(None, {"frame": frame_before, "masks": soft})
            if keys is None:  # [objects, slots, rows, columns, channels], as the graph has them
                keys = np.zeros((objects, slots, *key.shape[1:]), key.dtype)
                values = np.zeros((objects, slots, *value.shape[1:]), value.dtype)
                numbers = np.full(slots, -1)
            at, filled[:, 0], numbers[0] = 0, False, -1  # slot 0 is the previous frame's
            if (number - 1) % MEMORIZE_EVERY == 0:  # this one stays, in a slot of its own
                free = np.flatnonzero(numbers[1:] < 0)
                oldest = 2 + np.argmin(numbers[2:]) if slots > 2 else 0  # but the first
                at = 1 + free[0] if len(free) else oldest
            keys[:, at], values[:, at], numbers[at] = key, value, number - 1
            filled[: len(ids), at] = True
            (probabilities,) = segment.run(
                None, {"frame": frame, "keys": keys, "values": values, "filled": filled}
            )
            soft = probabilities[1:]
            mask = np.array([0, *ids, *[0] * (objects - len(ids))], np.uint8)[
                probabilities.argmax(axis=0)
            ]
        answer = Image.fromarray(mask)
        if picture.mode == "P":
            answer.putpalette(picture.getpalette())
        answer.save(f"{out}/{path.stem}.png")
        frame_before = frame


if __name__ == "__main__":
    main(*sys.argv[1:])
