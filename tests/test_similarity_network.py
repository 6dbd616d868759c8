"""A similarity in the network that learns it, and in weights and what they are run with."""

import dataclasses
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

import stm_jax
from stm_jax.catalogue import SIMILARITIES, entries
from stm_jax.commands.shared.options import ModelOptions
from stm_jax.config import TINY, ModelConfig
from stm_jax.memory import AfbUrr, EveryNth, SwiftNet, XMem
from stm_jax.nn.model import Model
from stm_jax.nn.stm import STM, initialize, memorize, query, view_of
from stm_jax.reads.protocol import MemoryView
from stm_jax.train.follow import follow_clip
from stm_jax.train.losses import clip_loss
from stm_jax.weights.files import hash_of
from stm_jax.weights.pytorch import variable_shapes
from tests import slow_reads
from tests.lively import clip, first_mask, lively_model
from tests.other_similarity import other_model

other_similarity = pytest.mark.parametrize("words", [e.name for e in entries(SIMILARITIES)][1:])


def names_of(config: ModelConfig) -> set[str]:
    return set(variable_shapes(config))


def probabilities(model: Model, **options) -> np.ndarray:
    segmenter = stm_jax.Segmenter(model, **options)
    return np.asarray(segmenter.segment(clip(4), first_mask(), soft=True))


def test_a_default_network_has_no_part_of_a_similarity():
    assert not [path for path in names_of(TINY) if path.split("/")[2] in ("shrinkage", "selection")]
    more = {
        words: names_of(dataclasses.replace(TINY, similarity=(words,))) - names_of(TINY)
        for words in ("dot-product", "negative-l2", "anisotropic-l2", "cosine")
    }
    heads = ("params/memory_head/shrinkage", "params/query_head/selection")
    assert more == {
        "dot-product": set(),
        "negative-l2": set(),
        "anisotropic-l2": {f"{h}/{leaf}" for h in heads for leaf in ("bias", "conv/kernel")},
        "cosine": {"params/similarity/log_scale"},
    }
    begin = other_model("cosine").variables["params"]["similarity"]["log_scale"]
    assert begin == pytest.approx(math.log(10))
    with pytest.raises(stm_jax.InputError, match="similarity = nothing: there is dot-product"):
        initialize(dataclasses.replace(TINY, similarity=("nothing",)), jax.random.key(0))


@other_similarity
def test_the_networks_scores_are_the_similaritys(words):
    model = other_model(words)
    network, channels = STM(model.config), TINY.key_channels
    frames = jnp.asarray(clip(1)[:, :32, :48] / 255.0, jnp.float32)
    masks = jnp.zeros((1, 1, 32, 48)).at[..., :16, :].set(1.0)
    memory = memorize(network, model.variables, frames, masks, 0 * masks)
    assert memory.key.shape[-1] == network.channels[0]
    view = view_of(network, MemoryView(memory.key[0], memory.value[0], jnp.ones(1, bool)))
    features, _ = query(network, model.variables, frames)
    found = np.einsum("yxc,tijc->yxtij", features.key[0], view.keys)
    found = found / math.sqrt(view.keys.shape[-1])

    # From the plain network's keys, and the heads' outputs.
    plain = STM(TINY)
    q = np.asarray(query(plain, lively_model().variables, frames)[0].key[0], np.float64)
    k = np.asarray(memory.key[0], np.float64)
    of_plain = memorize(plain, lively_model().variables, frames, masks, 0 * masks).key[0]
    np.testing.assert_allclose(k[..., :channels], of_plain, rtol=0, atol=1e-5)
    if words == "negative-l2":
        expected = -np.square(q[:, :, None, None, None] - k).sum(axis=-1) / math.sqrt(channels)
    elif words == "cosine":
        lengths = np.linalg.norm(q, axis=-1)[:, :, None, None, None] * np.linalg.norm(k, axis=-1)
        expected = np.einsum("yxc,tijc->yxtij", q, k) / lengths / 0.1
    elif words == "gated":
        expected = slow_reads.dot_product(q, k[..., :channels])
        assert k.shape[-1] == 2 * channels and np.ptp(k[..., channels:]) > 1e-3
    else:
        head = model.variables["params"]["query_head"]["selection"]
        r4 = features.r4
        raw = jax.lax.conv_general_dilated(
            r4, head["conv"]["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        selection = expit(np.asarray(raw + head["bias"], np.float64))[0]
        away = np.square(q[:, :, None, None, None] - k[..., :channels])
        expected = (selection[:, :, None, None, None] * away).sum(axis=-1)
        expected *= -(k[..., channels] ** 2 + 1) / math.sqrt(channels)
        assert np.ptp(k[..., channels]) > 1e-3 and np.ptp(selection) > 1e-3
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@other_similarity
def test_training_follows_a_clip_as_inference_does(words):
    model = other_model(words)
    frames = clip(3, 32, 48)
    planes = np.stack([first_mask(32, 48) == i for i in (1, 4)])
    masks = np.broadcast_to(planes[:, None], (2, 3, 32, 48)).astype(np.float32)
    logits = follow_clip(
        STM(model.config),
        model.variables,
        frames[None] / np.float32(255),
        masks[None],
        np.ones((1, 2), bool),
    ).logits
    ids = (planes * np.array([1, 4])[:, None, None]).sum(axis=0).astype(np.uint8)
    segmenter = stm_jax.Segmenter(model, memory=EveryNth(1))
    found = np.asarray(segmenter.segment(frames, ids, soft=True))[1:]
    np.testing.assert_allclose(jax.nn.softmax(logits[0], axis=1), found[:, :3], atol=1e-5)
    apart = np.abs(found - np.asarray(plain_run(frames, ids))[1:]).max()
    assert apart < 1e-5 if words == "gated" else apart > 1e-3


def plain_run(frames: np.ndarray, ids: np.ndarray) -> np.ndarray:
    return stm_jax.Segmenter(lively_model(), memory=EveryNth(1)).segment(frames, ids, soft=True)


@pytest.mark.parametrize("words", ["anisotropic-l2", "cosine"])
def test_what_a_similarity_learns_has_a_gradient(words):
    model = other_model(words)
    frames = clip(3, 32, 48)[None]
    masks = np.repeat(first_mask(32, 48)[None, None] == 1, 3, axis=1).astype(np.uint8)

    @jax.jit
    def gradient(params):
        def loss(params):
            return clip_loss(
                STM(model.config), {**model.variables, "params": params}, frames, masks, 1
            )[0]

        return jax.grad(loss)(params)

    found = gradient(model.variables["params"])
    if words == "cosine":
        assert abs(found["similarity"]["log_scale"]) > 1e-6
    else:
        for head, name in (("memory_head", "shrinkage"), ("query_head", "selection")):
            assert all(np.abs(leaf).max() > 1e-6 for leaf in jax.tree.leaves(found[head][name]))


@pytest.mark.parametrize("memory", [XMem(1, 1, 2, 4), AfbUrr(), SwiftNet(1)], ids=str)
def test_stores_hold_keys_with_what_is_remembered_behind_them(memory):
    found = probabilities(other_model("anisotropic-l2"), memory=memory)
    assert np.isfinite(found).all() and np.ptp(found) > 0.5


def test_a_look_into_the_read_sees_the_similarity():
    seen = []
    for model in (lively_model(), other_model("negative-l2")):
        segmenter = stm_jax.Segmenter(model)
        frames = clip(3)
        segmenter.start(frames[0], first_mask())
        segmenter.step(frames[1])
        seen.append(segmenter.look(frames[2], row=20, column=30).weights)
        np.testing.assert_allclose(seen[-1].sum(axis=(1, 2, 3)), 1, atol=1e-5)
    assert np.abs(seen[0] - seen[1]).max() > 1e-2


def test_weights_are_run_with_the_similarity_that_they_were_trained_with(tmp_path: pathlib.Path):
    model = other_model("anisotropic-l2")
    stm_jax.save(model, tmp_path / "mine.safetensors")
    loaded = stm_jax.load(tmp_path / "mine.safetensors")
    assert loaded.config == model.config and loaded.config.similarity == ("anisotropic-l2",)
    np.testing.assert_array_equal(probabilities(loaded), probabilities(model))
    plain = stm_jax.load(tmp_path / "mine.safetensors", ("dot-product",))
    np.testing.assert_array_equal(probabilities(plain), probabilities(lively_model()))
    leaves = (jax.tree.leaves(model.variables) for model in (plain, lively_model()))
    assert len({len(each) for each in leaves}) == 1


def test_the_options_of_commands_choose_a_similarity(tmp_path: pathlib.Path):
    weights = tmp_path / "plain.safetensors"
    stm_jax.save(lively_model(), weights)
    usual = ModelOptions(str(weights)).load()
    other = ModelOptions(str(weights), similarity=("negative-l2",)).load()
    assert other.model.config.similarity == ("negative-l2",)
    assert usual.settings() != other.settings()
    found = np.asarray(other.segmenter().segment(clip(4), first_mask(), soft=True))
    np.testing.assert_array_equal(found, probabilities(other_model("negative-l2")))


def test_weights_without_what_is_learnt_are_refused(tmp_path: pathlib.Path):
    stm_jax.save(lively_model(), tmp_path / "plain.safetensors")
    told = (
        r"no memory_head/shrinkage,query_head/selection: .* similarity=anisotropic-l2 start_anew=m"
    )
    with pytest.raises(stm_jax.InputError, match=told):
        stm_jax.load(tmp_path / "plain.safetensors", ("anisotropic-l2",))
    with pytest.raises(stm_jax.InputError, match="--similarity l3: there is dot-product, neg"):
        stm_jax.load(tmp_path / "plain.safetensors", ("l3",))
    found = stm_jax.load(tmp_path / "plain.safetensors", ("negative-l2",))
    np.testing.assert_array_equal(probabilities(found), probabilities(other_model("negative-l2")))


OWN = """
import dataclasses
from stm_jax.similarities import NegativeL2

@dataclasses.dataclass(frozen=True)
class Mine(NegativeL2):
    pass

open("was_run", "w").close()
"""


def test_loading_runs_no_code_that_weights_name(tmp_path: pathlib.Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("mine.py").write_text(OWN)
    config = dataclasses.replace(TINY, similarity=("mine.py:Mine",))
    model = Model(config, lively_model().variables)
    stm_jax.save(model, "mine.safetensors")
    with pytest.raises(stm_jax.InputError, match=r"similarity mine\.py:Mine, and loading runs no"):
        stm_jax.load("mine.safetensors")
    assert not pathlib.Path("was_run").exists()
    loaded = stm_jax.load("mine.safetensors", ("mine.py:Mine",))
    assert loaded.config == config and pathlib.Path("was_run").exists()
    expected = probabilities(other_model("negative-l2"))
    np.testing.assert_array_equal(probabilities(loaded), expected)


def test_results_of_another_similarity_are_others():
    own = lively_model()
    models = [own, other_model("negative-l2"), other_model("cosine")]
    colder = dataclasses.replace(models[2].config, similarity=("cosine", "temperature=0.2"))
    models.append(Model(colder, models[2].variables))
    assert len({hash_of(model) for model in models}) == len(models)
    assert "similarity" not in repr(TINY)  # by which the hashes of before are known


def test_pytorch_has_the_dot_product_only():
    with pytest.raises(stm_jax.InputError, match="tiny has the similarity negative-l2"):
        stm_jax.weights.to_pytorch(other_model("negative-l2"))
    assert stm_jax.weights.to_pytorch(other_model("dot-product"))
