"""An exported network at work: memorize, segment, and whole videos."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

from stm_jax.checks import shown
from stm_jax.errors import InputError
from stm_jax.exported import bundle
from stm_jax.exported.bundle import NAMES, PROMISE, Description

STRIDE = 16
EXACT = 1e-4
"""Largest difference in probability from the test's answers, in float32 on a CPU."""
ROUNDED = 2e-2
"""The mean difference elsewhere: accelerators multiply float32 in lower precision by default."""


@dataclasses.dataclass(frozen=True)
class Exported:
    """A network that was exported, with its weights.

    The arrays of a video's state are donated from step to step, so a state can be used once.

    Attributes:
        description: What it is, and what it is for.
        weights: By their paths.
        programs: By name; each is compiled when it is first called, once a size of frames.
    """

    description: Description
    weights: Mapping[str, Array]
    programs: Mapping[str, Callable[..., Any]]

    def begin(
        self,
        frame: UInt8[np.ndarray, "h w 3"],
        masks: Float[np.ndarray, "objects h w"],
        present: Bool[np.ndarray, " objects"],
    ) -> dict[str, Array]:
        """Returns the state after the first frame, whose masks are given."""
        self._check(frame)
        return self.programs["begin"](frame, masks, present)

    def step(
        self, state: dict[str, Array], frame: UInt8[np.ndarray, "h w 3"]
    ) -> tuple[dict[str, Array], UInt8[Array, "h w"], Float[Array, "1+objects h w"]]:
        """Remembers the last frame where it is its turn, and segments the next.

        Returns:
            The new state, the number of the most probable object of every pixel (0 is the
            background), and the probabilities of background and objects.
        """
        self._check(frame)
        return self.programs["step"](self.weights, state, frame)

    def memorize(
        self, frame: UInt8[np.ndarray, "h w 3"], masks: Float[np.ndarray, "objects h2 w2"]
    ) -> tuple[Float[Array, "objects h16 w16 key"], Float[Array, "objects h16 w16 value"]]:
        """Returns keys and values of a frame with its soft masks, for a memory of your own.

        The masks are of the frame's size, or of the one that was exported to work at.
        """
        self._check(frame)
        return self.programs["memorize"](self.weights, frame, masks)

    def segment(
        self,
        frame: UInt8[np.ndarray, "h w 3"],
        keys: Float[np.ndarray, "objects slots h16 w16 key"],
        values: Float[np.ndarray, "objects slots h16 w16 value"],
        filled: Bool[np.ndarray, "objects slots"],
    ) -> Float[Array, "1+objects h2 w2"]:
        """Returns the probabilities of background and objects, from what is in the memory.

        They are of the size of the masks that `memorize` takes.
        """
        self._check(frame)
        return self.programs["segment"](self.weights, frame, keys, values, filled)

    def follow(
        self, frames: Iterable[UInt8[np.ndarray, "h w 3"]], first_mask: UInt8[np.ndarray, "h w"]
    ) -> Iterator[UInt8[np.ndarray, "h w"]]:
        """Yields the ids of every frame; those of the first are the given ones.

        Raises:
            InputError: The mask has no object, or more than there is room for; or frames are of
                another size than it, or than the programs are for.
        """
        object_ids = [int(each) for each in np.unique(first_mask) if each]
        room = self.description.objects
        if not 0 < len(object_ids) <= room:
            raise InputError(
                f"the first mask has {len(object_ids)} objects, and there is room for 1 to {room}: "
                f"stm-jax export --objects {max(1, len(object_ids))}"
            )
        absent = room - len(object_ids)
        masks = np.zeros((room, *first_mask.shape), np.float32)
        masks[: len(object_ids)] = first_mask == np.array(object_ids)[:, None, None]
        names = np.array([0, *object_ids, *[0] * absent], np.uint8)
        state = None
        for frame in frames:
            if frame.shape[:2] != first_mask.shape:
                raise InputError(
                    f"a frame is {frame.shape[1]}x{frame.shape[0]}, and the first mask is "
                    f"{first_mask.shape[1]}x{first_mask.shape[0]}: give one of the frames' size"
                )
            if state is None:
                state = self.begin(frame, masks, np.arange(room) < len(object_ids))
                yield first_mask
            else:
                state, indices, _ = self.step(state, frame)
                yield names[np.asarray(indices)]

    def _check(self, frame: np.ndarray) -> None:
        size, wanted = frame.shape[:2], self.description.size
        if wanted is None and any(side % STRIDE for side in size):
            raise InputError(
                f"a frame is {size[1]}x{size[0]}, and this export takes sides that are multiples of"
                f" {STRIDE}: pad it, or stm-jax export --frames {size[1]}x{size[0]}"
            )
        if wanted is not None and size != tuple(wanted):
            raise InputError(
                f"a frame is {size[1]}x{size[0]}, and this export is for {wanted[1]}x{wanted[0]}: "
                f"scale it, or stm-jax export --frames {size[1]}x{size[0]}"
            )


def load(path: str | os.PathLike[str], *, check: bool = True) -> Exported:
    """Loads what `stm-jax export` wrote.

    Args:
        path: The archive.
        check: Whether the test in it is run, which compiles `begin` and `step` for its size.

    Raises:
        InputError: It cannot be read, is of another version, its weights are others, this machine
            is of another platform, or the test's answers are not those that it came with.
    """
    path = pathlib.Path(path)
    content = bundle.read(path)
    missing = [name for name in NAMES if name not in content.programs]
    if missing:
        raise InputError(f"{path} lacks the program {missing[0]}: export it again")
    platform = jax.export.default_export_platform()
    if platform not in content.description.platforms:
        raise InputError(
            f"{path} is for {', '.join(content.description.platforms)}, and this is a {platform}: "
            "export for that --platforms"
        )
    deserialized = {name: _deserialized(path, content, name) for name in NAMES}
    room = content.description.objects, content.description.slots
    if [each.shape for each in deserialized["segment"].in_avals][-1:] != [room]:
        raise InputError(f"{path} says that it has another room than it has: export it again")
    programs = {name: _callable(name, program) for name, program in deserialized.items()}
    weights = jax.tree.map(jnp.asarray, dict(content.weights))
    exported = Exported(content.description, weights, programs)
    if check:
        _check_answers(path, exported, content.test)
    return exported


def _deserialized(path: pathlib.Path, content: bundle.Bundle, name: str) -> jax.export.Exported:
    try:
        return jax.export.deserialize(bytearray(content.programs[name]))
    except Exception as error:  # what damaged bytes raise depends on where they are damaged
        raise InputError(
            f"{path}: the program {name} cannot be read by jax {jax.__version__}; it was made by"
            f" jax {shown(content.description.jax)}: {PROMISE}"
        ) from error


def _callable(name: str, program: jax.export.Exported) -> Callable[..., Any]:
    donated = (1,) if name == "step" else ()
    return functools.wraps(program.call)(jax.jit(program.call, donate_argnums=donated))


def _check_answers(path: pathlib.Path, exported: Exported, test: Mapping[str, np.ndarray]) -> None:
    try:
        first, second, masks, answer = (test[name] for name in ("first", "second", "masks", "soft"))
        state = exported.begin(first, masks, np.asarray(masks.any(axis=(1, 2))))
        _, _, soft = exported.step(state, second)
        difference = np.abs(np.asarray(soft)[:, ::8, ::8] - answer)
    except Exception as error:  # what is raised depends on what lacks, or is of another shape
        reason = shown(" ".join(str(error).split()) or type(error).__name__)
        raise InputError(
            f"{path}: the test, the weights and the programs in it do not belong to each other"
            f" ({reason}): export it again"
        ) from error
    exact = exported.description.dtype == "float32" and jax.default_backend() == "cpu"
    wrong = difference.max() > EXACT if exact else difference.mean() > ROUNDED
    if wrong or not np.isfinite(difference).all():
        raise InputError(
            f"{path} does not answer its test as it did when it was exported (off by "
            f"{difference.max():.1e}): export it again"
        )
