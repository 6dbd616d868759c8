"""LiVOS's sums against their definition, in training, and in a stream."""

import dataclasses

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stm_jax
from stm_jax.catalogue import chosen
from stm_jax.config import TINY
from stm_jax.errors import InputError
from stm_jax.infer.stream import Recipe
from stm_jax.memory import EveryNth, Livos
from stm_jax.memory.protocol import Candidate, candidate_of
from stm_jax.nn.stm import STM
from stm_jax.reads import Dense, TopK
from stm_jax.train.checks import check_train
from stm_jax.train.follow import follow_clip
from stm_jax.train.losses import clip_loss
from tests.histories import KEY, LENGTH, VALUE, draw, run
from tests.lively import clip, first_mask, lively_model
from tests.other_similarity import other_model
from tests.test_checks import config_of
from tests.test_clips import root  # noqa: F401, a fixture

GATES = pytest.mark.parametrize("gates", [False, True], ids=["linear", "gated"])


def share_by_hand(key: np.ndarray) -> np.ndarray:
    weights = np.exp(key - key.max())
    return weights / weights.sum()


class PlainLivos:
    """One object's sums, position after position, in float64."""

    def __init__(self, gates: bool, channels: int, value_channels: int) -> None:
        self.gates, self.channels = gates, channels
        self.sums = np.zeros((channels, value_channels))
        self.weights = np.zeros(channels)

    def put(self, key: np.ndarray, value: np.ndarray) -> None:
        key = key.reshape(-1, key.shape[-1]).astype(float)
        if self.gates:
            gate = (1 / (1 + np.exp(-key[:, self.channels :]))).mean(axis=0)
            self.sums = self.sums * gate[:, None]
            self.weights = self.weights * gate
        for k, v in zip(key, value.reshape(-1, value.shape[-1]).astype(float), strict=True):
            share = share_by_hand(k[: self.channels])
            self.sums = self.sums + np.outer(share, v)
            self.weights = self.weights + share

    def read(self, query: np.ndarray) -> np.ndarray:
        asked = query.reshape(-1, query.shape[-1]).astype(float)[:, : self.channels]
        answers = [share_by_hand(q) @ self.sums / (share_by_hand(q) @ self.weights) for q in asked]
        return np.array(answers).reshape(*query.shape[:-1], -1)


@GATES
def test_the_sums_are_what_their_definition_says(gates):
    histories = draw()
    memory = Livos(gates)
    read, (_, values, filled) = run(memory, histories)
    assert not filled[:, :, 2].any() and (read[:, :, 2] == 0).all()  # the padded object
    for index in range(len(read)):
        for o in (0, 1):
            plain = PlainLivos(gates, KEY // 2 if gates else KEY, VALUE)
            for t in range(LENGTH):
                if not histories.present[index, t, o]:
                    assert not filled[index, t, o].any() and not read[index, t, o].any()
                    continue
                plain.put(histories.key[index, t, o], histories.value[index, t, o])
                means = plain.sums / plain.weights[:, None]
                expected = plain.read(histories.query[index, t])
                found = np.abs(values[index, t, o] - means), np.abs(read[index, t, o] - expected)
                assert max(each.max() for each in found) < 1e-5


def test_without_gates_the_sums_are_linear_matching_over_all_positions():
    """The order of frames does not matter, and weights of all positions sum to 1."""
    rng = np.random.default_rng(0)
    keys, query = rng.normal(size=(4, 6, 8)), rng.normal(size=(5, 8))
    values = rng.normal(size=(4, 6, 3))
    shares, asked = (
        np.apply_along_axis(share_by_hand, -1, each) for each in (keys.reshape(24, 8), query)
    )
    weights = asked @ shares.T
    expected = weights @ values.reshape(24, 3) / weights.sum(axis=1, keepdims=True)
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        state = Livos().empty(1, 1, (2, 3), (8, 3), jnp.float32)
        for t, frame in enumerate(order):
            state = Livos().write(state, offered(keys[frame], values[frame], t))
        view = jax.tree.map(lambda leaf: leaf[0], Livos().view(state))
        answer = Livos.own_read(jnp.asarray(query[None], jnp.float32), view, with_mass=True)
        np.testing.assert_allclose(answer.values[0], expected, atol=1e-5)
        np.testing.assert_allclose(answer.mass.sum(), 5, atol=1e-5)


def offered(key: np.ndarray, value: np.ndarray, t: int) -> Candidate:
    """A frame of one object at 2 x 3 positions."""
    flags = (np.int32(t), np.ones(1, bool), np.array(t == 0), np.int32(0))
    arrays = (np.asarray(a.reshape(1, 2, 3, -1), np.float32) for a in (key, value))
    return candidate_of(*arrays, jnp.ones((1, 32, 48)), *flags)


def test_gradients_are_the_slopes_of_the_definition():
    """Of keys, gates and values of frames, and of the query's keys."""
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=shape) for shape in ((3, 6, 8), (3, 6, 2), (2, 3, 4))]
    memory = Livos(gates=True)

    def loss(keys, values, query):
        state = memory.empty(1, 1, (2, 3), (8, 2), jnp.float32)
        for t in range(3):
            of_frame = offered(np.zeros(48), np.zeros(12), t)
            key, value = keys[t].reshape(1, 2, 3, 8), values[t].reshape(1, 2, 3, 2)
            state = memory.write(state, dataclasses.replace(of_frame, key=key, value=value))
        view = jax.tree.map(lambda leaf: leaf[0], memory.view(state))
        return (jnp.cos(jnp.arange(12)) * memory.own_read(query, view).values.ravel()).sum()

    def by_hand(keys, values, query) -> float:
        plain = PlainLivos(True, 4, 2)
        for key, value in zip(keys, values, strict=True):
            plain.put(key, value)
        return (np.cos(np.arange(12)) * plain.read(query).ravel()).sum()

    found = jax.grad(loss, argnums=(0, 1, 2))(*(jnp.asarray(a, jnp.float32) for a in arrays))
    parts = [(0, np.s_[..., :4]), (0, np.s_[..., 4:]), (1, np.s_[...]), (2, np.s_[...])]
    for index, place in parts:
        direction = np.zeros_like(arrays[index])
        direction[place] = rng.normal(size=direction[place].shape)
        ends = [
            by_hand(*arrays[:index], arrays[index] + step * direction, *arrays[index + 1 :])
            for step in (-1e-6, 1e-6)
        ]
        slope = (ends[1] - ends[0]) / 2e-6
        np.testing.assert_allclose((found[index] * direction).sum(), slope, rtol=1e-4, atol=1e-5)
        assert abs(slope) > 1e-4  # so that the comparison means something


# In the network


def test_training_follows_as_inference_does_and_trains_the_gates():
    model, memory = other_model("gated"), Livos(gates=True)
    frames, mask = clip(3, 32, 48), first_mask(32, 48)
    planes = np.stack([mask == i for i in (1, 4)])
    masks = np.broadcast_to(planes[:, None], (2, 3, 32, 48)).astype(np.float32)
    ids = (planes * np.array([1, 4])[:, None, None]).sum(axis=0).astype(np.uint8)
    segmenter = stm_jax.Segmenter(model, memory=memory)
    expected = np.asarray(segmenter.segment(frames, ids, soft=True))[1:]
    assert np.ptp(expected[-1]) > 0.5

    @jax.jit
    def followed(variables):
        given = (frames[None] / np.float32(255), masks[None], np.ones((1, 2), bool))
        network = STM(model.config)
        logits = follow_clip(network, variables, *given, memory=memory, remat=True).logits
        return jax.nn.softmax(logits[0], axis=1)

    np.testing.assert_allclose(followed(model.variables), expected[:, :3], atol=1e-5)
    flat = flax.traverse_util.flatten_dict(model.variables)
    bias = flat["params", "memory_head", "gate", "bias"]
    shut = flat | {("params", "memory_head", "gate", "bias"): bias - 20}
    forgot = followed(flax.traverse_util.unflatten_dict(shut))
    np.testing.assert_allclose(forgot[0], expected[0, :3], atol=1e-5)  # there is but one frame
    assert np.abs(forgot[1] - expected[1, :3]).max() > 1e-4

    def loss(params):
        variables = {**model.variables, "params": params}
        labels = np.tensordot([1, 2], planes, 1).astype(np.uint8)[None].repeat(3, axis=0)
        return clip_loss(
            STM(model.config), variables, frames[None], labels[None], 2, memory=memory
        )[0]

    found = flax.traverse_util.flatten_dict(jax.jit(jax.grad(loss))(model.variables["params"]))
    for head in ("gate", "key", "value"):
        leaves = [g for path, g in found.items() if path[:2] == ("memory_head", head)]
        assert len(leaves) == 2 and all(np.abs(leaf).max() > 1e-7 for leaf in leaves), head


def test_a_stream_takes_the_same_memory_however_long_and_goes_on_where_it_was_saved():
    frames, mask = clip(8), first_mask()
    segmenter = stm_jax.Segmenter(lively_model(), memory=Livos())
    segmenter.start(frames[0], mask)
    size = segmenter.memory_bytes
    for frame in frames[1:5]:
        segmenter.step(frame)
    assert segmenter.memory_bytes == size and segmenter.kept_frames == ()
    other = stm_jax.Segmenter(lively_model(), memory=Livos())
    other.restore(segmenter.state_arrays())
    expected = segmenter.step(frames[5], soft=True)
    np.testing.assert_array_equal(other.step(frames[5], soft=True), expected)

    late = np.zeros_like(mask)
    late[2:14, 2:14] = 77
    segmenter.add_objects(frames[5], late)
    found = segmenter.step(frames[6], soft=True)
    assert np.isfinite(found).all() and segmenter.object_ids[-1] == 77
    weights = segmenter.state_arrays()["bank_weights"].sum(axis=1)
    positions = 3 * 4  # the shares of a position's channels sum to 1
    np.testing.assert_allclose(weights[:4], np.array([6, 6, 6, 1]) * positions, rtol=1e-5)
    with pytest.raises(InputError, match="the elements of Livos belong to no frame"):
        segmenter.look(frames[7], 20, 20)


def test_pinned_frames_are_added_to_the_sums():
    """One frame remembered and one pinned is as if both had been remembered."""
    rng = np.random.default_rng(0)
    keys, values = rng.normal(size=(2, 6, 8)), rng.normal(size=(2, 6, 3))
    memory, rule = Livos(), EveryNth(1)
    one = memory.empty(1, 1, (2, 3), (8, 3), jnp.float32)
    one = memory.write(one, offered(keys[0], values[0], 0))
    both = memory.write(one, offered(keys[1], values[1], 1))
    bank = rule.empty(1, 2, (2, 3), (8, 3), jnp.float32)
    frames = rule.view(rule.write(bank, offered(keys[1], values[1], 0)))
    for ours, theirs in zip(memory.view_beside(one, frames), memory.view(both), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)

    found = []
    for pinned in (False, True):
        segmenter = stm_jax.Segmenter(lively_model(), memory=memory)
        segmenter.start(clip(3)[0], first_mask())
        if pinned:
            segmenter.pin(clip(8)[7], first_mask(), 7)
        found.append(segmenter.step(clip(3)[1], soft=True))
    assert np.abs(found[0] - found[1]).max() > 1e-4  # it is read


def test_half_precision_networks_sum_in_single():
    frames, mask = clip(4), first_mask()
    segmenter = stm_jax.Segmenter(lively_model(), memory=Livos(), dtype=jnp.bfloat16)
    found = segmenter.segment(frames, mask, soft=True)
    exact = stm_jax.Segmenter(lively_model(), memory=Livos()).segment(frames, mask, soft=True)
    assert np.isfinite(found).all() and np.abs(found - exact).mean() < 0.05
    state = Livos().empty(1, 1, (1, 1), (4, 2), jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {jnp.dtype("float32")}


def test_weights_without_gates_and_gates_that_are_not_heard_are_told():
    frames, mask = clip(2), first_mask()
    told = "gates=true is for weights of the similarity gated, gates=false for those of dot-prod"
    for model, memory in ((lively_model(), Livos(True)), (other_model("gated"), Livos())):
        segmenter = stm_jax.Segmenter(model, memory=memory)
        segmenter.start(frames[0], mask)
        with pytest.raises(InputError, match=told):
            segmenter.step(frames[1])
    with pytest.raises(InputError, match="needs a network with gates: train similarity=gated"):
        Livos(True).empty(1, 1, (1, 1), (3, 2), jnp.float32)


def test_no_other_read_is_taken_beside_its_own(root):  # noqa: F811
    told = r"Livos is read by a read of its own, not by TopK\(k=20\): leave the read out"
    with pytest.raises(InputError, match=told):
        chosen(("livos",), ("top-k",), 5)
    with pytest.raises(InputError, match=told):
        Recipe(TINY, Livos(), jnp.dtype("float32"), None, TopK())
    config = dataclasses.replace(config_of(root), memory=("livos",))
    check_train(config)
    with pytest.raises(InputError, match=told):
        check_train(dataclasses.replace(config, read=("top-k",)))
    assert chosen(("livos", "gates=true"), (), 5) == (Livos(True), None)
    assert chosen((), ("dense",), 5)[1] == Dense()
