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
from stm_jax.export.programs import named
from tests.lively import lively_model
from tests.test_exported import clip

EXAMPLE = pathlib.Path(__file__).resolve().parent.parent / "examples" / "onnx" / "follow.py"
SIZE = (30, 42)


def exported(folder: pathlib.Path, dtype: str) -> pathlib.Path:
    """Returns the folder of the two graphs of a tiny network, for three objects."""
    pytest.importorskip("jax2onnx", reason="needs jax2onnx: see docs/export.md")
    stm_jax.save(lively_model(), folder / "tiny.safetensors")
    words = [str(folder / "graphs"), "--weights", str(folder / "tiny.safetensors")]
    words += ["--format", "onnx", "--frames", f"{SIZE[1]}x{SIZE[0]}", "--objects", "3"]
    assert main(["export", *words, "--dtype", dtype]) == 0
    return folder / "graphs"


@pytest.fixture(scope="module", params=["float32", "float16"])
def dtype(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def graphs(dtype, tmp_path_factory) -> pathlib.Path:
    return exported(tmp_path_factory.mktemp("onnx"), dtype)


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


def test_graphs_say_what_they_are(graphs, dtype):
    import onnxruntime

    session = onnxruntime.InferenceSession(graphs / "segment.onnx")
    about = json.loads(session.get_modelmeta().custom_metadata_map["stm_jax"])
    assert (about["size"], about["objects"], about["slots"]) == ([*SIZE], 3, 6)
    assert about["dtype"] == dtype
    assert [each.name for each in session.get_inputs()] == ["frame", "keys", "values", "filled"]


def test_float16_is_where_it_does_no_harm(tmp_path):
    graphs = exported(tmp_path, "float16")
    import onnx

    weights = named(lively_model().variables)
    shapes = {array.shape for name, array in weights.items() if name.endswith("/kernel")}
    seen = {"Conv": set(), "Softmax": set(), "Softplus": set(), "Log": set(), "Sqrt": set()}
    for name, soft in ("memorize", "masks"), ("segment", "probabilities"):
        graph = onnx.shape_inference.infer_shapes(onnx.load(graphs / f"{name}.onnx")).graph
        told = (*graph.input, *graph.value_info, *graph.output)
        types = {each.name: each.type.tensor_type.elem_type for each in told}
        assert types[soft] == onnx.TensorProto.FLOAT
        for node in graph.node:
            if node.op_type in seen:
                seen[node.op_type].add(types[node.output[0]])
        kernels = [array for array in graph.initializer if tuple(array.dims) in shapes]
        assert len(kernels) > 10
        assert {array.data_type for array in kernels} == {onnx.TensorProto.FLOAT16}
    assert seen.pop("Conv") == {onnx.TensorProto.FLOAT16}
    assert all(types == {onnx.TensorProto.FLOAT} for types in seen.values()), seen


WRONG = {
    "no size": ([], "give it, as in --frames 854x480"),
    "bfloat16": (["--frames", "42x30", "--dtype", "bfloat16"], "--dtype bfloat16 is not for ONNX"),
    "float16 elsewhere": (["--format", "stablehlo", "--dtype", "float16"], "is for --format onnx"),
    "platforms": (["--frames", "42x30", "--platforms", "tpu"], "--platforms is not for ONNX"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_onnx_cannot_is_told(kind, tmp_path, capsys):
    more, told = WRONG[kind]
    words = ["export", str(tmp_path / "out"), "--format", "onnx", *more]
    assert main(words) == 2
    assert told in capsys.readouterr().err
