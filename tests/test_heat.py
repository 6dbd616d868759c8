"""Heat maps: colours in even steps, and the heat where the weights are."""

import numpy as np

from stm_jax.infer.attention import Attention
from stm_jax.report import heat
from stm_jax.report.heat import Sheet, heat_colours

HEIGHT, WIDTH = 28, 58  # padded by 2 above and below and 3 at the sides, to 2x4 positions
BOX = (3 / 16, 2 / 16, 61 / 16, 30 / 16)


def sheet(weights: np.ndarray, numbers: list[int]) -> Sheet:
    """Returns a sheet of black frames; the last one asks."""
    asking = max(numbers) + 1
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    shown = [*numbers, asking]
    return Sheet(
        attention=Attention(weights[None], np.array(numbers, np.int32), (0, 0), BOX),
        index=0,
        object_id=3,
        pixel=(14, 29),
        frame_number=asking,
        pictures=dict.fromkeys(shown, black),
        ids=dict.fromkeys(shown, black[..., 0]),
    )


def lightness(colours: np.ndarray) -> np.ndarray:
    """Returns OKLab's lightness of sRGB colours (Ottosson, 2020)."""
    unit = colours / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    to_lms = [[0.4122214708, 0.5363325363, 0.0514459929]]
    to_lms += [[0.2119034982, 0.6806995451, 0.1073969566]]
    to_lms += [[0.0883024619, 0.2817188376, 0.6299787005]]
    return np.cbrt(linear @ np.array(to_lms).T) @ (0.2104542553, 0.7936177850, -0.0040720468)


def test_colours_become_lighter_in_even_steps():
    light = lightness(heat_colours(np.linspace(0, 1, 13)))
    steps = np.diff(light)
    np.testing.assert_allclose(steps, (0.88 - 0.16) / 12, atol=0.006)
    assert np.abs(heat._table() - 0.5).max() < 0.51  # nothing to clip


def test_the_heat_is_where_the_weight_is():
    weights = np.zeros((3, 2, 4), np.float32)
    weights[1, 1, 3] = 1  # the last of the cells, which the padding cuts
    drawn = sheet(weights, [-1, 5, 0])
    assert drawn.slots() == [2, 1]  # by time, without the empty one
    picture = np.asarray(drawn.draw(), int)
    left = heat.MARGIN + heat.QUERY + 2 * heat.GAP
    height = round(heat.PANEL * HEIGHT / WIDTH)
    panels = []
    for place in range(2):  # one above the other
        top = heat.HEADER + place * (height + heat.CAPTION + heat.GAP)
        panels.append(picture[top : top + height, left : left + heat.PANEL])
    assert panels[0][:40].max() == 0  # frame 0 was not read
    # The cell begins at column 3 * 16 - 3 of 58 and row 16 - 2 of 28.
    lit = panels[1][..., 0] - panels[1][..., 2]  # the ring around the pixel is grey
    rows, columns = np.nonzero(lit > 0.95 * lit.max())
    assert columns.min() > 45 / 58 * heat.PANEL and rows.min() > 14 / 28 * height
    assert lit[: height // 4].max() < 0.1 * lit.max()


def test_of_many_frames_those_that_were_read_most_are_shown():
    weights = np.random.default_rng(0).random((40, 2, 4)).astype(np.float32)
    weights[7] = 0
    drawn = sheet(weights / weights.sum(), [*range(20, 40), *range(20)])
    slots = drawn.slots()
    assert len(slots) == heat.MOST and 7 not in slots
    numbers = drawn.attention.frame_numbers[slots]
    assert (np.diff(numbers) > 0).all()
    shares = weights.sum(axis=(1, 2))
    assert shares[slots].min() > np.delete(shares, slots).max()
    assert drawn.draw().width < 2000
