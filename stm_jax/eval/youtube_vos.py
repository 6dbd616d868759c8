"""Which objects of YouTube-VOS are of categories that its training set shows."""

import pathlib
from collections.abc import Sequence

from stm_jax.data.benchmarks import BenchmarkSequence
from stm_jax.data.layouts import read_meta
from stm_jax.errors import InputError
from stm_jax.eval.keys import Key


def seen_objects(sequences: Sequence[BenchmarkSequence]) -> tuple[dict[Key, bool], str | None]:
    """Returns of each object whether training shows its category, or why that is not known.

    The categories of training are those in the `meta.json` of its folder, `train`, which lies
    beside the folder of the sequences as the data set is unpacked. They are never guessed: without
    that file there is no list, and the line says so.
    """
    unnamed = [
        f"{sequence.name}_{object_id}"
        for sequence in sequences
        for object_id in sequence.object_ids
        if object_id not in sequence.categories
    ]
    if unnamed:
        return {}, (
            f"seen and unseen are not told apart: meta.json gives no category of {unnamed[0]}"
            + (f" and {len(unnamed) - 1} more objects" if len(unnamed) > 1 else "")
        )
    # ROOT/valid/JPEGImages/VIDEO/00000.jpg, or one folder deeper for all_frames/valid.
    above = sequences[0].frames[0].parents[3:5]
    places = [folder / "train" / "meta.json" for folder in above]
    place = next((path for path in places if path.is_file()), None)
    if place is None:
        looked = " or ".join(str(path) for path in places)
        return {}, f"seen and unseen are not told apart: no {looked} to say what training shows"
    try:
        shown = _categories(place)
    except InputError:
        return {}, f"seen and unseen are not told apart: {place} is not like YouTube-VOS's"
    if not shown:
        return {}, f"seen and unseen are not told apart: {place} gives no categories"
    return {
        (sequence.name, object_id): sequence.categories[object_id] in shown
        for sequence in sequences
        for object_id in sequence.object_ids
    }, None


def _categories(path: pathlib.Path) -> set[str]:
    videos = read_meta(path) or {}
    return {category for objects in videos.values() for category, _ in objects.values() if category}
