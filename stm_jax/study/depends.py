"""What a piece of a study depends on, as hashes: code, weights, the files of a training."""

import ast
import functools
import hashlib
import os
import pathlib
import sys
from collections.abc import Iterable
from importlib import metadata

from stm_jax.catalogue import ROOT, RULES, STORES
from stm_jax.errors import InputError
from stm_jax.files import hash_of_file
from stm_jax.runtime.outputs import weights_read
from stm_jax.text import utf_8
from stm_jax.train.config import TrainConfig
from stm_jax.train.paths import paths_read
from stm_jax.weights.files import BUNDLED

NETWORK = ("nn", "ops", "reads", "similarities", "infer", "weights", "data")
FOLLOWING = (*NETWORK, "eval", "benchmark/work.py", "study/work.py")
TRAINING = (*NETWORK, "memory", "train")
ATTRIBUTES = ("study/attributes.py", "data")
"""Parts of stm_jax whose code decides about the result of a piece, beside that of its memory."""

LIBRARIES = ("jax", "jaxlib", "flax", "numpy", "optax", "grain")
"""Whose versions may change a number."""


def hash_of_text(text: str) -> str:
    """Returns a hash of a text."""
    return hashlib.sha256(utf_8(text)).hexdigest()


@functools.cache
def code_of(parts: tuple[str, ...] = (".",)) -> str:
    """Returns a hash of the sources in these folders and files of stm_jax; of all by default."""
    files = [ROOT / part for part in parts if part.endswith(".py")]
    inside = [path for part in parts for path in (ROOT / part).rglob("*.py")]
    return _hash_of_sources([*files, *inside])


@functools.cache
def code_of_memory(kind: type) -> str:
    """Returns a hash of the sources that a memory's class stands on.

    Those are what all memories share, its own module, and the other rules and stores that this
    imports: a new rule beside it changes nothing. Of a class that is not stm_jax's, what all share:
    its own file is noted with it.
    """
    found = set((ROOT / "memory").glob("*.py"))
    waiting = {each.__module__ for each in kind.__mro__}
    while waiting:
        name = waiting.pop()
        path = ROOT.parent / f"{name.replace('.', '/')}.py"
        one_of_many = {ROOT / RULES, ROOT / STORES} & set(path.parents)
        if one_of_many and path.is_file() and path not in found:
            found.add(path)
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, ast.ImportFrom) and node.module:
                    waiting.add(node.module)
    return _hash_of_sources(found)


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the libraries that may change a number."""
    python = ".".join(map(str, sys.version_info[:2]))
    return {"python": python} | {name: metadata.version(name) for name in LIBRARIES}


def hash_of_weights(name: str) -> str:
    """Returns a hash of the file of weights, or of a run's newest checkpoints and configuration.

    Raises:
        InputError: There are no such weights.
    """
    path = pathlib.Path(name)
    if not path.exists():
        path = BUNDLED / f"{name}.safetensors"
    if path.is_dir():
        parts = [path / "config.json", *(path / "checkpoints").rglob("*")]
        files = sorted(part for part in parts if part.is_file())
        return hash_of_text("".join(f"{f.relative_to(path)} {hash_of_file(f)}\n" for f in files))
    if not path.is_file():
        raise InputError(f"no weights {name}: no such file or folder, and none are bundled so")
    return hash_of_file(path)


def files_of_training(config: TrainConfig) -> str:
    """Returns a hash of names, sizes and times of all files in the folders of a training's data.

    Pictures are not read for that: there may be millions. What it starts from is not part of it.
    """
    content = hashlib.sha256()
    weights = weights_read(config.start_from)
    for path in _files(path for path in paths_read(config) if path not in weights):
        stat = path.stat()
        content.update(utf_8(f"{path} {stat.st_size} {stat.st_mtime_ns}\n"))
    return content.hexdigest()


def _files(paths: Iterable[pathlib.Path]) -> Iterable[pathlib.Path]:
    for path in paths:
        if path.is_file():
            yield path
        for folder, inside, names in os.walk(path):
            inside.sort()
            yield from (pathlib.Path(folder) / name for name in sorted(names))


def _hash_of_sources(paths: Iterable[pathlib.Path]) -> str:
    content = hashlib.sha256()
    for path in sorted(set(paths)):
        content.update(f"{path.relative_to(ROOT)} {hash_of_file(path)}\n".encode())
    return content.hexdigest()
