"""Every similarity in every read, by definitions in NumPy, and in the network that learns it."""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Callable
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stm_jax
from stm_jax.catalogue import SIMILARITIES, chosen_similarity, entries
from stm_jax.commands.shared.options import ModelOptions
from stm_jax.config import TINY, ModelConfig
from stm_jax.memory import AfbUrr, EveryNth, SwiftNet, XMem
from stm_jax.nn.model import Model
from stm_jax.nn.stm import STM, initialize, memorize, query, view_of
from stm_jax.reads import Chunked, Dense, Slots
from stm_jax.reads.protocol import MemoryView, Read
from stm_jax.similarities import AnisotropicL2, Cosine, DotProduct, Gated, NegativeL2
from stm_jax.similarities.protocol import Similarity
from stm_jax.train.follow import follow_clip
from stm_jax.train.losses import clip_loss
from stm_jax.weights.files import hash_of
from stm_jax.weights.pytorch import variable_shapes
from tests import slow_reads
from tests.lively import clip, first_mask, lively_model
from tests.test_reads import DEFINITIONS, HEIGHT, READS, SLOTS, WIDTH

C = 6
LOG_SCALE = 1.2


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def negative_l2(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    away = np.square(q[:, :, None, None, None] - k).sum(axis=-1)
    return -away / math.sqrt(C)


def anisotropic_l2(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Of keys with the heads' outputs behind them."""
    shrinkage, selection = k[..., C] ** 2 + 1, sigmoid(q[..., C:])
    away = np.square(q[:, :, None, None, None, :C] - k[..., :C])
    return -shrinkage * (selection[:, :, None, None, None] * away).sum(axis=-1) / math.sqrt(C)


def cosine(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Of query keys with the logarithm of 1 / temperature behind them."""
    lengths = np.linalg.norm(q[..., :C], axis=-1)[:, :, None, None, None]
    dots = np.einsum("yxc,tijc->yxtij", q[..., :C], k)
    return dots / lengths / np.linalg.norm(k, axis=-1) * np.exp(q[0, 0, C])


ALIKE: dict[Similarity, Callable] = {
    DotProduct(): slow_reads.dot_product,
    NegativeL2(): negative_l2,
    AnisotropicL2(): anisotropic_l2,
    Cosine(): cosine,
    Gated(): lambda q, k: slow_reads.dot_product(q, k[..., :C]),
}
MORE = {AnisotropicL2(): C, Cosine(): 1}  # channels behind a query key: heads' outputs, or numbers

every_similarity = pytest.mark.parametrize("similarity", ALIKE, ids=lambda s: type(s).__name__)
other_similarity = pytest.mark.parametrize("words", [e.name for e in entries(SIMILARITIES)][1:])
every_read = pytest.mark.parametrize("read", READS, ids=str)
defined_read = pytest.mark.parametrize("read", DEFINITIONS, ids=str)


def drawn(similarity: Similarity, seed: int) -> tuple[np.ndarray, MemoryView, np.ndarray]:
    """Returns query keys with what is learnt behind them, a memory, and where the object is."""
    rng = np.random.default_rng(seed)
    q = rng.normal(0, 1, (HEIGHT, WIDTH, C + MORE.get(similarity, 0))).astype(np.float32)
    if similarity == Cosine():
        q[..., C] = LOG_SCALE
    remembered = C + sum(similarity.memory_heads(C).values())
    keys = rng.normal(0, 1, (SLOTS, HEIGHT, WIDTH, remembered)).astype(np.float32)
    values = rng.uniform(-1, 1, (SLOTS, HEIGHT, WIDTH, 5)).astype(np.float32)
    region = rng.random((SLOTS, HEIGHT, WIDTH)) < 0.1
    filled = np.array([True, False, True, True])
    expected: Any = rng.random((HEIGHT, WIDTH)) < 0.15
    return q, MemoryView(keys, values, filled, region), expected


def features_of(similarity: Similarity, q: Any) -> jax.Array:
    """Returns the query's features, as the network makes them."""
    learnt = dict.fromkeys(similarity.query_heads(C), q[..., C:])
    learnt |= {name: q[0, 0, C] for name in similarity.numbers()}
    return similarity.of_query(q[..., :C], learnt)


@functools.partial(jax.jit, static_argnames=("similarity", "read"))
def ask(similarity: Similarity, read: Read, q, memory, expected):
    view = similarity.view(memory, C)
    return read(features_of(similarity, q), view, expected, with_mass=True)


@functools.partial(jax.jit, static_argnames=("similarity", "read"))
def gradients(similarity: Similarity, read: Read, q, memory, expected):
    """Of a sum that weighs every number of values and mass differently."""

    def loss(q, keys, values):
        view = memory._replace(keys=keys, values=values)
        answer = ask(similarity, read, q, view, expected)
        return sum((jnp.cos(jnp.arange(a.size)) * a.ravel()).sum() for a in answer)

    return jax.grad(loss, argnums=(0, 1, 2))(q, memory.keys, memory.values)


@every_similarity
@defined_read
def test_scores_are_the_definition_in_every_read(similarity, read):
    for seed in range(4):
        arguments = drawn(similarity, seed)
        values, mass = ask(similarity, read, *arguments)
        alike = ALIKE[similarity]
        slow_values, slow_mass = slow_reads.slow_read(DEFINITIONS[read], *arguments, alike)
        np.testing.assert_allclose(values, slow_values, rtol=0, atol=5e-6)
        np.testing.assert_allclose(mass, slow_mass, rtol=5e-6, atol=5e-6)


@every_similarity
@pytest.mark.parametrize("read", [Slots(), Chunked(5), Chunked(10**6)], ids=str)
def test_chunks_and_slots_read_as_all_at_once(similarity, read):
    for seed in range(4):
        arguments = drawn(similarity, seed)
        values, mass = ask(similarity, read, *arguments)
        dense_values, dense_mass = ask(similarity, Dense(), *arguments)
        np.testing.assert_allclose(values, dense_values, rtol=0, atol=1e-6)
        np.testing.assert_allclose(mass, dense_mass, rtol=1e-6, atol=1e-6)


@every_similarity
@pytest.mark.parametrize("read", [read for read in DEFINITIONS if read != Slots()], ids=str)
def test_gradients_are_the_slopes_of_the_definition(similarity, read):
    """Of the query's keys and heads or temperature, the memory's keys and head, and the values."""
    q, memory, expected = drawn(similarity, 2)
    found = gradients(similarity, read, q, memory, expected)

    def loss(*arrays: np.ndarray) -> float:
        view = memory._replace(keys=arrays[1], values=arrays[2])
        alike = ALIKE[similarity]
        pair = slow_reads.slow_read(DEFINITIONS[read], arrays[0], view, expected, alike)
        return sum((np.cos(np.arange(a.size)) * a.ravel()).sum() for a in pair)

    arrays = [a.astype(np.float64) for a in (q, *memory[:2])]
    rng = np.random.default_rng(3)
    of_keys, of_more = [np.s_[..., :C], np.s_[..., C:]], similarity.memory_heads(C)
    if similarity == Gated():  # whose head is of no score
        assert not found[1][of_keys[1]].any()
        of_more = {}
    places = [(0, of_keys[0]), (1, of_keys[0]), (2, np.s_[...])]
    places += [(0, of_keys[1])] * (similarity in MORE) + [(1, of_keys[1])] * len(of_more)
    for index, place in places:
        direction = np.zeros_like(arrays[index])
        drawn_there = rng.normal(size=direction[place].shape)
        single = similarity == Cosine() and index == 0 and place == of_keys[1]
        direction[place] = 1.0 if single else drawn_there
        ends = [
            [*arrays[:index], arrays[index] + step * direction, *arrays[index + 1 :]]
            for step in (-1e-6, 1e-6)
        ]
        slope = (loss(*ends[1]) - loss(*ends[0])) / 2e-6
        np.testing.assert_allclose((found[index] * direction).sum(), slope, rtol=1e-4, atol=1e-5)
        assert abs(slope) > 1e-3  # so that the comparison means something


@every_similarity
@every_read
def test_what_an_empty_slot_holds_changes_nothing(similarity, read):
    q, memory, expected = drawn(similarity, 4)
    values, mass = ask(similarity, read, q, memory, expected)
    assert not mass[1].any() and mass[0].any() and mass[2].any() and mass[3].any()
    memory.keys[1, ..., :C], memory.values[1] = q[..., :C], 1000.0  # ever so tempting
    again, mass_again = ask(similarity, read, q, memory, expected)
    np.testing.assert_array_equal(again, values)
    np.testing.assert_array_equal(mass_again, mass)
    full = ask(similarity, read, q, memory._replace(filled=np.ones(SLOTS, bool)), expected)
    assert np.abs(full.values - values).max() > 1


@every_similarity
@every_read
def test_the_order_of_slots_does_not_matter(similarity, read):
    q, memory, expected = drawn(similarity, 5)
    order = np.array([2, 0, 3, 1])
    reordered = MemoryView(*(array[order] for array in memory))
    # To the bit here, and so whatever a read makes of it.
    features = similarity.view(memory, C).keys
    np.testing.assert_array_equal(similarity.view(reordered, C).keys, features[order])
    values, mass = ask(similarity, read, q, memory, expected)
    again, mass_again = ask(similarity, read, q, reordered, expected)
    np.testing.assert_allclose(again, values, rtol=0, atol=2e-6)
    np.testing.assert_allclose(mass_again, mass[order], rtol=2e-6, atol=2e-6)


@every_similarity
def test_keys_of_zero_have_finite_gradients(similarity):
    q, memory, expected = drawn(similarity, 6)
    q[0, 0, :C], memory.keys[0, 1] = 0.0, 0.0
    for read in (Dense(), Chunked(5)):
        for gradient in gradients(similarity, read, q, memory, expected):
            assert np.isfinite(gradient).all()


def test_the_dot_product_leaves_keys_as_they_are():
    q, memory, _ = drawn(DotProduct(), 7)
    assert features_of(DotProduct(), q).dtype == q.dtype
    assert DotProduct().of_query(q, {}) is q
    assert all(a is b for a, b in zip(DotProduct().view(memory, C), memory, strict=True))


@pytest.mark.parametrize("similarity", [s for s in ALIKE if s != DotProduct()], ids=str)
def test_half_precision_keys_are_compared_in_single(similarity):
    q, memory, expected = drawn(similarity, 8)
    half = [jnp.asarray(a, jnp.bfloat16) for a in (q, memory.keys)]
    single = [a.astype(jnp.float32) for a in half]
    log_scale = single[0] if similarity == Cosine() else half[0]  # parameters stay float32
    found = ask(similarity, Dense(), log_scale, memory._replace(keys=half[1]), expected)
    exact = ask(similarity, Dense(), single[0], memory._replace(keys=single[1]), expected)
    np.testing.assert_allclose(found.mass, exact.mass, rtol=1e-6, atol=1e-6)


def test_a_temperature_has_a_floor():
    key = jnp.ones(C)
    at = [Cosine().of_query(key, {"log_scale": jnp.float32(v)}).max() for v in (4.60, 4.61, 9)]
    np.testing.assert_allclose(at[1:], 100, rtol=1e-5)
    assert at[0] < 99.6
    with pytest.raises(ValueError, match=r"at least 0\.01"):
        Cosine(0.001)


# In the network


@functools.cache
def other_model(words: str) -> Model:
    """Returns a lively model with this similarity; its heads are as for training."""
    config = dataclasses.replace(TINY, similarity=(words,))
    own: dict = flax.traverse_util.flatten_dict(lively_model().variables, sep="/")
    shapes, begin = variable_shapes(config), initialize(config, jax.random.key(0))
    drawn_parts: dict = flax.traverse_util.flatten_dict(begin, sep="/")
    flat = {path: own.get(path, drawn_parts[path]) for path in shapes}
    return Model(config, flax.traverse_util.unflatten_dict(flat, sep="/"))


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
        selection = sigmoid(np.asarray(raw + head["bias"], np.float64))[0]
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


def test_every_similarity_of_the_package_is_tested_here():
    kinds = {entry.kind for entry in entries(SIMILARITIES)}
    assert kinds == {type(similarity) for similarity in ALIKE}


# Weights, and what they are run with


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


def test_what_is_no_similarity_is_told(tmp_path: pathlib.Path):
    (tmp_path / "own.py").write_text("class Mine:\n    pass\n")
    with pytest.raises(stm_jax.InputError, match="is no Similarity: derive it from"):
        chosen_similarity((f"{tmp_path / 'own.py'}:Mine",))
    assert chosen_similarity(()) == DotProduct()
    assert chosen_similarity(("cosine", "temperature=0.05")) == Cosine(0.05)
