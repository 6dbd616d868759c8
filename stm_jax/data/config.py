"""What a stage of training is fed with."""

import dataclasses
import functools
import operator
from typing import TYPE_CHECKING, Literal

from stm_jax.data import sources
from stm_jax.data.sources.protocol import Source

KINDS = tuple(kind for kind in vars(sources).values() if dataclasses.is_dataclass(kind))
"""The kinds of source that there are: all that `stm_jax.data.sources` lists."""

if TYPE_CHECKING:
    AnySource = Source
else:
    # What the command line and the checks of types choose from.
    AnySource = functools.reduce(operator.or_, KINDS)


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What one stage of training is fed with.

    Attributes:
        sources: Where photographs and videos come from, mixed by their weights.
        held_back: Videos, of whichever source, that are never trained on.
        bad_files: What happens to data that cannot be used (damaged, without mask, of two
            sizes, without an object): "refuse" stops and names the file, "skip" says so and
            takes the next in its place.
        pasted: The most further objects, cut out of photographs, that move over a clip.
        objects: The most objects a clip asks to follow; the rest are there to be told apart.
        length: Frames a clip.
        size: Side of the square clips in pixels, a multiple of 16.
        batch_size: Clips a step, over all devices.
        first_skip: The largest skip between the frames of a video at the start ...
        last_skip: ... and at the end of the stage; it grows in between (curriculum). Where every
            fifth frame is annotated, 25 leaves out 5 annotated ones.
    """

    sources: tuple[AnySource, ...] = ()
    held_back: tuple[str, ...] = ()
    bad_files: Literal["refuse", "skip"] = "refuse"
    pasted: int = 1
    objects: int = 1
    length: int = 3
    size: int = 192
    batch_size: int = 4
    first_skip: int = 0
    last_skip: int = 25
