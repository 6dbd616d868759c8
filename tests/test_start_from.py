"""Training from weights that are there: what is taken, what starts anew, what is refused."""

import dataclasses
import json
import pathlib
import shutil

import flax.traverse_util
import jax
import numpy as np
import pytest

import stm_jax
from stm_jax.commands.train import changed, with_root
from stm_jax.config import TINY
from stm_jax.data.config import DataConfig
from stm_jax.data.pipeline import training_clips
from stm_jax.data.sources import Photographs
from stm_jax.errors import InputError
from stm_jax.nn.model import Model, random_model
from stm_jax.train.checks import check_train
from stm_jax.train.config import StageConfig, TrainConfig
from stm_jax.train.key_start import start_keys
from stm_jax.train.loop import fit
from stm_jax.train.start import given_weights, initial_model
from stm_jax.weights.files import save
from tests.lively import lively_model
from tests.test_clips import root  # noqa: F401, a fixture


def flat(model: Model) -> dict[str, np.ndarray]:
    leaves = flax.traverse_util.flatten_dict(model.variables, sep="/")
    return {path: np.asarray(leaf) for path, leaf in leaves.items()}


def config_from(weights: object, folder: pathlib.Path = pathlib.Path("."), **rest) -> TrainConfig:
    data = DataConfig((Photographs(folder),), length=2, size=32, batch_size=2)
    stage = StageConfig(data, steps=2, learning_rate=1e-3, warmup_steps=0)
    config = TrainConfig(TINY, (stage,), start_from=str(weights), log_every=1)
    return dataclasses.replace(config, **rest)


@pytest.fixture
def weights(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "tiny.safetensors"
    save(lively_model(), path)
    return path


def start(config: TrainConfig) -> Model:
    return initial_model(config, given_weights(config))


def test_weights_of_either_kind_are_taken_bit_for_bit(
    weights: pathlib.Path, tmp_path: pathlib.Path
):
    theirs = tmp_path / "theirs.npz"
    np.savez(theirs, **stm_jax.weights.to_pytorch(lively_model()))
    for path in (weights, theirs):
        found = flat(start(config_from(path)))
        for name, array in flat(lively_model()).items():
            assert array.tobytes() == found[name].tobytes(), name


def test_named_parts_are_drawn_and_the_rest_is_taken(weights: pathlib.Path):
    config = config_from(weights, start_anew=("decoder", "query_head/key"), seed=3)
    found, drawn, given = map(flat, (start(config), random_model(TINY, 3), lively_model()))
    for name, array in found.items():
        anew = name.startswith(("params/decoder/", "params/query_head/key/"))
        expected, other = (drawn, given) if anew else (given, drawn)
        assert np.array_equal(array, expected[name]), name
        if name.endswith("kernel"):
            assert not np.array_equal(array, other[name]), name


def test_keys_that_start_anew_start_at_the_features_of_the_weights(
    weights: pathlib.Path,
    root: pathlib.Path,  # noqa: F811
):
    keys = ("query_head/key", "memory_head/key")
    config = config_from(weights, root, start_anew=keys, key_frames=4)
    clips = training_clips(config.stages[0].data, config.seed, config.stages[0].steps)
    frames = np.concatenate([next(clips)["frames"][:, 0] for _ in range(2)])
    found, expected = flat(start(config)), flat(start_keys(lively_model(), frames))
    for name, array in expected.items():
        assert np.array_equal(array, found[name]), name
    one = flat(start(dataclasses.replace(config, start_anew=keys[:1])))
    name = "params/query_head/key/conv/kernel"
    assert np.array_equal(one[name], flat(random_model(TINY))[name])


def test_one_error_names_all_that_does_not_fit_and_what_to_do(
    root: pathlib.Path,  # noqa: F811
    tmp_path: pathlib.Path,
):
    wider = dataclasses.replace(TINY, name="wider", decoder_width=16, blocks=(1, 2, 1))
    save(random_model(wider), tmp_path / "wider.safetensors")
    config = config_from(tmp_path / "wider.safetensors", root)
    with pytest.raises(InputError) as caught:
        fit(config, tmp_path / "run")
    (told,) = str(caught.value).splitlines()
    assert "wider.safetensors (wider) for tiny does not fit" in told
    assert "unexpected (batch_stats/memory_encoder/trunk/res3_block1" in told
    assert "misshapen (params/decoder/predict/conv/kernel is 3x3x16x2 instead of 3x3x8x2" in told
    advice = "start_anew=decoder,memory_encoder,query_encoder"
    assert f"; {advice} starts them anew" in told
    assert not (tmp_path / "run").exists()
    anew = changed(config, (advice,))
    assert flat(start(anew)).keys() == flat(random_model(TINY)).keys()
    whole = dataclasses.replace(config, model=None)
    given = given_weights(whole)
    assert given is not None and given.config == wider


def test_what_lacks_an_entry_is_refused_the_other_way_round(tmp_path: pathlib.Path):
    wider = dataclasses.replace(TINY, name="wider", blocks=(1, 2, 1))
    save(random_model(TINY), tmp_path / "tiny.safetensors")
    with pytest.raises(InputError, match=r"missing \(batch_stats/memory_encoder/trunk/res3_block1"):
        given_weights(config_from(tmp_path / "tiny.safetensors", model=wider))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"start_anew": ("decoder", "decoded")}, "tiny has no decoded; its parts are memory_enc"),
        ({"start_anew": ("query_head/ke",)}, "tiny has no query_head/ke; its parts are"),
        ({"start_from": "stm-r81"}, "no weights stm-r81: .*bundled are: stm-r18"),
        (
            {"start_from": None, "start_anew": ("decoder",)},
            "start_anew is of weights .* give start",
        ),
        ({"start_from": None, "model": None}, "model = None is of weights .* give start_from="),
        ({"start_from": "none.npz"}, "none.npz: no such file"),
    ],
)
def test_a_start_that_cannot_be_leaves_no_run_behind(
    changes: dict,
    told: str,
    weights: pathlib.Path,
    root: pathlib.Path,  # noqa: F811
    tmp_path: pathlib.Path,
):
    with pytest.raises(InputError, match=told):
        fit(dataclasses.replace(config_from(weights, root), **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_without_what_it_started_from(
    root: pathlib.Path,  # noqa: F811
    weights: pathlib.Path,
    tmp_path: pathlib.Path,
):
    config = config_from(weights, root, model=None, average_decay=0.5)
    first = flat(fit(config, tmp_path / "run"))
    recorded = json.loads((tmp_path / "run/config.json").read_text())
    assert recorded["start_from"] == str(weights) and recorded["model"]["name"] == "tiny"
    weights.unlink()
    longer = dataclasses.replace(config.stages[0], steps=3)
    last = flat(fit(dataclasses.replace(config, stages=(longer,)), tmp_path / "run"))
    assert any(not np.array_equal(first[name], last[name]) for name in first)
    averaged = flat(start(config_from(tmp_path / "run")))  # and a run's folder starts another
    for name, array in last.items():
        assert np.array_equal(array, averaged[name]), name
    shutil.rmtree(tmp_path / "run/checkpoints")
    with pytest.raises(InputError, match="no weights"):
        fit(config, tmp_path / "run")


def test_weights_lie_below_the_data_or_where_the_command_says(
    weights: pathlib.Path, tmp_path: pathlib.Path
):
    for given, found in (
        ("tiny.safetensors", str(weights)),
        (str(weights), str(weights)),
        ("stm-r18", "stm-r18"),
    ):
        assert with_root(config_from(given), tmp_path).start_from == found


def test_the_command_line_names_weights_and_parts():
    config = changed(
        config_from("stm-r18", freeze=("norms",)),
        ("start_from=w.pth", "start_anew=decoder,query_head/key", "freeze=stems,norms"),
    )
    assert config.start_from == "w.pth" and config.start_anew == ("decoder", "query_head/key")
    assert config.freeze == ("stems", "norms")
    assert changed(config, ("freeze=",)).freeze == ()
    words = changed(config, ("similarity=cosine,temperature=0.2",)).similarity
    assert words == ("cosine", "temperature=0.2")


def test_weights_go_on_with_a_similarity_that_learns_nothing(
    weights: pathlib.Path,
    root: pathlib.Path,  # noqa: F811
):
    found = start(config_from(weights, similarity=("negative-l2",)))
    assert found.config.similarity == ("negative-l2",)
    for name, array in flat(lively_model()).items():
        assert np.array_equal(array, flat(found)[name]), name
    of_model = dataclasses.replace(TINY, similarity=("negative-l2",))
    assert start(config_from(weights, model=of_model)).config == found.config
    with pytest.raises(InputError, match="similarity = nearest: there is dot-product"):
        check_train(config_from(weights, root, similarity=("nearest",)))


@pytest.mark.parametrize(
    ("words", "parts"),
    [("anisotropic-l2", "memory_head/shrinkage,query_head/selection"), ("cosine", "similarity")],
)
def test_what_a_similarity_learns_starts_anew_by_name(
    words: str, parts: str, weights: pathlib.Path, tmp_path: pathlib.Path
):
    config = config_from(weights, similarity=(words,), seed=3)
    with pytest.raises(InputError, match=f"missing .* start_anew={parts} starts them anew"):
        given_weights(config)
    found = start(changed(config, (f"start_anew={parts}",)))
    drawn, given = flat(random_model(found.config, 3)), flat(lively_model())
    assert flat(found).keys() == drawn.keys() > given.keys()
    for name, array in flat(found).items():
        assert np.array_equal(array, given.get(name, drawn[name])), name
    # And back: what the dot product has no use for is left, if it is named.
    save(found, tmp_path / "found.safetensors")
    back = config_from(tmp_path / "found.safetensors")
    with pytest.raises(InputError, match=f"unexpected .* start_anew={parts} starts them anew"):
        given_weights(back)
    plain = flat(start(changed(back, (f"start_anew={parts}",))))
    assert plain.keys() == given.keys()
    assert all(np.array_equal(plain[name], given[name]) for name in given)


def test_a_run_learns_a_similarity_and_is_run_with_it(
    root: pathlib.Path,  # noqa: F811
    weights: pathlib.Path,
    tmp_path: pathlib.Path,
):
    words = ("cosine", "temperature=0.2")
    config = config_from(
        weights, root, similarity=words, start_anew=("similarity",), weight_decay=0.0
    )
    name = "params/similarity/log_scale"
    learnt = flat(fit(config, tmp_path / "run"))[name]
    assert 1e-5 < abs(learnt + np.log(0.2)) < 1e-2
    loaded = stm_jax.load(tmp_path / "run")
    assert loaded.config.similarity == words and flat(loaded)[name] == learnt
    other = dataclasses.replace(config, similarity=("cosine",))
    with pytest.raises(InputError, match=r"begun with model\.similarity"):
        fit(other, tmp_path / "run")


def test_the_bundled_weights_start_their_network():
    config = config_from("stm-r18", model=None)
    given = given_weights(config)
    assert given is not None
    model = initial_model(dataclasses.replace(config, model=given.config), given)
    expected = stm_jax.load("stm-r18").variables
    jax.tree.map(np.testing.assert_array_equal, model.variables, expected)
