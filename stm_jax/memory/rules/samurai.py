"""SAMURAI's rule: the latest frames in which the object is certain and moves as it did."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from stm_jax.memory.object_rule import LATEST, Choice, Kept, ObjectRule, Sight
from stm_jax.ops.kalman import Track, begun, box_of, corrected, moved
from stm_jax.ops.regions import overlap

PASSED = 3


@flax.struct.dataclass
class Noted:
    """What is kept of an object.

    Attributes:
        track: Of its box, as it was at the last frame with a mask.
        steady: For how many frames on end there has been a mask, up to the rule's `steady`.
    """

    track: Track
    steady: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class Samurai(ObjectRule):
    """The latest frames that pass for certain, present and moving as expected, beside the first.

    Yang, Huang, Chai, Jiang and Hwang, "SAMURAI: Adapting Segment Anything Model for Zero-Shot
    Visual Tracking with Motion-Aware Memory", 2024 (arXiv 2411.11922), section 4.2, with the
    published code's numbers; each object by itself. A frame passes if the object is in it (a pixel
    above 0.5), its certainty is at least `threshold` and its motion score above `motion`: the
    intersection over union of its mask's box and the box that a Kalman filter expects, of
    constant speed, with the noise of DeepSORT as in their code. The motion is not asked about
    before there was a mask in `steady` frames on end; when there is none the filter begins
    anew. Of so many frames one is the object's first, the others are the latest that
    passed; the latest of all is there until the next comes, passed or not.

    Unlike in the authors' code: SAM 2's three masks and their choice by motion (section 4.1) are
    not here, for STM gives one mask; the affinity of a mask, which SAM 2 predicts, is the mean
    probability of its pixels above 0.5, so that the threshold is of another measure (theirs: 0.5,
    which none of these is below), and its object score, which must be above 0, is whether there
    is such a pixel; the filter begins with the given mask, theirs with the first
    that was found; it is led on by every mask, theirs by those of an affinity above 0.3;
    and theirs passes over frame 1 by its loop's end. As there, and unlike in the
    paper, the filter's state has width over height in the place of the width.

    Source: SAMURAI (2024).

    Attributes:
        frames: How many an object has in memory at most, its first included (7).
        threshold: The least certainty.
        motion: The motion score must be above it (0: that the boxes overlap at all).
        steady: For how many frames there must have been a mask before motion counts (15).
    """

    frames: int = 7
    threshold: float = 0.8
    motion: float = 0.0
    steady: int = 15

    def __post_init__(self) -> None:
        if self.frames < 2:
            raise ValueError(
                "the memory must have room for 2 frames at least, the first and another: "
                f"not {self.frames}"
            )
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"a certainty is within 0 and 1, so not above {self.threshold}")
        if not 0 <= self.motion < 1:
            raise ValueError(f"a motion score is from 0 to 1, so not above {self.motion}")
        if self.steady < 1:
            raise ValueError(f"the filter needs 1 frame at least to expect, not {self.steady}")

    def notes(self) -> Noted:
        """Returns the shapes of a track and of the count of frames."""
        track = jax.eval_shape(begun, jax.ShapeDtypeStruct((4,), jnp.float32))
        return Noted(track, jax.ShapeDtypeStruct((), jnp.int32))  # pyright: ignore

    def decide(self, kept: Kept, notes: Noted, sight: Sight) -> Choice:
        """Decides whether the object's frame passes, or is but the latest."""
        expected = moved(notes.track)
        score = overlap(box_of(expected), sight.box)
        follows = (notes.steady < self.steady) | (score > self.motion)
        passes = sight.seen & (sight.certainty >= self.threshold) & follows

        goes_on = corrected(expected, sight.box)
        track = jax.tree.map(
            lambda going, new: jnp.where(notes.steady > 0, going, new), goes_on, begun(sight.box)
        )
        # Where nothing is seen it begins anew with what is: what it holds until then is not read.
        track = jax.tree.map(lambda new, old: jnp.where(sight.seen, new, old), track, notes.track)
        steady = jnp.where(sight.seen, jnp.minimum(notes.steady + 1, self.steady), 0)
        dropped = self.making_room(kept, kept.are(LATEST), PASSED)
        return Choice(jnp.where(passes, PASSED, LATEST), dropped, Noted(track, steady))
