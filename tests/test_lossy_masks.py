"""Masks in JPEG or WebP with losses: black and white may be read from them, ids may not."""

import cv2
import numpy as np
import pytest
from PIL import Image

from stm_jax.data.masks import read_mask
from stm_jax.data.truth_masks import are_merged, read_truth
from stm_jax.errors import InputError

DISC = cv2.circle(np.zeros((64, 84), np.uint8), (40, 32), 18, 1, -1)
LOSSY = {"mask.jpg": 70, "mask.webp": 80}


@pytest.mark.parametrize("name", LOSSY)
@pytest.mark.parametrize("value", [0, 2, 200, 255])
def test_what_losses_make_of_black_is_no_object(tmp_path, name, value):
    """Black alone may come out as 1 to 3; beside white its noise goes further."""
    grey = DISC * np.uint8(255 if value > 2 else 0)
    grey[:, -12:] = 0
    grey[-8:, :8] = 9 if value > 2 else 0
    grey[:4, :4] = value
    image = Image.fromarray(np.kron(grey, np.ones((2, 2), np.uint8)))
    image.convert("RGB").save(tmp_path / name, quality=LOSSY[name])
    wanted = np.kron((grey >= 128).astype(np.uint8), np.ones((2, 2), np.uint8))
    # Where the masks of a data set are not one object each, white with losses is no id.
    as_ids = [read_truth] if value <= 2 else []
    for read in (read_mask, lambda path: read_truth(path, merged=True), *as_ids):
        ids = read(tmp_path / name)
        assert (ids != wanted).mean() < 0.01
        assert set(np.unique(ids).tolist()) <= {0, 1}


@pytest.mark.parametrize("name", LOSSY)
@pytest.mark.parametrize("read", [read_mask, read_truth, lambda path: read_truth(path, True)])
def test_ids_do_not_survive_losses(tmp_path, name, read):
    ids = np.kron(DISC * np.uint8(40), np.ones((2, 2), np.uint8))
    Image.fromarray(ids).save(tmp_path / name, quality=LOSSY[name])
    with pytest.raises(InputError, match="losses"):
        read(tmp_path / name)
    Image.fromarray(ids).save(tmp_path / "mask.webp", lossless=True)
    assert np.unique(read(tmp_path / "mask.webp")).tolist() in ([0, 40], [0, 1])


def test_lossy_masks_of_a_data_set_are_one_object_each(tmp_path):
    masks = []
    for number in range(3):
        grey = np.kron(DISC * np.uint8(255), np.ones((2, 2), np.uint8))
        masks.append(tmp_path / f"{number}.webp")
        Image.fromarray(grey).convert("RGB").save(masks[-1], quality=60 + number)
    assert are_merged(masks, "here")
