"""The network's parts where implementations differ, and the whole against its PyTorch twin."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stm_jax.config import TINY
from stm_jax.infer.segmenter import Segmenter
from stm_jax.nn.resnet import FrozenBatchNorm
from stm_jax.nn.stm import STM, decode, memorize, query
from stm_jax.ops.fast_conv import convolve, upsample
from stm_jax.weights import to_pytorch
from tests.lively import IDS, clip, first_mask, lively_model


def test_a_strided_convolution_pads_on_both_sides():
    ones, kernel = jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1))
    # 'SAME' would pad at the bottom and right only: 9, 6, 6, 4.
    np.testing.assert_array_equal(convolve(ones, kernel, stride=2)[0, ..., 0], [[4, 6], [6, 9]])


def test_enlarging_does_not_align_corners():
    row = jnp.asarray([0.0, 8.0]).reshape(1, 1, 2, 1)
    np.testing.assert_allclose(upsample(row, 2)[0, 0, :, 0], [0, 2, 6, 8], atol=1e-6)
    np.testing.assert_allclose(upsample(row, 4)[0, 1, :, 0], [0, 0, 1, 3, 5, 7, 8, 8], atol=1e-6)


def test_batch_norm_uses_its_running_statistics():
    variables = {
        "params": {"scale": jnp.asarray([3.0, 3.0]), "bias": jnp.asarray([1.0, 1.0])},
        "batch_stats": {
            "mean": jnp.asarray([2.0, 2.0]),
            "var": jnp.asarray([4.0, 0.0]),
            "count": jnp.zeros((), jnp.int32),
        },
    }
    factor, offset = FrozenBatchNorm(2).apply(variables)
    of_no_variance = 3 / np.sqrt(1e-5)  # the epsilon
    np.testing.assert_allclose(factor, [1.5, of_no_variance], rtol=1e-5)
    np.testing.assert_allclose(offset, [1 - 2 * 1.5, 1 - 2 * of_no_variance], rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_sizes_and_dtypes(dtype):
    network, variables = STM(TINY, dtype), lively_model().variables
    frames = jax.ShapeDtypeStruct((2, 32, 48, 3), jnp.float32)
    masks = jax.ShapeDtypeStruct((2, 3, 32, 48), jnp.float32)
    memory = jax.eval_shape(lambda f, m: memorize(network, variables, f, m, m), frames, masks)
    assert memory.key.shape == (2, 3, 2, 3, 4) and memory.key.dtype == dtype
    assert memory.value.shape == (2, 3, 2, 3, 16) and memory.value.dtype == dtype
    asking, skips = jax.eval_shape(lambda f: query(network, variables, f), frames)
    assert asking.key.shape == (2, 2, 3, 4) and asking.value.shape == (2, 2, 3, 16)
    assert (asking.r2.shape, asking.r3.shape) == ((2, 8, 12, 8), (2, 4, 6, 16))
    read = jax.ShapeDtypeStruct((2, 3, 2, 3, 32), dtype)
    log_odds = jax.eval_shape(lambda r, s: decode(network, variables, r, s), read, skips)
    assert log_odds.shape == (2, 3, 32, 48) and log_odds.dtype == jnp.float32


def test_objects_are_a_batch():
    network, variables = STM(TINY), lively_model().variables
    frames = clip(1, 32, 32)[:1] / np.float32(255)
    masks = np.stack([first_mask(32, 32) == i for i in IDS])[None].astype(np.float32)
    others = masks[:, ::-1]

    @jax.jit
    def whole(masks: jax.Array, others: jax.Array) -> tuple[jax.Array, jax.Array]:
        memory = memorize(network, variables, frames, masks, others)
        asking, skips = query(network, variables, frames)
        query_value = jnp.broadcast_to(asking.value[:, None], memory.value.shape)
        read = jnp.concatenate([memory.value, query_value], axis=-1)
        return memory.key, decode(network, variables, read, skips)

    keys, log_odds = whole(masks, others)
    order = np.array([2, 0, 1])
    reordered_keys, reordered = whole(masks[:, order], others[:, order])
    np.testing.assert_allclose(reordered_keys, keys[:, order], atol=1e-4)
    np.testing.assert_allclose(reordered, log_odds[:, order], atol=1e-4)
    without_others, _ = whole(masks, np.zeros_like(others))
    assert np.abs(without_others - keys).max() > 0.1  # the others' mask is seen


def test_the_whole_is_what_its_pytorch_twin_is():
    torch = pytest.importorskip("torch", reason="the PyTorch twin needs torch, not installed")
    from stm_jax.weights import torch_twin

    model, frames, mask = lively_model(), clip(9), first_mask()
    twin = torch_twin.STM(TINY)
    twin.load_state_dict({name: torch.as_tensor(a) for name, a in to_pytorch(model).items()})
    by_id = np.searchsorted((0, *IDS), mask).astype(np.uint8)  # the twin's ids have no gaps
    theirs = torch_twin.segment_clip(twin.double(), frames, by_id, 3).numpy()
    ours = Segmenter(model, memorize_every=3).segment(frames, mask, soft=True)
    np.testing.assert_allclose(ours, theirs.swapaxes(0, 1), atol=1e-4)  # float32, fed back
