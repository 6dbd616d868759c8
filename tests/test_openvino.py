"""The network run by OpenVINO: the answers of JAX, whatever surrounds it, and nothing is sent."""

import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

import stm_jax
from stm_jax.cli import main
from stm_jax.config import STM_R18, STM_R50
from stm_jax.errors import InputError
from stm_jax.infer.openvino import OpenVino
from stm_jax.infer.segmenter import Segmenter
from stm_jax.memory import Fifo
from stm_jax.nn.model import random_model
from stm_jax.nn.stm import STM, decode, memorize, query
from stm_jax.reads import TopK
from tests.lively import lively_model
from tests.test_exported import clip

NEAR = 1e-4
"""Convolutions are summed in another order."""


@pytest.fixture(autouse=True)
def _installed() -> None:
    pytest.importorskip("openvino", reason="needs pip install '.[openvino]'")


@pytest.mark.parametrize("options", [{}, {"memory": Fifo(2), "read": TopK(4), "short_side": 24}])
def test_a_video_is_followed_as_by_jax(options):
    frames, mask = clip(40, 50)
    frames = np.concatenate([frames, frames])
    ours = Segmenter(lively_model(), **options)
    theirs = Segmenter(lively_model(), runtime=OpenVino(lively_model(), "float32"), **options)
    soft = ours.segment(frames, mask, soft=True)
    assert np.abs(theirs.segment(frames, mask, soft=True) - soft).max() <= NEAR

    theirs.start(frames[0], mask)
    steps = np.stack([mask, *(theirs.step(frame) for frame in frames[1:])])
    assert (steps == ours.segment(frames, mask)).mean() >= 0.999


def test_bfloat16_stays_near():
    frames, mask = clip(40, 50)
    soft = Segmenter(lively_model()).segment(frames, mask, soft=True)
    rounded = Segmenter(lively_model(), runtime=OpenVino(lively_model()))
    assert np.abs(rounded.segment(frames, mask, soft=True) - soft).mean() <= 0.05


def test_int8_is_int8_and_as_near_as_its_examples_are_like_the_video():
    frames, mask = clip(40, 50)
    model, frame = lively_model(), jnp.asarray(frames[:1], jnp.float32) / 255
    frame = jnp.pad(frame, ((0, 0), (4, 4), (7, 7), (0, 0)))
    exact = query(STM(model.config), model.variables, frame)[0].key
    errors = []
    for pictures in (frames, frames // 16):
        runtime = OpenVino(model, "int8", tuple((each, mask) for each in pictures[:3]))
        errors.append(float(jnp.abs(runtime.query(frame)[0].key - exact).mean()))
    assert errors[0] <= 0.3 * float(jnp.abs(exact).mean())  # a quarter, in a network this small
    assert errors[1] > 2 * errors[0]
    (request,) = runtime._compiled.values()
    layers = request.get_compiled_model().get_runtime_model().get_ordered_ops()
    told = [{k: v.astype(str) for k, v in each.get_rt_info().items()} for each in layers]
    kernels = [each["runtimePrecision"] for each in told if each["layerType"] == "Convolution"]
    assert len(kernels) > 10
    assert set(kernels) <= {"u8", "i8"}


@pytest.mark.parametrize("config", [STM_R18, STM_R50], ids=lambda config: config.name)
def test_every_part_of_the_larger_networks_is_known_to_it(config):
    model = random_model(config)
    runtime, network = OpenVino(model, "float32"), STM(config)
    rng = np.random.default_rng(0)
    frames, masks = rng.random((1, 32, 48, 3), np.float32), rng.random((1, 2, 32, 48), np.float32)
    frames, masks = jnp.asarray(frames), jnp.asarray(masks)
    remembered = memorize(network, model.variables, frames, masks, 1 - masks)
    features, skips = query(network, model.variables, frames)
    read = jnp.concatenate([remembered.value, remembered.value], axis=-1)
    asked, found = runtime.query(frames)
    pairs = [
        *zip(runtime.memorize(frames, masks, 1 - masks), remembered, strict=True),
        (asked.key, features.key),
        (asked.value, features.value),
        *((theirs.transpose(0, 2, 3, 1), ours) for theirs, ours in zip(found, skips, strict=True)),
        (runtime.decode(read, found), decode(network, model.variables, read, skips)),
    ]
    for theirs, ours in pairs:
        assert theirs.shape == ours.shape
        assert jnp.abs(theirs - ours).max() <= NEAR * jnp.abs(ours).max()


def test_an_object_that_comes_late_and_a_corrected_frame():
    frames, mask = clip(40, 50)
    late = np.zeros_like(mask)
    late[25:38, 35:48] = 5
    answers = []
    for runtime in (None, OpenVino(lively_model(), "float32")):
        segmenter = Segmenter(lively_model(), runtime=runtime)
        segmenter.start(frames[0], mask, objects=3)
        segmenter.step(frames[1])
        segmenter.add_objects(frames[1], late)
        answers.append([segmenter.step(frame, soft=True) for frame in frames[2:]])
    assert np.abs(np.array(answers[0]) - answers[1]).max() <= NEAR


def test_nothing_is_sent_and_no_process_is_started():
    program = """
import multiprocessing.process, sys
multiprocessing.process.BaseProcess.start = lambda self: sys.exit("a process")
from stm_jax.infer.openvino import OpenVino
from tests.lively import lively_model
import jax.numpy as jnp
OpenVino(lively_model()).query(jnp.zeros((1, 32, 32, 3)))
assert "openvino" in sys.modules and sys.modules["openvino_telemetry"] is None
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_results_are_told_apart(tmp_path):
    stm_jax.save(lively_model(), tmp_path / "tiny.safetensors")
    from stm_jax.commands.shared.options import ModelOptions

    weights = str(tmp_path / "tiny.safetensors")
    plain = ModelOptions(weights).load().settings()
    assert "runtime" not in plain  # results of before go on
    assert ModelOptions(weights, runtime="openvino").load().settings() != plain
    eighth = ModelOptions(weights, runtime="openvino", dtype="int8").load()
    assert eighth.settings()["dtype"] == "int8"
    frames, mask = clip(40, 50)
    assert eighth.segmenter().segment(frames[:2], mask).shape == (2, 40, 50)


def test_where_it_is_missing_or_of_no_use_is_told(tmp_path, monkeypatch, capsys):
    with pytest.raises(InputError, match="float16: give one of float32, bfloat16, int8"):
        OpenVino(lively_model(), "float16")
    with pytest.raises(InputError, match="int8 needs two or more frames with their masks"):
        OpenVino(lively_model(), "int8")
    assert main(["demo", "--out", str(tmp_path / "demo"), "--dtype", "int8"]) == 2
    assert "--dtype int8 needs --runtime openvino" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "a.zip"), "--runtime", "openvino"]) == 2
    assert "--runtime is for running a network" in capsys.readouterr().err
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    with pytest.raises(InputError, match="JAX has a gpu here"):
        OpenVino(lively_model())
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(InputError, match=r"pip install 'stm_jax\[openvino\]'"):
        OpenVino(lively_model())
