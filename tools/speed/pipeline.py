"""Measures the data pipeline alone: clips per second, and where the time goes.

    python tools/speed/pipeline.py --data DIR

DIR holds duts-tr-subset (images/, masks/) and davis2016-train (DAVIS 2016, 480p). Clips are of
three frames of 384x384, a batch of 4, made by one worker process for each core and taken by
this one, which does nothing else. Printed is the median over the rounds with [least, most]; the
start of the workers is not counted. Wanted: at least 20 clips a second and core from photographs,
8 from videos, with nothing pasted, as in configs/static_pretrain.py and configs/davis_main.py.

Where the time goes is measured in one process and one thread, in CPU time, which other programs
disturb less; each part without the parts that it calls.
"""

import contextlib
import dataclasses
import functools
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tyro
from absl import flags
from turns import spread

from stm_jax.data import clips, pasting
from stm_jax.data.config import DataConfig
from stm_jax.data.pipeline import clip_batches, training_clips
from stm_jax.data.samples import Sample
from stm_jax.data.sources import Photographs, Videos
from stm_jax.data.sources.protocol import Source
from stm_jax.data.views import View
from stm_jax.errors import InputError

PARTS = {
    "decode pictures": [(Sample, "rgb")],
    "decode masks": [(Sample, "ids")],
    "warp": [(View, "part_of")],
    "colour": [
        *((clips, name) for name in ("recolored", "random_color", "drift")),
        *((pasting, name) for name in ("recolored", "random_color", "likeness")),
    ],
    "place views": [(clips, "_views_of_object"), (pasting, "_views")],
    "paste": [(clips, "paste")],
    "dust, blur": [(clips, "clouded"), (clips, "worn")],
    "choose objects": [(clips, "_followed")],
}


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured, and how often."""

    data: pathlib.Path
    """The folder with both data sets."""
    pasted: tuple[int, ...] = (0, 2)
    """The most further objects that move over a clip."""
    clips: int = 200
    """How many clips are made in a round."""
    workers: int = os.cpu_count() or 1
    """Worker processes."""
    rounds: int = 3


def configuration(options: Options, kind: str, pasted: int) -> DataConfig:
    """Returns what feeds clips of 384x384; things to paste are cut out of photographs."""
    photographs = Photographs(options.data / "duts-tr-subset", weight=float(kind == "static"))
    sources: tuple[Source, ...] = (photographs,)
    if kind == "video":
        sources = (Videos(options.data / "davis2016-train"), *sources[: int(pasted > 0)])
    return DataConfig(sources, pasted=pasted, objects=3, size=384, first_skip=25, last_skip=25)


def rates(config: DataConfig, options: Options) -> np.ndarray:
    """Returns clips per second of each round."""
    batches = training_clips(config, 0, 10**6, workers=options.workers)
    for _ in range(4 * options.workers):  # all workers run, their buffers are full
        next(batches)
    count = -(-options.clips // config.batch_size)
    found = []
    for _ in range(options.rounds):
        begun = time.perf_counter()
        for _ in range(count):
            next(batches)
        found.append(count * config.batch_size / (time.perf_counter() - begun))
    batches.close()  # or the workers end when Python does, noisily
    return np.array(found)


def parts_of(config: DataConfig, count: int) -> dict[str, float]:
    """Returns milliseconds of CPU time a clip, of each part and of the rest."""
    spent: dict[str, float] = dict.fromkeys(PARTS, 0.0)
    inner = [0.0]  # of the calls that are open: time spent in parts that they called

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            inner.append(0.0)
            begun = time.process_time()
            try:
                return call(*args, **kwargs)
            finally:
                whole = time.process_time() - begun
                spent[name] += whole - inner.pop()
                inner[-1] += whole

        return wrapped

    with replaced(timed):
        made = clip_batches(dataclasses.replace(config, batch_size=1), 0, 10**6)
        made[0]  # opens what is opened but once
        spent.update(dict.fromkeys(PARTS, 0.0))
        begun = time.process_time()
        for index in range(1, count + 1):
            made[index]
        whole = time.process_time() - begun
    spent["the rest"] = whole - sum(spent.values())
    return {
        name: 1e3 * seconds / count
        for name, seconds in sorted(spent.items(), key=lambda item: -item[1])
    }


@contextlib.contextmanager
def replaced(timed: Callable[[str, Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """Puts timed functions in the places of those that PARTS names, for a while."""
    originals = [
        (place, name, getattr(place, name)) for each in PARTS.values() for place, name in each
    ]
    for part, places in PARTS.items():
        for place, name in places:
            setattr(place, name, timed(part, getattr(place, name)))
    try:
        yield
    finally:
        for place, name, original in originals:
            setattr(place, name, original)


def main(options: Options) -> None:
    """Prints a block for each kind of clip."""
    for folder in ("duts-tr-subset", "davis2016-train"):
        if not (options.data / folder).is_dir():
            raise InputError(f"{options.data / folder}: no such folder; give --data")
    flags.FLAGS.mark_as_parsed()  # grain's worker processes want them
    print(f"clips of 3 frames, 384x384; {options.workers} workers, {options.rounds} rounds")
    for kind, wanted in (("static", 20), ("video", 8)):
        for pasted in options.pasted:
            config = configuration(options, kind, pasted)
            found = rates(config, options)
            print(
                f"\n{kind}, at most {pasted} pasted: {spread(found, '.1f')} clips/s, "
                f"{spread(found / options.workers, '.1f')} a core (wanted: {wanted})"
            )
            parts = parts_of(config, max(4, options.clips // 4))
            whole = sum(parts.values())
            print(f"  CPU {whole:.1f} ms a clip, {1e3 / whole:.1f} clips/s of CPU time:")
            for name, milliseconds in parts.items():
                share = 100 * milliseconds / whole
                print(f"    {name:16} {milliseconds:5.1f} ms {share:3.0f} %", flush=True)


if __name__ == "__main__":
    try:
        main(tyro.cli(Options, description=__doc__))
    except InputError as error:
        sys.exit(f"error: {error}")
