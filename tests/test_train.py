"""Training: the loss follows inference, the state resumes exactly, and a clip is learned."""

import dataclasses
import json
import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import stm_jax
from stm_jax.catalogue import chosen_read, read_to_train
from stm_jax.cli import main
from stm_jax.config import TINY
from stm_jax.data.config import DataConfig
from stm_jax.data.sources import Photographs, Videos
from stm_jax.errors import InputError
from stm_jax.nn.model import random_model
from stm_jax.nn.stm import STM
from stm_jax.train import loop
from stm_jax.train.config import StageConfig, TrainConfig
from stm_jax.train.follow import follow_clip, shares_of_cells
from stm_jax.train.log import RunLog
from stm_jax.train.loop import fit
from stm_jax.train.losses import clip_loss
from stm_jax.train.mesh import data_mesh, place_state
from stm_jax.train.step import initial_state, learning_rates, make_optimizer, make_step
from tests.lively import lively_model
from tests.test_clips import root  # noqa: F401, a fixture


def moving_square(size: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Returns a clip of three noisy frames, (3, s, s, 3), and masks of a square, (3, s, s)."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 90, (3, size, size, 3), dtype=np.uint8)
    masks = np.zeros((3, size, size), np.uint8)
    for t in range(3):
        masks[t, 12:30, 8 + 4 * t : 26 + 4 * t] = 1
    frames[masks > 0] += 150
    return frames, masks


def followed(variables: dict, frames: np.ndarray, masks: np.ndarray, objects: int = 1, **options):
    """Returns logits and carried shares of one clip."""
    planes = masks[None, None] == np.arange(1, objects + 1)[:, None, None, None]
    logits, carried = follow_clip(
        STM(TINY),
        variables,
        jnp.asarray(frames[None]) / 255,
        jnp.asarray(planes, jnp.float32),
        jnp.ones((1, objects), bool),
        **options,
    )
    return logits[0], carried[0]


@pytest.mark.parametrize("words", ["", "top-k k=2", "regional margin=0"])
def test_training_segments_as_inference_does(words):
    frames, masks = moving_square()
    masks[0, 36:46, 30:46] = 2
    model = lively_model()
    read = read_to_train(words.split())
    logits, _ = followed(model.variables, frames, masks, objects=2, read=read)
    segmenter = stm_jax.Segmenter(model, memorize_every=1, read=chosen_read(words.split()))
    expected = segmenter.segment(frames, masks[0], soft=True)[1:]
    assert np.allclose(jax.nn.softmax(logits, axis=1), expected, atol=1e-5)


def test_a_read_is_trained_through_as_the_configuration_says():
    with pytest.raises(InputError, match="read = slots has no gradient"):
        read_to_train(("slots",))
    with pytest.raises(InputError, match="read = top-k: j=3 is none of its knobs"):
        read_to_train(("top-k", "j=3"))
    frames, masks = moving_square(32)
    variables = lively_model().variables

    def loss(params: dict, words: tuple[str, ...]) -> jax.Array:
        given = {**variables, "params": params}
        read = read_to_train(words)
        return clip_loss(STM(TINY), given, frames[None], masks[None], objects=1, read=read)[0]

    gradient = jax.jit(jax.grad(loss), static_argnums=1)
    dense = float(optax.tree.norm(gradient(variables["params"], ())))
    local = float(optax.tree.norm(gradient(variables["params"], ("kernelized", "sigma=0.5"))))
    assert np.isfinite(local) and local != pytest.approx(dense, rel=1e-3)


def test_the_network_sees_no_true_mask_but_the_first():
    frames, masks = moving_square()
    variables = random_model(TINY).variables
    expected, carried = followed(variables, frames, masks)
    wrong = masks.copy()
    wrong[1:] = 0
    found, less = followed(variables, frames, wrong)
    assert np.array_equal(expected, found)
    assert np.array_equal(carried[:, 0], less[:, 0])
    assert (less[:, 1] < carried[:, 1]).all()  # frame 2 is carried over from frames 0 and 1


def test_the_loss_written_out():
    frames, masks = moving_square()
    variables = random_model(TINY).variables
    loss, labels = clip_loss(STM(TINY), variables, frames[None], masks[None], objects=1)
    logits, carried = followed(variables, frames, masks)
    chosen = np.take_along_axis(
        np.asarray(jax.nn.log_softmax(logits, axis=1)), masks[1:, None].astype(int), axis=1
    )
    assert loss == pytest.approx(-chosen.mean(), rel=1e-5)
    assert np.array_equal(labels[0], logits.argmax(axis=1))

    goal = shares_of_cells(jnp.asarray(masks[1:], jnp.float32))
    assert goal.shape == carried[0].shape == (2, 3, 3)
    assert goal[0, 0, 0] == pytest.approx((masks[1, :16, :16] == 1).mean())
    share = np.asarray(carried[0], np.float64)
    matching = -(goal * np.log(share + 1e-3) + (1 - goal) * np.log(1 - share + 1e-3)).mean()
    both, _ = clip_loss(
        STM(TINY), variables, frames[None], masks[None], objects=1, matching_weight=0.5
    )
    assert both == pytest.approx(float(-chosen.mean() + 0.5 * matching), rel=1e-5)


def test_a_carried_share_is_the_affinity_times_the_mask():
    """A frame full of the object carries all of it over, an empty one nothing."""
    frames, masks = moving_square()
    variables = random_model(TINY).variables
    for value in (0, 1):
        _, carried = followed(variables, frames, np.full_like(masks, value))
        assert np.allclose(carried, value, atol=1e-6)


def test_an_id_that_the_first_mask_lacks_is_background():
    frames, masks = moving_square()
    late = masks.copy()
    late[1:, :5] = 2
    network, variables = STM(TINY), random_model(TINY).variables
    alone, _ = clip_loss(network, variables, frames[None], masks[None], objects=2)
    with_late, _ = clip_loss(network, variables, frames[None], late[None], objects=2)
    assert alone == with_late


def test_gradients_pass_through_the_memory():
    """What frame 3 says about frame 2's answer, against a difference quotient."""
    frames, masks = moving_square()
    model = random_model(TINY)

    @jax.jit
    @jax.value_and_grad
    def third_frame(shift: jax.Array) -> jax.Array:
        params = jax.tree.map(lambda a: a, model.variables["params"])
        params["decoder"]["predict"]["bias"] += jnp.array([0.0, shift])
        logits, _ = followed({**model.variables, "params": params}, frames, masks)
        return logits[1, 1].mean()

    (less, _), (_, gradient), (more, _) = map(third_frame, (-0.02, 0.0, 0.02))
    assert float(gradient) == pytest.approx(float(more - less) / 0.04, rel=0.02)


def test_what_is_computed_again_changes_nothing():
    frames, masks = moving_square()
    network, variables = STM(TINY), random_model(TINY).variables

    def loss(params: dict, remat: bool) -> jax.Array:
        given = {**variables, "params": params}
        return clip_loss(network, given, frames[None], masks[None], objects=1, remat=remat)[0]

    kept, again = (jax.grad(loss)(variables["params"], remat) for remat in (False, True))
    for expected, found in zip(jax.tree.leaves(kept), jax.tree.leaves(again), strict=True):
        assert np.allclose(expected, found, rtol=1e-4, atol=1e-6)


def test_only_the_hardest_pixels_count():
    frames, masks = moving_square()
    network, variables = STM(TINY), random_model(TINY).variables
    arguments = (network, variables, frames[None], masks[None], 1)
    logits, _ = followed(variables, frames, masks)
    log_p = np.asarray(jax.nn.log_softmax(logits, axis=1))
    losses = -np.where(masks[1:] == 1, log_p[:, 1], log_p[:, 0]).reshape(2, -1)
    hardest = -np.sort(-losses, axis=1)[:, : 48 * 48 // 4]
    assert clip_loss(*arguments, hardest_share=0.25)[0] == pytest.approx(hardest.mean(), rel=1e-5)


def config_for(folder: pathlib.Path) -> TrainConfig:
    photos = DataConfig(sources=(Photographs(folder),), length=2, size=32, batch_size=2)
    sources = (Photographs(folder), Videos(folder))
    videos = dataclasses.replace(photos, sources=sources, held_back=("two",))
    return TrainConfig(
        model=TINY,
        stages=(
            StageConfig(photos, steps=3, learning_rate=1e-3, warmup_steps=1),
            StageConfig(videos, steps=3, learning_rate=1e-3, warmup_steps=1),
        ),
        log_every=1,
        checkpoint_every=2,
    )


def test_a_stopped_run_goes_on_exactly(
    root: pathlib.Path,  # noqa: F811
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
):
    config = config_for(root)
    whole = fit(config, tmp_path / "whole")
    for after in (2, 4):  # both stages are interrupted, each at a checkpoint
        with monkeypatch.context() as patch:
            patch.setattr(RunLog, "_report", stop_after(after + 1))
            with pytest.raises(KeyboardInterrupt):
                fit(config, tmp_path / "parts")
    parts = fit(config, tmp_path / "parts")
    for expected, found in zip(
        jax.tree.leaves(whole.variables), jax.tree.leaves(parts.variables), strict=True
    ):
        assert np.array_equal(expected, found)
    loaded = stm_jax.load(tmp_path / "parts")
    assert loaded.config == TINY
    assert all(
        np.array_equal(a, b)
        for a, b in zip(
            jax.tree.leaves(loaded.variables), jax.tree.leaves(whole.variables), strict=True
        )
    )


def test_the_host_is_one_step_ahead_and_no_more(
    root: pathlib.Path,  # noqa: F811
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """A run that is asked to stop would have to wait for all steps that are on their way."""
    losses: list[jax.Array] = []
    ahead: list[int] = []

    def wait(loss: np.ndarray) -> np.ndarray:
        time.sleep(0.4)
        return loss

    @jax.jit
    def late(loss: jax.Array) -> jax.Array:
        return jax.pure_callback(wait, jax.ShapeDtypeStruct(loss.shape, loss.dtype), loss)

    def make_late_step(*how: object):
        step = make_step(*how)

        def late_step(*given: object):
            ahead.append(sum(not loss.is_ready() for loss in losses))
            state, metrics, labels = step(*given)
            losses.append(late(metrics["loss"]))
            return state, {**metrics, "loss": losses[-1]}, labels

        return late_step

    monkeypatch.setattr(loop, "make_step", make_late_step)
    monkeypatch.setattr(loop, "_gflop_of", lambda *_: None)
    config = config_for(root)
    stage = dataclasses.replace(config.stages[0], steps=6)
    fit(dataclasses.replace(config, stages=(stage,), log_every=6), tmp_path / "run")
    assert max(ahead) <= 1


def stop_after(step: int):
    def report(log: RunLog, done: int, *_: object) -> None:
        if done == step:
            raise KeyboardInterrupt

    return report


def test_the_command_trains_and_says_how_to_use_it(
    root: pathlib.Path,  # noqa: F811
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture,
):
    recipe = tmp_path / "recipe.py"
    recipe.write_text(
        "from pathlib import Path\n"
        "from stm_jax.config import TINY\n"
        "from stm_jax.data.config import DataConfig\n"
        "from stm_jax.data.sources import Photographs\n"
        "from stm_jax.train import StageConfig, TrainConfig\n"
        "def get_config():\n"
        "    data = DataConfig((Photographs(Path('.')),), length=2, size=32, batch_size=2)\n"
        "    stage = StageConfig(data, steps=2, learning_rate=1e-3, warmup_steps=1)\n"
        "    return TrainConfig(model=TINY, stages=(stage,), log_every=1)\n"
    )
    run = tmp_path / "run"
    arguments = ["train", "--config", str(recipe), "--data", str(root), "--run-folder", str(run)]
    assert main(arguments) == 0
    assert f"--weights {run}" in capsys.readouterr().out
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    arguments[2] = str(tmp_path / "none.py")
    assert main(arguments) == 2
    assert "no configuration" in capsys.readouterr().err


def test_gradients_that_are_no_numbers_stop_the_run(
    root: pathlib.Path,  # noqa: F811
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("stm_jax.train.loop.check_train", lambda config: None)  # refuses the rate
    monkeypatch.setattr("stm_jax.train.loop.write_config", lambda *_: None)  # JSON has no NaN
    config = config_for(root)
    stage = dataclasses.replace(config.stages[0], learning_rate=float("nan"))
    config = dataclasses.replace(config, stages=(stage,), bad_steps=2)
    with pytest.raises(InputError, match="2 steps in a row had no finite gradient"):
        fit(config, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [line["skipped"] for line in lines] == [0, 1, 1]  # the first step made the weights NaN


def test_a_run_folder_in_a_bucket_is_refused_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = TrainConfig(TINY, (StageConfig(DataConfig(), steps=1, learning_rate=1.0),))
    with pytest.raises(InputError, match=r"run is in a bucket.*mount it"):
        fit(config, pathlib.Path("gs://bucket/run"))
    assert not list(tmp_path.iterdir())


def test_learning_rates_of_two_stages():
    data = DataConfig()
    stages = (
        StageConfig(data, steps=10, learning_rate=1.0, final_learning_rate=0.5, warmup_steps=2),
        StageConfig(data, steps=10, learning_rate=0.4, final_learning_rate=0.0, warmup_steps=2),
    )
    schedule = learning_rates(stages)
    found = [float(schedule(step)) for step in (0, 1, 2, 10, 11, 12, 20)]
    assert found == pytest.approx([0.0, 0.5, 1.0, 0.0, 0.2, 0.4, 0.0])


def test_trunks_learn_at_their_share():
    stage = StageConfig(DataConfig(), steps=10, learning_rate=1.0, warmup_steps=0)
    config = TrainConfig(TINY, (stage,), trunk_factor=0.25, weight_decay=0.0, clip_norm=1e9)
    params = random_model(TINY).variables["params"]
    optimizer = make_optimizer(config)
    updates, _ = optimizer.update(
        jax.tree.map(jnp.ones_like, params), optimizer.init(params), params
    )
    encoder = updates["memory_encoder"]
    assert np.allclose(encoder["conv_frame"]["kernel"], -0.25, atol=1e-4)
    assert np.allclose(encoder["conv_mask"]["kernel"], -1.0, atol=1e-4)
    assert np.allclose(updates["decoder"]["predict"]["bias"], -1.0, atol=1e-4)


def test_one_clip_is_learned():
    frames, masks = moving_square()
    clips = {"frames": frames[None], "masks": masks[None]}
    stage = StageConfig(DataConfig(), steps=60, learning_rate=1e-2, warmup_steps=5)
    config, mesh = TrainConfig(TINY, (stage,)), data_mesh(jax.devices()[:1])
    optimizer = make_optimizer(config)
    state = place_state(mesh, initial_state(random_model(TINY).variables, optimizer))
    step = make_step(config, stage, optimizer, mesh)
    losses = []
    for _ in range(60):
        state, metrics, _ = step(state, clips)
        losses.append(float(metrics["loss"]))
    assert losses[-1] < 0.3 * losses[0]
    assert metrics["iou"] > 0.8
    assert optax.tree.norm(state["params"]) > 0
