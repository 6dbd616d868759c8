"""Files of weights: headers that lie, damaged archives, pickles, checkpoints, wrong networks."""

import functools
import io
import json
import os
import pathlib
import pickle
import shutil
import struct
import tempfile

import jax
import jax.numpy as jnp
import numpy as np

import stm_jax.weights as weights
from stm_jax.nn.model import Model
from stm_jax.weights import checkpoints
from stm_jax.weights.any_source import read_weights
from stm_jax.weights.files import load, read_safetensors
from stm_jax.weights.kinds import kind_of
from stm_jax.weights.pytorch import to_pytorch
from tests.hostile import drawn
from tests.hostile.attempt import Attempt, Skipped, pick
from tests.lively import lively_model

STRANGE_ARRAYS = ("nan", "inf", "shape", "missing", "more", "bool", "complex", "empty", "text")
ENDINGS = (".safetensors", ".pth", ".bin", ".ckpt", ".pth.tar", ".npz", ".PTH", "")


@functools.cache
def saved() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "tiny.safetensors"
        weights.save(lively_model(), path)
        return path.read_bytes()


@functools.cache
def pytorch_arrays() -> dict[str, np.ndarray]:
    return to_pytorch(lively_model())


def parts(content: bytes) -> tuple[dict, bytes]:
    (length,) = struct.unpack_from("<Q", content)
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def joined(head: object, body: bytes) -> bytes:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + body


def same_model(model: Model) -> bool:
    variables = model.variables, lively_model().variables
    pairs = zip(*map(jax.tree.leaves, variables), strict=True)
    return model.config == lively_model().config and all(np.array_equal(a, b) for a, b in pairs)


def finite(model: Model) -> bool:
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(model.variables))


def given_name(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """A file is known by its content, whatever it is called."""
    name = "w" + pick(rng, ENDINGS)
    (folder / name).write_bytes(saved())
    return Attempt(lambda: load(folder / name), same_model)


def given_damaged(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    path = folder / f"w{pick(rng, ENDINGS)}"
    path.write_bytes(drawn.damaged(rng, saved()))
    return Attempt(lambda: load(path), same_model, may_refuse=True, told=(path.name,))


def given_damaged_head(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    head, body = parts(saved())
    text = drawn.damaged(rng, json.dumps(head).encode())
    path = folder / "w.safetensors"
    path.write_bytes(joined(text, body))
    return Attempt(lambda: load(path), finite, may_refuse=True, told=("w.safetensors",))


def given_head_that_lies(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    head, body = parts(saved())
    names = [name for name in head if name != "__metadata__"]
    name, other = (names[i] for i in rng.choice(len(names), 2, replace=False))
    kind = rng.integers(12)
    entry = head[name]
    if kind == 0:
        entry["shape"] = [*entry["shape"], 10**9]
    elif kind == 1:
        entry["data_offsets"] = head[other]["data_offsets"]
    elif kind == 2:
        entry["dtype"] = pick(rng, ("F8_E4M3", "F8_E5M2", "F64", "U8", "X1", "", 7, None))
    elif kind == 3:
        entry["data_offsets"] = [0, 2**63]
    elif kind == 4:
        entry["data_offsets"] = [-1, 5]
    elif kind == 5:
        entry["shape"] = pick(rng, ([], [-1], ["a"], None, [0], [2**40, 2**40]))
    elif kind == 6:
        head[pick(rng, ("\x1b[2J", "x" * 5000, ""))] = head.pop(name)
    elif kind == 7:
        del head[name]
    elif kind == 8:
        head["__metadata__"] = pick(rng, ({}, {"stm_jax": "{}"}, {"stm_jax": "[" * 10**5}, 7))
    elif kind == 9:
        path = folder / "w.safetensors"
        path.write_bytes(struct.pack("<Q", pick(rng, (0, 1, 2**31, 2**63, 2**64 - 1))) + body[:99])
        return Attempt(lambda: load(path), told=("w.safetensors",))
    elif kind == 10:
        if body[slice(*entry["data_offsets"])] == body[slice(*head[other]["data_offsets"])]:
            raise Skipped  # two single numbers, which are the same
        head[name], head[other] = head[other], head[name]
    else:
        body = body[: int(rng.integers(len(body)))]
    if (head, body) == parts(saved()):  # a single number was said to be one
        raise Skipped
    path = folder / "w.safetensors"
    path.write_bytes(joined(head, body))
    return Attempt(lambda: load(path), told=("w.safetensors",))


FIELDS = ("name", "bottleneck", "blocks", "width", "decoder_width", "last_width", "key_width")
VALUES = (
    *(None, True, "", "x" * 5000, "\x1b[2J", [], [1, 1], [1, 1, 10**9], [10**9] * 3, {}, 0, -1),
    *(10**9, 1e9, 1.5, [1, 1, 0], [[1], 1, 1], "8", 4096, [48, 48, 48], 2**40, [True, 1, 1]),
)


def given_strange_network(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """A configuration of a size that no network has must not hang, nor one that does not fit."""
    head, body = parts(saved())
    about = json.loads(head["__metadata__"]["stm_jax"])
    name, value = pick(rng, FIELDS), pick(rng, VALUES)
    about["config"][name] = value
    if rng.random() < 0.1:
        about["config"]["another"] = 1
    head["__metadata__"]["stm_jax"] = json.dumps(about)
    path = folder / "w.safetensors"
    path.write_bytes(joined(head, body))
    harmless = name == "name" and isinstance(value, str)
    harmless |= name in ("last_width", "key_width") and value is None
    return Attempt(lambda: load(path), lambda _: harmless, may_refuse=True, told=("w.safetensors",))


def given_strange_arrays(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """PyTorch's names in a .npz or safetensors file, one of them spoiled."""
    arrays = dict(pytorch_arrays())
    name, kind = pick(rng, arrays), pick(rng, STRANGE_ARRAYS)
    array = arrays[name]
    whole = array.dtype.kind == "i"
    if kind in ("nan", "inf"):
        arrays[name] = np.full(array.shape, np.nan if kind == "nan" else np.inf, np.float32)
    elif kind == "shape":
        arrays[name] = array.reshape(*array.shape, 1)
    elif kind == "missing":
        del arrays[name]
    elif kind == "more":
        arrays["strange"] = array
    elif kind == "empty":
        arrays = {}
    else:
        types = {"bool": np.bool_, "complex": np.complex64, "text": np.str_}
        arrays[name] = array.astype(types[kind])
    path = folder / f"w{pick(rng, ('.npz', '.bin', ''))}"
    content = io.BytesIO()
    np.savez(content, **arrays)
    path.write_bytes(content.getvalue())
    harmless = name.endswith("num_batches_tracked") and kind == "missing"
    return Attempt(
        lambda: read_weights(str(path))[0],
        (lambda _: True) if harmless or whole else None,
        may_refuse=not harmless,
        told=(path.name,),
    )


def given_pytorch_names(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    lead = pick(rng, ("", "module."))
    arrays = {lead + name: array for name, array in pytorch_arrays().items()}
    path = folder / f"w{pick(rng, ENDINGS)}"
    content = io.BytesIO()
    np.savez(content, **arrays)
    path.write_bytes(content.getvalue())
    return Attempt(lambda: read_weights(str(path))[0], same_model)


def given_damaged_npz(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    content = io.BytesIO()
    arrays = {
        pick(rng, ("a", "../a", "/etc/a", "x" * 200, "\x1b[2J")): np.ones(3),
        "object": np.array([{}], object) if rng.random() < 0.3 else np.ones(2),
    }
    np.savez(content, **arrays)
    path = folder / f"w{pick(rng, ENDINGS)}"
    path.write_bytes(drawn.damaged(rng, content.getvalue()))
    return Attempt(lambda: read_weights(str(path)), told=(path.name,))


class Evil:
    """What a pickle of it does when it is loaded."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


def given_pickle(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """Whatever is called weights, no code in it runs: nothing appears in the folder."""
    content = {"state_dict": Evil(folder / "hacked")}
    path = folder / f"w{pick(rng, ENDINGS)}"
    kind = rng.integers(3)
    if kind == 0:
        path.write_bytes(pickle.dumps(content, protocol=int(rng.integers(0, 6))))
    elif kind == 1:
        with open(path, "wb") as file:
            np.savez(file, w=np.array([content], object))
    else:
        path.write_bytes(drawn.damaged(rng, pickle.dumps(content)))
    read = pick(rng, (load, lambda p: read_weights(str(p))))
    return Attempt(lambda: read(path), told=(path.name,))


def given_pytorch_file(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    torch = _torch()
    arrays = {name: torch.tensor(array) for name, array in pytorch_arrays().items()}
    more = {"state_dict": arrays, "epoch": 3, "optimizer": {"lr": 0.1}}
    content = io.BytesIO()
    torch.save(
        pick(rng, (arrays, more, {"model": arrays})),
        content,
        _use_new_zipfile_serialization=bool(rng.random() < 0.7),
    )
    path = folder / f"w{pick(rng, ENDINGS[1:])}"
    path.write_bytes(content.getvalue())
    return Attempt(lambda: read_weights(str(path))[0], same_model)


def given_damaged_pytorch_file(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    torch = _torch()
    content = io.BytesIO()
    bad = pick(
        rng,
        (
            {"a": torch.ones(3)},
            {"state_dict": {"a": 1}},
            [torch.ones(2)],
            {"x" * 500: 1},
            {1: torch.ones(1)},
            {"\x1b[2J": torch.ones(1)},
            torch.ones(2),
            {},
            {"a": torch.ones(2).to_sparse()},
            {"a": torch.ones(2, dtype=torch.complex64)},
        ),
    )
    torch.save(bad, content, _use_new_zipfile_serialization=bool(rng.random() < 0.7))
    path = folder / f"w{pick(rng, ENDINGS)}"
    encoded = content.getvalue()
    path.write_bytes(drawn.damaged(rng, encoded) if rng.random() < 0.6 else encoded)
    return Attempt(lambda: read_weights(str(path)), told=(path.name,))


def _torch():
    try:
        import torch
    except ImportError as error:
        raise Skipped from error
    return torch


def given_no_weights(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    path, kind = folder / f"w{pick(rng, ENDINGS)}", rng.integers(6)
    if kind == 0:
        path.write_bytes(rng.bytes(int(rng.integers(0, 300))))
    elif kind == 1:
        path.mkdir()
    elif kind == 2:
        os.mkfifo(path)
    elif kind == 3:
        path.symlink_to(folder / "gone")
    elif kind == 4:
        path.symlink_to("/dev/zero")
    else:
        path = folder / pick(rng, ("\x1b[2J", "[red]", "y" * 300, os.fsdecode(b"\xff")))
    read = pick(rng, (load, lambda p: read_weights(str(p))))
    return Attempt(lambda: read(path))


def given_kind(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    path = folder / f"w{pick(rng, ENDINGS)}"
    heads = (b"PK\x03\x04", b"\x80\x02", struct.pack("<Q", 300) + b"{", b"\x93NUMPY", b"")
    path.write_bytes(pick(rng, heads) + rng.bytes(60))
    return Attempt(lambda: kind_of(path), lambda kind: kind in ("pytorch", "npz", "safetensors"))


def given_safetensors_of_others(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """Numbers of every kind come back, or the kind is told."""
    kind, size = pick(
        rng, (("F32", 4), ("F16", 2), ("BF16", 2), ("I64", 8), ("U8", 1), ("BOOL", 1), ("F64", 8))
    )
    values = rng.integers(0, 2, 6)
    types = {"F32": "f4", "F16": "f2", "I64": "i8", "U8": "u1", "BOOL": "?", "F64": "f8"}
    if kind == "BF16":
        body = np.asarray(jnp.asarray(values, jnp.bfloat16)).tobytes()
    else:
        body = values.astype(types[kind]).tobytes()
    head = {"a": {"dtype": kind, "shape": [2, 3], "data_offsets": [0, 6 * size]}}
    path = folder / "w.safetensors"
    path.write_bytes(joined(head, body))
    expected = values.reshape(2, 3)
    return Attempt(
        lambda: read_safetensors(path)[0]["a"],
        lambda found: np.array_equal(found.astype(int), expected),
    )


@functools.cache
def run_folder() -> pathlib.Path:
    """Returns a run with two checkpoints, made once; it is copied to be spoiled."""
    run = pathlib.Path(tempfile.mkdtemp(prefix="hostile-run-"))
    model = lively_model()
    config = {"model": {**vars(model.config), "blocks": list(model.config.blocks)}}
    (run / "config.json").write_text(json.dumps(config))
    with checkpoints.open_manager(run) as manager:
        for step in (1, 2):
            checkpoints.save(manager, step, {**model.variables, "step": np.int32(step)})
            checkpoints.wait(manager)
    return run


def given_damaged_run(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """Of a run with a damaged file: the model that was saved, or one line."""
    run = shutil.copytree(run_folder(), folder / "run")
    files = sorted(path for path in run.rglob("*") if path.is_file())
    file = pick(rng, files)
    kind = rng.integers(4)
    if kind == 0:
        file.unlink()
    elif kind == 1:
        file.write_bytes(b"")
    elif kind == 2:
        file.write_bytes(drawn.damaged(rng, file.read_bytes() or b"x"))
    else:
        shutil.rmtree(file.parent) if file.parent != run else file.unlink()
    return Attempt(lambda: load(run), same_model, may_refuse=True, told=("run",))


def given_no_run(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    run = folder / "run"
    run.mkdir()
    if rng.random() < 0.7:
        shutil.copy(run_folder() / "config.json", run)
    if rng.random() < 0.5:
        steps = pick(rng, ("1", "-3", "x", "9" * 30, "1.orbax-checkpoint-tmp-3"))
        (run / "checkpoints" / steps).mkdir(parents=True)
    return Attempt(lambda: load(run), told=("run",))
