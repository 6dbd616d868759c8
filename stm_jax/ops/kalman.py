"""A Kalman filter of a box that moves at a constant speed."""

import flax.struct
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

PLACE, SPEED = 1 / 20, 1 / 160  # deviations of a step, in heights
PLACES = np.array([PLACE, PLACE, 0, PLACE], np.float32)
SPEEDS = np.array([SPEED, SPEED, 0, SPEED], np.float32)
ASPECT = np.array([0, 0, 1, 0], np.float32)  # whose deviations are numbers, not heights


@flax.struct.dataclass
class Track:
    """Where a box is and how it moves: column and row of its centre, aspect and height.

    The 8 x 8 covariance of the four and their speeds has nothing between the four, whatever is
    observed, so it is kept as four times 2 x 2.

    Attributes:
        place: Of the four; pixels, and width over height.
        speed: Of the four, a frame.
        variances: Of each place, of each place with its speed, of each speed.
    """

    place: Float[Array, " 4"]
    speed: Float[Array, " 4"]
    variances: Float[Array, "3 4"]


def begun(box: Float[Array, " 4"]) -> Track:
    """Returns the track of a box of `stm_jax.ops.regions.corners` that was seen once."""
    place = _measured(box)
    height = place[3]
    of_place = jnp.square(2 * PLACES * height + 1e-2 * ASPECT)
    of_speed = jnp.square(10 * SPEEDS * height + 1e-5 * ASPECT)
    return Track(place, jnp.zeros_like(place), jnp.stack([of_place, 0 * of_place, of_speed]))


def moved(track: Track) -> Track:
    """Returns the track a frame later, by its speed alone."""
    height = track.place[3]
    of_place, of_both, of_speed = track.variances
    variances = jnp.stack(
        [
            of_place + 2 * of_both + of_speed + jnp.square(PLACES * height + 1e-2 * ASPECT),
            of_both + of_speed,
            of_speed + jnp.square(SPEEDS * height + 1e-5 * ASPECT),
        ]
    )
    return Track(track.place + track.speed, track.speed, variances)


def corrected(track: Track, box: Float[Array, " 4"]) -> Track:
    """Returns the track once the box was seen where it is now."""
    of_place, of_both, of_speed = track.variances
    total = of_place + jnp.square(PLACES * track.place[3] + 1e-1 * ASPECT)
    missed = _measured(box) - track.place
    return Track(
        place=track.place + of_place / total * missed,
        speed=track.speed + of_both / total * missed,
        variances=jnp.stack(
            [
                of_place - of_place * of_place / total,
                of_both - of_place * of_both / total,
                of_speed - of_both * of_both / total,
            ]
        ),
    )


def box_of(track: Track) -> Float[Array, " 4"]:
    """Returns top, left, bottom and right of the box."""
    column, row, aspect, height = track.place
    half = jnp.stack([height, aspect * height]) / 2
    centre = jnp.stack([row, column])
    return jnp.concatenate([centre - half, centre + half])


def _measured(box: Float[Array, " 4"]) -> Float[Array, " 4"]:
    top, left, bottom, right = box
    height = bottom - top
    aspect = (right - left) / jnp.where(height > 0, height, 1.0)
    return jnp.stack([(left + right) / 2, (top + bottom) / 2, aspect, height])
