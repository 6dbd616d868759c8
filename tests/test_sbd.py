"""The reader of SBD's MATLAB files: as SciPy reads them, and none ends the process."""

import io

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from stm_jax.data.sbd import segmentation


def saved(compressed: bool = False, **fields: object) -> bytes:
    content = io.BytesIO()
    scipy.io.savemat(content, {"GTinst": fields}, do_compression=compressed)
    return content.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float64"])
@pytest.mark.parametrize("size", [(30, 41), (1, 3), (2, 1)])
def test_the_array_is_found_among_others(compressed, dtype, size):
    ids = np.random.default_rng(0).integers(0, 9, size).astype(dtype)
    others = {"Boundaries": scipy.sparse.csc_matrix(np.eye(3)), "Categories": np.array([[15]])}
    found = segmentation(saved(compressed, **others, Segmentation=ids, Last=np.ones(3)))
    assert found.dtype == np.uint8 and np.array_equal(found, ids)


WRONG = {
    "no file of MATLAB": (b"MATLAB" * 30, "level 5"),
    "no such array": (saved(Other=np.ones((2, 2))), "has no Segmentation"),
    "half ids": (saved(Segmentation=np.full((2, 2), 0.5)), "no ids"),
    "large ids": (saved(Segmentation=np.full((2, 2), 300)), "no ids"),
    "no pixels": (saved(Segmentation=np.zeros((0, 2))), "cut off"),
    "a text": (saved(Segmentation="ids"), "no array of ids"),
    "cut": (saved(Segmentation=np.ones((20, 20)))[:-40], "cut off"),
    "cut and packed": (saved(True, Segmentation=np.ones((20, 20)))[:-9], "cut off"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_told(kind):
    content, told = WRONG[kind]
    with pytest.raises(ValueError, match=told):
        segmentation(content)


def test_whatever_is_changed_in_it_the_process_goes_on():
    """SciPy's reader dies of some of these."""
    rng = np.random.default_rng(0)
    for compressed in (False, True):
        whole = saved(compressed, Boundaries=np.ones(4), Segmentation=np.ones((20, 20), np.uint8))
        for _ in range(1000):
            changed = bytearray(whole)
            for place in rng.integers(0, len(whole), int(rng.integers(1, 4))):
                changed[place] = int(rng.integers(256))
            try:
                assert segmentation(bytes(changed)).ndim == 2
            except ValueError as error:
                assert len(str(error)) < 100
