"""ONNX graphs: onnxruntime answers as the library does, and the example follows without JAX."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image

import stm_jax
from stm_jax.cli import main
from stm_jax.export.programs import named
from stm_jax.nn.model import Model
from tests.lively import lively_model
from tests.test_exported import clip

EXAMPLE = pathlib.Path(__file__).resolve().parent.parent / "examples" / "onnx" / "follow.py"
SIZE = (30, 42)


def exported(folder: pathlib.Path, dtype: str, model: Model | None = None) -> pathlib.Path:
    """Returns the folder of the two graphs of a tiny network, for three objects."""
    pytest.importorskip("jax2onnx", reason="needs jax2onnx: see docs/export.md")
    stm_jax.save(model or lively_model(), folder / "tiny.safetensors")
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


def test_the_example_refuses_graphs_of_two_exports(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, factor in ((first, 1.0), (second, 1.5)):
        folder.mkdir()
        model = lively_model()
        variables = jax.tree.map(lambda a, factor=factor: a * factor, model.variables)
        exported(folder, "float32", Model(model.config, variables))
    (second / "graphs" / "segment.onnx").replace(first / "graphs" / "segment.onnx")
    Image.new("L", SIZE[::-1], 1).save(tmp_path / "mask.png")
    command = [sys.executable, EXAMPLE, first / "graphs", tmp_path, tmp_path / "mask.png"]
    run = subprocess.run([*command, tmp_path / "out"], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.endswith("are of different exports: export them again\n")
    assert not (tmp_path / "out").exists()


def test_graphs_say_what_they_are(graphs, dtype):
    import onnxruntime

    session = onnxruntime.InferenceSession(graphs / "segment.onnx")
    about = json.loads(session.get_modelmeta().custom_metadata_map["stm_jax"])
    assert (about["size"], about["objects"], about["slots"]) == ([*SIZE], 3, 6)
    assert about["dtype"] == dtype
    assert [each.name for each in session.get_inputs()] == ["frame", "keys", "values", "filled"]


def test_nothing_is_said_of_what_the_conversion_has_no_use_for(tmp_path):
    pytest.importorskip("jax2onnx", reason="needs jax2onnx: see docs/export.md")
    stm_jax.save(lively_model(), tmp_path / "tiny.safetensors")
    program = "import sys; from stm_jax.cli import main; sys.exit(main())"  # imports all anew
    command = [sys.executable, "-c", program, "export", tmp_path / "graphs", "--format", "onnx"]
    command += ["--weights", tmp_path / "tiny.safetensors"]
    command += ["--frames", f"{SIZE[1]}x{SIZE[0]}"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Traceback" not in run.stderr and "plugin" not in run.stderr


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


def test_a_file_where_the_folder_would_be_is_told(tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    words = ["export", str(tmp_path / "out"), "--format", "onnx", "--frames", "42x30"]
    assert main(words) == 2
    assert "cannot be made a folder (File exists): give another" in capsys.readouterr().err


@pytest.mark.parametrize("kind", WRONG)
def test_what_onnx_cannot_is_told(kind, tmp_path, capsys):
    more, told = WRONG[kind]
    words = ["export", str(tmp_path / "out"), "--format", "onnx", *more]
    assert main(words) == 2
    assert told in capsys.readouterr().err
