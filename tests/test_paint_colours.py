"""Objects' colours stay apart for people who do not see all colours."""

import itertools

import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs pip install '.[app]'")
from stm_jax.paint.room import COLOURS

SEEN = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
    "all colours": np.eye(3).tolist(),
}
"""Of linear red, green and blue what is seen: Machado, Oliveira and Fernandes 2009, severity 1."""
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)  # sRGB's primaries, D65


def lab(colour: str, seen: list[list[float]]) -> np.ndarray:
    """Returns CIELAB of #rrggbb as it is seen."""
    unit = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(np.array(seen) @ linear, 0, 1) / TO_XYZ.sum(axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", SEEN)
def test_colours_stay_apart(sight):
    """The distance is that in CIELAB, of which 2.3 are just noticed."""
    apart = {
        (a, b): np.linalg.norm(lab(a, SEEN[sight]) - lab(b, SEEN[sight]))
        for a, b in itertools.combinations(COLOURS, 2)
    }
    assert min(apart.values()) > 15, min(apart.items(), key=lambda item: item[1])


def test_red_and_green_are_not_apart_for_all():
    """The simulation does what it says: of a red and a green little is left, but in lightness."""
    red, green = (lab(each, SEEN["deuteranopia"]) for each in ("#b05a5a", "#6b6f3f"))
    assert np.linalg.norm(red[1:] - green[1:]) < 12
    red, green = (lab(each, SEEN["all colours"]) for each in ("#b05a5a", "#6b6f3f"))
    assert np.linalg.norm(red[1:] - green[1:]) > 35
    np.testing.assert_allclose(lab("#ffffff", SEEN["all colours"]), [100, 0, 0], atol=0.02)
