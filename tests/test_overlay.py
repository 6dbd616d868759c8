"""Overlays: who is tinted, who is outlined, and what is left alone."""

import numpy as np
import pytest

from stm_jax.report.overlay import contact_sheet, overlay

FRAME = np.full((5, 5, 3), 100, np.uint8)
IDS = np.zeros((5, 5), np.uint8)
IDS[1:4, 1:4] = 1


def test_object_is_tinted_outlined_and_the_rest_untouched():
    frame = FRAME.copy()
    picture = overlay(frame, IDS)
    expected = FRAME.copy()
    expected[1:4, 1:4] = (255, 0, 0)  # the outline, at full brightness
    expected[2, 2] = (114, 50, 50)  # halfway from (100, 100, 100) to (128, 0, 0)
    np.testing.assert_array_equal(picture, expected)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(frame, FRAME)


def test_alpha():
    assert overlay(FRAME, IDS, alpha=0)[2, 2].tolist() == [100, 100, 100]
    assert overlay(FRAME, IDS, alpha=1)[2, 2].tolist() == [128, 0, 0]
    with pytest.raises(ValueError, match="alpha"):
        overlay(FRAME, IDS, alpha=2)


def test_objects_that_touch_are_both_outlined():
    ids = np.full((3, 6), 1, np.uint8)
    ids[:, 3:] = 2
    picture = overlay(np.zeros((3, 6, 3), np.uint8), ids)
    assert picture[1].tolist() == [
        [64, 0, 0],
        [64, 0, 0],
        [255, 0, 0],
        [0, 255, 0],
        [0, 64, 0],
        [0, 64, 0],
    ]


def test_no_object_changes_nothing():
    np.testing.assert_array_equal(overlay(FRAME, IDS * 0), FRAME)


def test_contact_sheet():
    sheet = np.array(contact_sheet([FRAME] * 3, [IDS, None, IDS], 2, ["frame 0", "", "frame 2"]))
    # Two columns and rows of 5x5 pictures, 18 pixels of caption below each, 4 between.
    assert sheet.shape == (2 * (5 + 18) + 4, 2 * 5 + 4, 3)
    np.testing.assert_array_equal(sheet[:5, :5], overlay(FRAME, IDS))
    np.testing.assert_array_equal(sheet[:5, 9:], FRAME)
    np.testing.assert_array_equal(sheet[27:32, :5], overlay(FRAME, IDS))
    assert (sheet[27:32, 9:] == 255).all()
    assert (sheet[5:23, :5] < 255).any() and (sheet[5:23, 9:] == 255).all()


def test_contact_sheet_needs_as_many_of_each():
    with pytest.raises(ValueError, match="equally many"):
        contact_sheet([FRAME], [], 1, [""])
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([], [], 1, [])
