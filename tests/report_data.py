"""A small made-up data set with predictions and scores, for the tests of the report page."""

import pathlib

import numpy as np
from PIL import Image

from stm_jax.data.benchmarks import BenchmarkSequence
from stm_jax.data.masks import write_mask
from stm_jax.eval.davis import ObjectScores
from stm_jax.eval.scores import Scores

HEIGHT, WIDTH = 36, 64


def make_sequence(
    root: pathlib.Path, name: str, folder: str, objects: tuple[int, ...] = (1,), frames: int = 12
) -> BenchmarkSequence:
    """Writes squares that move over a grey ground; the last object appears in frame 2 if not alone.

    The masks predicted, in root/predictions, lag behind by a pixel.
    """
    paths, truths = [], []
    predicted = root / "predictions" / name
    for each in (root / folder, predicted):
        each.mkdir(parents=True)
    late = objects[-1] if len(objects) > 1 else None
    for index in range(frames):
        ids = np.zeros((HEIGHT, WIDTH), np.uint8)
        for place, object_id in enumerate(objects):
            if object_id != late or index >= 2:
                ids[
                    4 + 9 * place : 12 + 9 * place, 3 + 3 * (index % 12) : 15 + 3 * (index % 12)
                ] = object_id
        pixels = np.full((HEIGHT, WIDTH, 3), 60 + 10 * (index % 12), np.uint8)
        pixels[ids > 0] = (200, 190, 40)
        paths.append(root / folder / f"{index:05d}.png")
        truths.append(root / folder / f"mask{index:05d}.png")
        Image.fromarray(pixels).save(paths[-1])
        write_mask(truths[-1], ids)
        write_mask(predicted / f"{index:05d}.png", np.roll(ids, -1, axis=1))
    given = {0: objects} if late is None else {0: objects[:-1], 2: (late,)}
    categories = {objects[0]: "square"}
    return BenchmarkSequence(
        name, tuple(paths), tuple(truths), given, tuple(range(frames)), categories
    )


def make_scores(sequences: list[BenchmarkSequence], problems: tuple[str, ...] = ()) -> Scores:
    """Returns made-up values: J falls over the video and from object to object, F is 0.9."""
    objects, frames = {}, {}
    for sequence in sequences:
        for place, object_id in enumerate(sequence.object_ids):
            start = next(i for i, ids in sequence.given.items() if object_id in ids)
            scored = range(start + 1, len(sequence.frames) - 1)
            j = tuple(max(1 - 0.05 * index - 0.1 * place, 0) for index in scored)
            key = sequence.name, object_id
            objects[key] = ObjectScores(object_id, j, (0.9,) * len(j))
            frames[key] = tuple(sequence.frames[index].stem for index in scored)
    return Scores("davis2017", objects, frames, problems)
