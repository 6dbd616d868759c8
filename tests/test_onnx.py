"""ONNX graphs: onnxruntime answers as the library does, and the example follows without JAX."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import stm_jax
from stm_jax.cli import main
from tests.lively import lively_model
from tests.test_exported import clip

EXAMPLE = pathlib.Path(__file__).resolve().parent.parent / "examples" / "onnx" / "follow.py"
SIZE = (30, 42)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory) -> pathlib.Path:
    """The two graphs of a network, for two objects."""
    pytest.importorskip("jax2onnx", reason="needs jax2onnx: see docs/export.md")
    folder = tmp_path_factory.mktemp("onnx")
    stm_jax.save(lively_model(), folder / "tiny.safetensors")
    words = [str(folder / "graphs"), "--weights", str(folder / "tiny.safetensors")]
    words += ["--format", "onnx", "--frames", f"{SIZE[1]}x{SIZE[0]}", "--objects", "3"]
    assert main(["export", *words]) == 0
    return folder / "graphs"


def test_the_example_follows_without_jax(graphs, tmp_path):
    frames, mask = clip(*SIZE)
    (tmp_path / "frames").mkdir()
    frames = np.concatenate([frames] * 6)  # so many that a slot gives way
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"frames/{number:03}.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    (tmp_path / "jax.py").write_text("raise ImportError('the example must not need JAX')")
    command = [sys.executable, EXAMPLE, graphs, tmp_path / "frames", tmp_path / "mask.png"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    subprocess.run([*command, tmp_path / "out"], check=True, env=environment)
    found = np.stack([np.array(Image.open(p)) for p in sorted((tmp_path / "out").iterdir())])
    segmenter = stm_jax.Segmenter(lively_model(), memorize_every=5, capacity=6)
    steps = [segmenter.start(frames[0], mask), *(segmenter.step(frame) for frame in frames[1:])]
    assert (found == np.stack(steps)).mean() >= 0.999


def test_graphs_say_what_they_are(graphs):
    import onnxruntime

    session = onnxruntime.InferenceSession(graphs / "segment.onnx")
    about = json.loads(session.get_modelmeta().custom_metadata_map["stm_jax"])
    assert (about["size"], about["objects"], about["slots"]) == ([*SIZE], 3, 6)
    assert [each.name for each in session.get_inputs()] == ["frame", "keys", "values", "filled"]


WRONG = {
    "no size": ([], "give it, as in --frames 854x480"),
    "half precision": (["--frames", "42x30", "--dtype", "bfloat16"], "--dtype is not for ONNX"),
    "platforms": (["--frames", "42x30", "--platforms", "tpu"], "--platforms is not for ONNX"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_onnx_cannot_is_told(kind, tmp_path, capsys):
    more, told = WRONG[kind]
    words = ["export", str(tmp_path / "out"), "--format", "onnx", *more]
    assert main(words) == 2
    assert told in capsys.readouterr().err
