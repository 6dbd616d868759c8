"""PyTorch's names and layouts to ours and back; ImageNet trunks."""

import pathlib
import runpy
import subprocess
import sys

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from stm_jax import Model, weights
from stm_jax.config import STM_R18, STM_R50, TINY, ModelConfig
from stm_jax.errors import InputError
from stm_jax.nn.encoders import IMAGENET_MEAN, IMAGENET_STD
from stm_jax.nn.stm import STM, query
from stm_jax.weights.pytorch import variable_shapes
from tests.lively import lively_model

TRUNKS = {"resnet18": STM_R18, "resnet50": STM_R50}


def filled(config: ModelConfig) -> Model:
    """An untrained model whose every variable differs from every other."""
    rng = np.random.default_rng(0)

    def draw(path: str, shape: tuple[int, ...]) -> np.ndarray:
        if path.endswith("normalize/mean"):
            return np.array(IMAGENET_MEAN)
        if path.endswith("normalize/std"):
            return np.array(IMAGENET_STD)
        if path.endswith("kernel"):
            return rng.normal(0, np.sqrt(2 / np.prod(shape[:3])), shape)
        return rng.integers(1000, size=()) if path.endswith("count") else rng.uniform(0.5, 1, shape)

    variables = {
        path: jnp.array(draw(path, struct.shape), struct.dtype)
        for path, struct in variable_shapes(config).items()
    }
    return Model(config, flax.traverse_util.unflatten_dict(variables, sep="/"))


def flat(model: Model) -> dict[str, np.ndarray]:
    variables = flax.traverse_util.flatten_dict(model.variables, sep="/")
    return {path: np.asarray(array) for path, array in variables.items()}


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    """Asserts that names, dtypes, shapes and every bit are the same."""
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.dtype == other[name].dtype, name
        assert array.shape == other[name].shape, name
        assert array.tobytes() == other[name].tobytes(), name


@pytest.fixture
def tiny() -> dict[str, np.ndarray]:
    """A state dict of the tiny network."""
    return weights.to_pytorch(lively_model())


# --- State dicts ---------------------------------------------------------------------------------


def test_full_size_comes_back_to_the_bit(shared):
    given = runpy.run_path(str(shared / "golden" / "weights_rule.py"))["golden_state_dict"]()
    counts = [name for name in given if name.endswith("num_batches_tracked")]
    for number, name in enumerate(counts, start=1):
        given[name] = np.array(1000 * number, np.int64)
    model = weights.from_pytorch(given)
    assert model.config is STM_R50
    assert {str(a.dtype) for a in flat(model).values()} == {"float32", "int32"}
    back = weights.to_pytorch(model)
    assert len(back) == 558
    assert back[counts[2]].dtype == np.int64 and back[counts[2]] == 3000
    assert_same(given, back)


@pytest.mark.parametrize(
    "config",
    [
        STM_R18,
        TINY,
        ModelConfig("custom", bottleneck=True, blocks=(1, 3, 2), width=4, decoder_width=6),
        ModelConfig("custom", False, (1, 1, 1), 4, decoder_width=6, key_width=3, value_width=7),
    ],
    ids=lambda config: config.name,
)
def test_other_networks_come_back_and_are_recognised(config):
    model = filled(config)
    state_dict = weights.to_pytorch(model)
    found = weights.from_pytorch(state_dict)
    assert found.config == config
    assert_same(flat(found), flat(model))
    assert_same(weights.to_pytorch(found), state_dict)


def test_where_entries_go():
    """Written out, for a table that is wrong in the same way in both directions comes back too."""
    rng = np.random.default_rng(0)
    shapes = weights.to_pytorch(filled(STM_R18))
    given = {name: rng.normal(size=a.shape).astype(a.dtype) for name, a in shapes.items()}
    ours = flat(weights.from_pytorch(given))
    blocks = "memory_encoder/trunk/res3_block1"
    same = {
        "Encoder_M.res3.1.bn2.weight": f"params/{blocks}/conv2/norm/scale",
        "Encoder_M.res3.1.bn2.bias": f"params/{blocks}/conv2/norm/bias",
        "Encoder_M.res3.1.bn2.running_mean": f"batch_stats/{blocks}/conv2/norm/mean",
        "Encoder_M.res3.1.bn2.running_var": f"batch_stats/{blocks}/conv2/norm/var",
        "Encoder_Q.bn1.weight": "params/query_encoder/norm/scale",
        "KV_Q_r4.Value.bias": "params/query_head/value/bias",
        "Decoder.RF2.ResMM.conv1.bias": "params/decoder/refine2/merged_residual/conv1/bias",
    }
    for theirs, mine in same.items():
        np.testing.assert_array_equal(ours[mine], given[theirs], err_msg=theirs)
    kernels = {
        "Encoder_M.conv1.weight": "memory_encoder/conv_frame",
        "Encoder_M.conv1_m.weight": "memory_encoder/conv_mask",
        "Encoder_M.conv1_o.weight": "memory_encoder/conv_others",
        "Encoder_Q.res2.1.conv2.weight": "query_encoder/trunk/res2_block1/conv2/conv",
        "Encoder_Q.res4.0.downsample.0.weight": "query_encoder/trunk/res4_block0/shortcut/conv",
        "KV_M_r4.Key.weight": "memory_head/key/conv",
        "KV_Q_r4.Key.weight": "query_head/key/conv",
        "Decoder.convFM.weight": "decoder/read_conv/conv",
        "Decoder.ResMM.conv2.weight": "decoder/read_residual/conv2/conv",
        "Decoder.RF3.convFS.weight": "decoder/refine3/skip_conv/conv",
        "Decoder.RF3.ResFS.conv1.weight": "decoder/refine3/skip_residual/conv1/conv",
        "Decoder.pred2.weight": "decoder/predict/conv",
    }
    for theirs, mine in kernels.items():
        array = ours[f"params/{mine}/kernel"]
        outputs, inputs, height, width = given[theirs].shape
        assert array.shape == (height, width, inputs, outputs), theirs
        for o, i, h, w in np.random.default_rng(1).integers(0, given[theirs].shape, (20, 4)):
            assert array[h, w, i, o] == given[theirs][o, i, h, w], theirs
    np.testing.assert_array_equal(
        ours["batch_stats/query_encoder/normalize/std"], given["Encoder_Q.std"][0, :, 0, 0]
    )


def test_the_prefix_of_data_parallel_is_taken_off(tiny):
    prefixed = {f"module.{name}": array for name, array in tiny.items()}
    assert_same(weights.to_pytorch(weights.from_pytorch(prefixed)), tiny)


def test_other_precisions_become_float32(tiny):
    halves = {n: a.astype(np.float16) if a.dtype == np.float32 else a for n, a in tiny.items()}
    expected = {name: a.astype(tiny[name].dtype) for name, a in halves.items()}
    assert_same(weights.to_pytorch(weights.from_pytorch(halves)), expected)


def test_the_given_arrays_may_change_afterwards(tiny):
    # JAX takes an array that lies well in memory without copying it.
    name = "KV_Q_r4.Value.bias"
    room = np.zeros(2 * 4096, np.uint8)
    start = -room.ctypes.data % 4096
    lying_well = room[start : start + tiny[name].nbytes].view(np.float32)
    lying_well[:] = tiny[name]
    model = weights.from_pytorch(tiny | {name: lying_well})
    lying_well[:] = 1e6
    assert_same(weights.to_pytorch(model), tiny)


def test_all_that_does_not_fit_is_told_in_one_line(tiny):
    given = dict(tiny)
    del given["Encoder_M.res3.0.bn1.running_var"], given["KV_M_r4.Key.bias"]
    given["Decoder.pred3.weight"] = np.zeros((1, 2))
    given["Encoder_Q.res4.7.conv1.weight"] = given.pop("Encoder_Q.res4.0.conv1.weight")
    given["Decoder.pred2.weight"] = given["Decoder.pred2.weight"].swapaxes(0, 1)
    given["KV_Q_r4.Key.bias"] = np.array(["no"] * len(given["KV_Q_r4.Key.bias"]))
    with pytest.raises(InputError) as caught:
        weights.from_pytorch(given)
    assert str(caught.value) == (
        "the state dict does not fit: "
        "3 missing (Encoder_M.res3.0.bn1.running_var, Encoder_Q.res4.0.conv1.weight, "
        "KV_M_r4.Key.bias), "
        "2 unexpected (Decoder.pred3.weight, Encoder_Q.res4.7.conv1.weight), "
        "1 misshapen (Decoder.pred2.weight is 8x2x3x3 instead of 2x8x3x3), "
        "1 no real numbers (KV_Q_r4.Key.bias is <U2); "
        "give the whole state dict of an STM with the original implementation's names"
    )


def test_ten_of_each_kind_are_named(tiny):
    few = ("Encoder_Q.conv1.weight", "Decoder.convFM.weight")
    given = {name: tiny[name] for name in few} | {f"extra{i:02}": np.zeros(1) for i in range(13)}
    with pytest.raises(InputError) as caught:
        weights.from_pytorch(given)
    names = sorted(n for n in tiny.keys() - set(few) if not n.endswith("_tracked"))
    assert f"{len(names)} missing ({', '.join(names[:4])} and {len(names) - 4} more)" in str(
        caught.value
    )
    assert "13 unexpected (extra00, extra01" in str(caught.value)
    assert "extra03 and 9 more)" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"Encoder_Q.conv1.weight": None},
        {"Decoder.convFM.weight": None},
        {"Encoder_Q.conv1.weight": np.zeros(())},
        {"Encoder_Q.conv1.weight": np.zeros((0, 3, 7, 7))},
    ],
)
def test_what_is_no_stm_is_refused(tiny, change):
    given = {name: array for name, array in (tiny | change).items() if array is not None}
    with pytest.raises(InputError, match=r"no state dict of an STM: it has no \w+\.conv\w+"):
        weights.from_pytorch(given)


@pytest.mark.parametrize("block", ["9" * 5000, "1_0", "00", "٣"], ids=["long", "_", "00", "٣"])
def test_an_absurd_block_is_unexpected(tiny, block):
    with pytest.raises(InputError, match="1 unexpected"):
        weights.from_pytorch(tiny | {f"Encoder_Q.res2.{block}.conv1.weight": np.zeros(1)})


def test_no_counts_of_batches_are_nothing_missing(tiny):
    given = {name: array for name, array in tiny.items() if not name.endswith("_tracked")}
    assert len(given) < len(tiny)
    assert_same(weights.to_pytorch(weights.from_pytorch(given)), tiny)


def test_more_blocks_than_any_network_has(tiny):
    blocks = {f"Encoder_Q.res2.{i}.conv1.weight": np.zeros(1) for i in range(1, 100)}
    with pytest.raises(InputError, match=r"blocks\.0 is 100: give a number 1 or more, at most"):
        weights.from_pytorch(tiny | blocks)


def test_a_whole_stage_missing_is_told(tiny):
    given = {name: array for name, array in tiny.items() if "Encoder_Q.res3" not in name}
    with pytest.raises(InputError, match=r"15 missing \(Encoder_Q.res3.0.bn1.bias"):
        weights.from_pytorch(given)


def test_a_network_of_another_make_has_no_pytorch_names():
    model = lively_model()
    more = {"params": model.variables["params"] | {"mixer": {"kernel": np.zeros(1)}}}
    with pytest.raises(InputError, match="no PyTorch name for the variable params/mixer/kernel"):
        weights.to_pytorch(Model(TINY, model.variables | more))


def test_importing_stm_jax_does_not_import_torch():
    program = "import sys, stm_jax.cli; from stm_jax import *; assert 'torch' not in sys.modules"
    root = pathlib.Path(__file__).parent.parent
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True)


# --- Trunks --------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=TRUNKS)
def started(request, shared) -> tuple[Model, Model, dict[str, np.ndarray]]:
    """A model before and after its trunks are loaded, and the trunk, float32."""
    trunk = load_file(shared / "weights" / f"{request.param}_imagenet_trunk.safetensors")
    before = filled(TRUNKS[request.param])
    after = weights.with_trunk(before, trunk)
    return before, after, {name: array.astype(np.float32) for name, array in trunk.items()}


def test_both_encoders_hold_the_trunk(started):
    before, after, trunk = started
    ours = flat(after)
    for encoder in ("memory_encoder", "query_encoder"):
        kernel = ours[f"params/{encoder}/conv_frame/kernel"]
        np.testing.assert_array_equal(kernel, np.moveaxis(trunk["conv1.weight"], (0, 1), (3, 2)))
        block, norm = f"{encoder}/trunk/res3_block0", trunk["layer2.0.downsample.1.running_mean"]
        np.testing.assert_array_equal(ours[f"batch_stats/{block}/shortcut/norm/mean"], norm)
        kernel = ours[f"params/{block}/conv2/conv/kernel"]
        assert kernel[0, 2, 5, 7] == trunk["layer2.0.conv2.weight"][7, 5, 0, 2]
        bias = trunk["layer3.1.bn2.bias"]
        np.testing.assert_array_equal(
            ours[f"params/{encoder}/trunk/res4_block1/conv2/norm/bias"], bias
        )
    held = [path for path in ours if "/query_encoder/" in path and "normalize" not in path]
    held = [path for path in held if not path.endswith("/count")]
    assert len(held) == len([name for name in trunk if "num_batches" not in name])
    for path in held:
        twin = path.replace("query_encoder", "memory_encoder")
        np.testing.assert_array_equal(ours[path], ours[twin], err_msg=path)
    assert after.config == before.config and ours.keys() == flat(before).keys()


def test_masks_begin_small_and_keys_equal(started):
    before, after, _ = started
    old, new = flat(before), flat(after)
    mask, others = (f"params/memory_encoder/conv_{p}/kernel" for p in ("mask", "others"))
    np.testing.assert_allclose(new[mask], 0.2 * old[mask], rtol=1e-6)
    assert not new[others].any() and old[others].any()
    for leaf in ("conv/kernel", "bias"):
        key = new[f"params/query_head/key/{leaf}"]
        np.testing.assert_array_equal(key, old[f"params/query_head/key/{leaf}"])
        np.testing.assert_array_equal(key, new[f"params/memory_head/key/{leaf}"])
    kept = [p for p in old if "decoder" in p or "/value/" in p or "normalize" in p or "count" in p]
    assert kept
    for path in kept:
        np.testing.assert_array_equal(new[path], old[path], err_msg=path)


def test_no_two_variables_share_a_buffer(started):
    """A training step donates them; one that is deleted twice is an error."""
    leaves = jax.tree.leaves(started[1].variables)
    assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)


def test_the_trunk_of_another_network_is_refused(started):
    _, after, trunk = started
    other = STM_R18 if after.config is STM_R50 else STM_R50
    with pytest.raises(InputError, match=f"the trunk of {other.name} does not fit: .* more"):
        weights.with_trunk(filled(other), trunk)


def test_trunk_features_follow_an_object(started, shared):
    """Weights in the wrong place leave noise, in which nothing is found again.

    A skater crosses the picture so fast that the first mask soon covers little of her. The mask
    is carried from the first and the previous frame by the cosine of r4 alone, without training.
    """
    frames, masks = skater(shared / "data" / "davis2016-train", frames=5)
    stays = np.mean([overlap(masks[0], mask) for mask in masks[1:]])
    assert stays < 0.3
    before, after, _ = started
    encode = jax.jit(lambda v, f: query(STM(after.config), v, f)[0].r4[0])
    scores = []
    for model in (before, after):
        features = [np.asarray(encode(model.variables, frame[None])) for frame in frames]
        found = carry(features, masks[0])
        scores.append(np.mean([overlap(a, b) for a, b in zip(found, masks[1:], strict=True)]))
    assert scores[1] > 0.55
    assert scores[0] < 0.3  # the same without the trunk


def skater(davis: pathlib.Path, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns frames in [0, 1], (frames, 256, 448, 3), and masks, bool."""
    pictures, masks = [], []
    for t in range(frames):
        name = f"480p/rollerblade/{t:05d}"
        with Image.open(davis / "JPEGImages" / f"{name}.jpg") as picture:
            pictures.append(np.asarray(picture.resize((448, 256), Image.Resampling.BILINEAR)))
        with Image.open(davis / "Annotations" / f"{name}.png") as mask:
            small = mask.convert("L").resize((448, 256), Image.Resampling.NEAREST)
            masks.append(np.asarray(small) > 127)
    return np.stack(pictures).astype(np.float32) / 255, np.stack(masks)


def carry(features: list[np.ndarray], first_mask: np.ndarray) -> list[np.ndarray]:
    """Carries a mask to the later frames by cosine matching of (h, w, channels) features."""
    height, width, channels = features[0].shape
    flat = [f.reshape(-1, channels) for f in features]
    flat = [f / np.linalg.norm(f, axis=1, keepdims=True) for f in flat]
    first = first_mask.reshape(height, 16, width, 16).mean((1, 3)).ravel()
    soft, found = first, []
    for t in range(1, len(flat)):
        affinity = np.exp(flat[t] @ np.concatenate([flat[0], flat[t - 1]]).T / 0.05)
        soft = affinity @ np.concatenate([first, soft]) / affinity.sum(axis=1)
        coarse = Image.fromarray(soft.reshape(height, width).astype(np.float32))
        large = coarse.resize((width * 16, height * 16), Image.Resampling.BILINEAR)
        found.append(np.asarray(large) > 0.5)
    return found


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()
