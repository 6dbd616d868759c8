"""Update rules that go by time: every n-th, first, previous, spread out, first in first out.

A rule is a frozen dataclass of knobs and a memory by itself (see `frame_rule`): hand it to
`Segmenter(model, memory=rule)`. Rules that go by what is in the frames are in `rules_scored`.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from stm_jax.memory.bank import Decision, MemoryBank
from stm_jax.memory.frame_rule import (
    PREVIOUS,
    BudgetRule,
    FrameRule,
    Places,
    check_budget,
    only,
)
from stm_jax.memory.memory import EMPTY, Candidate


@dataclasses.dataclass(frozen=True)
class EveryNth(FrameRule):
    """STM's rule: frame 0 and every n-th frame stay, the previous one is always there, once.

    Slot 0 belongs to the previous frame. A frame that stays goes to a slot of its own
    instead, and slot 0 is empty until the next frame: as in the original
    implementation, no frame is in memory twice. When every slot is taken, the oldest frame
    but the first gives way.

    Attributes:
        n: Every how many frames a frame stays (paper section 3.6: 5).
    """

    n: int = 5

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"every n-th frame is memorised: n must be at least 1, not {self.n}")

    def slots_for(self, frames: int | None) -> int | None:
        """Returns how many slots a clip of this length needs, so that nothing gives way."""
        # The last frame is segmented but never memorised.
        return None if frames is None else self.kept(frames - 1) + 1

    def kept(self, frames: int) -> int:
        """Returns how many of the first `frames` frames stay."""
        return -(-max(frames, 1) // self.n)

    def decide(self, bank: MemoryBank, candidate: Candidate) -> Decision:
        """Decides where the frame goes: a slot to stay in, or the previous frame's."""
        slots = bank.frame_numbers.shape[0]
        staying = bank.frame_numbers[1:]
        stored = jnp.sum(staying != EMPTY)
        # With room for a single staying frame, frame 0 keeps it.
        oldest = 2 + jnp.argmin(staying[1:]) if slots > 2 else PREVIOUS
        own_slot = jnp.where(stored < slots - 1, 1 + stored, oldest)
        slot = jnp.where(candidate.frame_number % self.n == 0, own_slot, PREVIOUS)
        return Decision(slot=slot, dropped=only(bank, PREVIOUS))


@dataclasses.dataclass(frozen=True)
class Previous(FrameRule):
    """Only the previous frame is in memory (STM, Oh et al., ICCV 2019, memory ablation)."""

    def slots_for(self, frames: int | None) -> int | None:
        """Returns 1."""
        return 1

    def decide(self, bank: MemoryBank, candidate: Candidate) -> Decision:
        """Decides to overwrite the only frame."""
        return Decision(slot=jnp.int32(PREVIOUS), dropped=only(bank, PREVIOUS))


@dataclasses.dataclass(frozen=True)
class First(FrameRule):
    """Only the frames whose masks were given: the first (STM, ICCV 2019, memory ablation).

    The ablation has one mask, that of frame 0. Here frames given later, of further objects or
    to correct a mask, stay as well, for a new object has nothing else in memory.

    Attributes:
        frames: Room for so many given frames; the first ones have it.
        previous: Whether the previous frame is in memory too, as the ablation's "first and
            previous" has it; once, also where it was given.
    """

    frames: int = 4
    previous: bool = False

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ValueError(f"the first frame needs room: frames must be 1, not {self.frames}")

    def slots_for(self, frames: int | None) -> int | None:
        """Returns the given frames' places and the previous frame's slot."""
        return 1 + self.frames

    def may_write(self, state: MemoryBank, given: Bool[Array, ""]) -> Bool[Array, ""] | bool:
        """Returns whether the frame was given and there is room, or it stays as the previous."""
        free = state.frame_numbers[1 : 1 + self.frames] == EMPTY
        return True if self.previous else given & free.any()

    def decide(self, bank: MemoryBank, candidate: Candidate) -> Decision:
        """Decides whether the frame was given and there is room."""
        places = bank.frame_numbers[1 : 1 + self.frames]
        free = places == EMPTY
        stays = candidate.given & free.any()
        return Decision(
            slot=jnp.where(stays, 1 + jnp.argmax(free), PREVIOUS),
            dropped=only(bank, PREVIOUS),
            written=stays | self.previous,
            permanent=stays,
        )


@dataclasses.dataclass(frozen=True)
class EvenlySpread(BudgetRule):
    """So many frames, spread evenly over a video whose length is known, and the previous one.

    The `Mem_number` option of STM's published evaluation: of a video of L frames, the frames
    numbered round(i L / frames) stay, i = 0 .. frames - 1, halves rounded to even. A frame
    that brings in a new object stays as well, and then the oldest that is not permanent gives way.

    Attributes:
        frames: How many stay, the first included (theirs: `Mem_number` + 1).
    """

    frames: int = 10
    needs_length = True

    def __post_init__(self) -> None:
        check_budget(self.frames)

    def stays(self, bank: MemoryBank, candidate: Candidate) -> Bool[Array, ""]:
        """Returns whether the frame is one of the chosen."""
        twice = 2 * jnp.arange(self.frames) * candidate.length
        rounded = (twice + self.frames) // (2 * self.frames)
        half = (twice + self.frames) % (2 * self.frames) == 0
        chosen = rounded - (half & (rounded % 2 == 1))
        return (chosen == candidate.frame_number).any()


@dataclasses.dataclass(frozen=True)
class Fifo(BudgetRule):
    """Every n-th frame stays until it is the oldest of too many; the first stays for ever.

    The working memory of Cutie (Cheng et al., "Putting the Object Back into Video Object
    Segmentation", CVPR 2024): T_max = 5 frames with every 5th, and 10 with every 3rd
    in its slower setting ("Cutie+"), the permanent first one counted (`max_mem_frames` and
    `mem_every` of the authors' evaluation configurations). As there, the first frame of an
    object that appears later is permanent too. Unlike there, the previous frame is always in
    memory, as STM's weights expect; Cutie has a recurrent sensory memory instead. With room for
    all, this is `EveryNth`.

    Attributes:
        frames: How many stay at a time, permanent ones included.
        every: Every how many frames a frame stays.
    """

    frames: int = 5
    every: int = 5

    def __post_init__(self) -> None:
        check_budget(self.frames, self.every)

    def stays(self, bank: MemoryBank, candidate: Candidate) -> Bool[Array, ""]:
        """Returns whether it is the n-th frame's turn."""
        return candidate.frame_number % self.every == 0


@dataclasses.dataclass(frozen=True)
class Annotated(Fifo):
    """As `Fifo`, but every frame whose mask the user gave or corrected stays for ever.

    The permanent memory of XMem++ (Bekuzarov et al., "XMem++: Production-level Video
    Segmentation From Few Annotated Frames", ICCV 2023, section 3): annotated frames are all
    kept and never consolidated. Theirs sits beside XMem's stores and has no limit; here it
    takes from the budget, of which one place is left to frames that are not annotated: given
    frames beyond that are treated as any other. With room for all, and no mask given but the
    first, this is `EveryNth`.

    Attributes:
        frames: How many stay at a time, annotated ones included.
        every: Every how many frames a frame stays.
    """

    frames: int = 16
    every: int = 5

    def stays(self, bank: MemoryBank, candidate: Candidate) -> Bool[Array, ""]:
        """Returns whether it was annotated, or it is the n-th frame's turn."""
        return candidate.given | super().stays(bank, candidate)

    def is_permanent(self, bank: MemoryBank, candidate: Candidate) -> Bool[Array, ""]:
        """Returns whether it was annotated."""
        return candidate.given


@dataclasses.dataclass(frozen=True)
class Recent(FrameRule):
    """The frames whose masks were given, and the last n frames.

    SAM 2's memory bank (Ravi et al., "SAM 2: Segment Anything in Images and Videos", ICLR 2025,
    section 4): up to N = 6 recent frames first in first out, and the prompted frames
    (`num_maskmem` = 7 in the authors' code: one prompted and 6). As in that code, a given frame is
    not among the recent ones, so those are the last n frame numbers less the given. Theirs keeps
    any number of prompted frames; here they have a fixed number of places, and those beyond are
    treated as any other. SAM 2's object pointers and its temporal position code are part of its
    weights and are not here.

    Attributes:
        n: How many recent frames (6).
        given: Room for so many given frames.
    """

    n: int = 6
    given: int = 4

    def __post_init__(self) -> None:
        if self.n < 1 or self.given < 1:
            raise ValueError(
                "1 recent frame and 1 given frame need room at least, "
                f"not n = {self.n} and given = {self.given}"
            )

    def slots_for(self, frames: int | None) -> int | None:
        """Returns the recent and the given frames' slots, in this order."""
        return self.n + self.given

    def decide(self, bank: MemoryBank, candidate: Candidate) -> Decision:
        """Decides on a slot of its own if it was given, else on the oldest recent frame's."""
        free = bank.frame_numbers[self.n : self.n + self.given] == EMPTY
        kept = candidate.given & free.any()
        oldest = candidate.frame_number % self.n
        return Decision(
            slot=jnp.where(kept, self.n + jnp.argmax(free), oldest),
            dropped=jnp.arange(bank.frame_numbers.shape[0]) == oldest,
            permanent=kept,
        )

    def staying(self, state: MemoryBank) -> Int[np.ndarray, " frames"]:
        """Returns the numbers of the given frames."""
        return np.asarray(state.frame_numbers)[self.n :]


@dataclasses.dataclass(frozen=True)
class RandomFrame(BudgetRule):
    """Every n-th frame stays, and when all places are taken a random one gives way: a baseline.

    The draw depends on the seed and the frame's number only: with u uniform in [0, 1), of the m
    frames that are not permanent the floor(u m)-th oldest goes. With room for all, this is
    `EveryNth`.

    Attributes:
        frames: How many stay at a time, permanent ones included.
        every: Every how many frames a frame stays.
        seed: Of the draws.
    """

    frames: int = 5
    every: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        check_budget(self.frames, self.every)

    def stays(self, bank: MemoryBank, candidate: Candidate) -> Bool[Array, ""]:
        """Returns whether it is the n-th frame's turn."""
        return candidate.frame_number % self.every == 0

    def gives_way(self, places: Places, bank: MemoryBank, candidate: Candidate) -> Int[Array, ""]:
        """Returns a random frame's place."""
        index = uniform(self.seed, candidate.frame_number) * places.may_go.sum()
        return places.by_age(index.astype(jnp.int32))


@dataclasses.dataclass(frozen=True)
class Reservoir(BudgetRule):
    """A uniform random sample of every n-th frame, at any time: a baseline.

    Algorithm R (Vitter, "Random Sampling with a Reservoir", ACM TOMS 1985). With k the number
    of n-th frames so far, the first not counted, and m places that are not permanent, frame k
    takes the floor(u k)-th oldest one's place, u uniform in [0, 1), and is not taken where that
    is not below m. The draw depends on the seed and the frame's number only. With room for all,
    this is `EveryNth`.

    Attributes:
        frames: How many stay at a time, permanent ones included.
        every: Every how many frames a frame is drawn for.
        seed: Of the draws.
    """

    frames: int = 5
    every: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        check_budget(self.frames, self.every)

    def stays(self, bank: MemoryBank, candidate: Candidate) -> Bool[Array, ""]:
        """Returns whether it is the n-th frame's turn."""
        return candidate.frame_number % self.every == 0

    def gives_way(self, places: Places, bank: MemoryBank, candidate: Candidate) -> Int[Array, ""]:
        """Returns a random frame's place, or none."""
        index = uniform(self.seed, candidate.frame_number) * (candidate.frame_number // self.every)
        index = index.astype(jnp.int32)
        taken = index < places.may_go.sum()
        return jnp.where(taken, places.by_age(jnp.where(taken, index, 0)), -1)


def uniform(seed: int, frame_number: Int[Array, ""]) -> Float[Array, ""]:
    """Returns the number in [0, 1) that is drawn for a frame."""
    return jax.random.uniform(jax.random.fold_in(jax.random.key(seed), frame_number))
