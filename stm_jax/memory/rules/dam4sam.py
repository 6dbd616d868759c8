"""DAM4SAM's rule: recent appearances, beside anchors that tell the object from its like."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from stm_jax.memory.object_rule import FREE, LATEST, Choice, Kept, ObjectRule, Sight
from stm_jax.ops.regions import corners, overlap, parts

ANCHOR, RECENT = 3, 4
AREAS = 10  # whose median the area is held against


@flax.struct.dataclass
class Noted:
    """What is kept of an object.

    Attributes:
        areas: Of the last masks that were not empty, the newest first; 0 for none.
        anchored: The number of the last frame that became an anchor; 0 for none.
    """

    areas: Float[Array, " 10"]
    anchored: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class Dam4Sam(ObjectRule):
    """Every n-th frame with a mask and the latest, beside frames that tell the object's like apart.

    Videnovic, Lukezic and Kristan, "A Distractor-Aware Memory for Visual Object Tracking with
    SAM2" (DAM4SAM), CVPR 2025, section 3, with the published code's numbers; each object by
    itself. Of so many frames one is the object's first. Up to `anchors` are frames in which a
    distractor shows while tracking is reliable, the oldest giving way to the next. All other
    places are of recent appearances: the latest frame and, before it, the latest of every n-th;
    never one in which the mask is empty, nor an anchor. Tracking is reliable where the certainty
    is above `threshold`, the area is within a share of the median of the last 10 that
    were not empty, its own included, and more than `gap` frames have passed since the last anchor.

    There a distractor shows in SAM 2's alternative masks: where the box around the chosen mask
    and the largest part of another outside of it is overlapped by the chosen mask's by at most
    0.7. STM gives one mask: for it stands what the soft mask holds besides its main part. Of the
    positions at stride 16 in whose cell the mean probability reaches `doubt`, connected along
    edges and corners, the part with the most probability is the main one, and the
    next stands for the other mask. A distractor that gets no probability is not seen, nor is one
    that touches the object.

    Unlike in the authors' code, besides: the certainty is the mean probability of the pixels above
    0.5, where theirs is the IoU that SAM 2 predicts, so that the threshold is of another measure;
    the first frame's area counts among the 10, and areas are not forgotten after 300 frames; an
    anchor that gave way is not among the recent frames again; and STM has neither SAM 2's code of
    position in time, which they leave out of the anchors, nor its object pointers. As there, and
    unlike in the paper, places that no anchor has yet are of recent appearances.

    Source: DAM4SAM (CVPR 2025).

    Attributes:
        frames: How many an object has in memory at most, its first included (7).
        anchors: How many of them may be anchors (3).
        every: Every how many frames a frame stays (5).
        threshold: The certainty must be above it (theirs, of a predicted IoU: 0.8).
        share: By how much the area may differ from the median (0.2).
        gap: More frames than so many between anchors (5).
        overlap: The most that the boxes with and without the other part overlap (0.7).
        doubt: The least mean probability of a position of the object or of its like.
    """

    frames: int = 7
    anchors: int = 3
    every: int = 5
    threshold: float = 0.8
    share: float = 0.2
    gap: int = 5
    overlap: float = 0.7
    doubt: float = 0.1

    def __post_init__(self) -> None:
        if self.anchors < 0 or self.frames < self.anchors + 2:
            raise ValueError(
                "the first frame and a recent one need room beside the anchors: "
                f"not {self.frames} frames with {self.anchors} anchors"
            )
        if self.every < 1:
            raise ValueError(f"every n-th frame stays: every must be at least 1, not {self.every}")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"a certainty is within 0 and 1, so not above {self.threshold}")
        if not (self.share >= 0 and self.gap >= 0):
            raise ValueError(f"share and gap must be at least 0, not {self.share} and {self.gap}")
        if not 0 < self.doubt <= 1:
            raise ValueError(f"the doubt must be above 0, up to 1: {self.doubt}")

    def notes(self) -> Noted:
        """Returns the shapes of areas and of the last anchor's number."""
        return Noted(
            areas=jax.ShapeDtypeStruct((AREAS,), jnp.float32),  # pyright: ignore
            anchored=jax.ShapeDtypeStruct((), jnp.int32),  # pyright: ignore
        )

    def decide(self, kept: Kept, notes: Noted, sight: Sight) -> Choice:
        """Decides whether the object's frame is an anchor, or recent, or has nothing to show."""
        area, number = sight.area.astype(jnp.float32), sight.frame_number
        newer = jnp.concatenate([area[None], notes.areas[:-1]])
        areas = jnp.where(sight.seen, newer, notes.areas)
        median = jnp.nanmedian(jnp.where(areas > 0, areas, jnp.nan))
        due = (notes.anchored == 0) | (number - notes.anchored > self.gap)
        reliable = sight.seen & (sight.certainty > self.threshold) & due
        reliable &= jnp.abs(area - median) <= self.share * median
        anchor = reliable & self.distracted(sight.masks) & ~kept.nothing & (self.anchors > 0)

        recent = jnp.where(number % self.every == 0, RECENT, LATEST)
        kind = jnp.where(anchor, ANCHOR, jnp.where(sight.seen, recent, FREE))
        enough = kept.are(ANCHOR).sum() >= self.anchors
        dropped = jnp.where(anchor, enough & kept.oldest(ANCHOR), kept.are(LATEST))
        dropped = self.making_room(kept, dropped, RECENT, LATEST) & (kind != FREE)
        return Choice(kind, dropped, Noted(areas, jnp.where(anchor, number, notes.anchored)))

    def distracted(self, masks: Float[Array, "h16 w16"]) -> Bool[Array, ""]:
        """Returns whether the soft mask holds a part besides the main one that is far enough."""
        numbers = parts(masks >= self.doubt)
        sums = jnp.zeros(numbers.size + 1).at[numbers].add(masks).at[0].set(0.0)
        main = sums.argmax()
        others = sums.at[main].set(0.0)
        box = corners(numbers == main)
        both = corners((numbers == main) | (numbers == others.argmax()))
        return (others.max() > 0) & (overlap(box, both) <= self.overlap)
