"""The file of an exported network: a zip archive of programs, weights and a test.

    description.json      what it is, `Description`
    begin.stablehlo       and step, memorize, segment: what `jax.export` serializes
    weights.safetensors   by their paths; or beside the archive, in a file that it names
    test.safetensors      frames and a mask, and what the exporting library answered

Any program that unpacks zip archives gets at the parts.
"""

import dataclasses
import hashlib
import json
import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from stm_jax.checks import shown
from stm_jax.config import ModelConfig
from stm_jax.errors import InputError
from stm_jax.files import DAMAGED_ARCHIVE, check_is_file, writing_whole
from stm_jax.json_files import from_json, parse_json

FORMAT = 1
DESCRIPTION, WEIGHTS, TEST = "description.json", "weights.safetensors", "test.safetensors"
PROGRAM = ".stablehlo"
NAMES = ("begin", "step", "memorize", "segment")
LONGEST_NAME = 255  # of a file
PROMISE = "jax promises to load a program for six months after its release that made it"


@dataclasses.dataclass(frozen=True)
class Description:
    """What an exported network is.

    Attributes:
        format: Of the archive: 1.
        stm_jax: The version of the package that made it.
        jax: The version of JAX that made it.
        config: The network's configuration.
        about: What its weights say of themselves.
        licence: Of the programs; that of the weights is the one of whoever trained them.
        size: Rows and columns of the frames; None for any that are multiples of 16.
        objects: How many objects it has room for.
        slots: How many frames its memory has room for.
        memory: What `step` remembers: the rule or the store and its knobs.
        read: How `step` reads it; None for the default.
        short_side: The shorter side that `step` works at; None for the frames' own.
        dtype: What it computes in.
        platforms: What the programs are for: cpu, cuda, tpu.
        weights: The name of the file of weights in the archive, or beside it.
        digest: The SHA-256 of that file.
    """

    format: int
    stm_jax: str
    jax: str
    config: ModelConfig
    about: str
    licence: str
    size: tuple[int, int] | None
    objects: int
    slots: int
    memory: dict[str, Any]
    read: dict[str, Any] | None
    short_side: int | None
    dtype: str
    platforms: tuple[str, ...]
    weights: str
    digest: str


@dataclasses.dataclass(frozen=True)
class Bundle:
    """The parts of an exported network.

    Attributes:
        description: What it is.
        programs: What `jax.export` serialized, by the name of the program.
        weights: The file of weights.
        test: Frames, mask and answer.
    """

    description: Description
    programs: Mapping[str, bytes]
    weights: Mapping[str, np.ndarray]
    test: Mapping[str, np.ndarray]


def digest_of(content: bytes) -> str:
    """Returns the SHA-256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


def write(
    path: pathlib.Path,
    description: Description,
    programs: Mapping[str, bytes],
    weights: bytes,
    test: bytes,
) -> None:
    """Writes the archive, whole or not at all; weights that it does not hold lie beside it.

    Raises:
        OSError: It cannot be written.
    """
    parts = {f"{name}{PROGRAM}": content for name, content in programs.items()}
    if description.weights == WEIGHTS:
        parts[WEIGHTS] = weights
    parts[TEST] = test
    text = json.dumps(dataclasses.asdict(description), indent=2) + "\n"
    with writing_whole(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, content in {DESCRIPTION: text.encode(), **parts}.items():
            # A fixed date, so that the same export is the same file.
            archive.writestr(zipfile.ZipInfo(name), content)


def read(path: pathlib.Path) -> Bundle:
    """Reads an archive.

    Raises:
        InputError: It cannot be read, is none, is damaged, or is of another version; or the
            weights beside it are gone, or others.
    """
    check_is_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            parts = {part.filename: part for part in archive.infolist()}
            if DESCRIPTION not in parts or TEST not in parts:
                raise InputError(f"{path} is no exported network: make one with stm-jax export")
            # A few bytes that are packed may be gigabytes, whatever size they declare.
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts.values()):
                raise InputError(f"{path} was packed anew, compressed: export it again")
            content = parse_json(archive.read(DESCRIPTION), f"{path}: {DESCRIPTION}")
            description = _described(path, content)
            programs = {
                name: archive.read(f"{name}{PROGRAM}")
                for name in NAMES
                if f"{name}{PROGRAM}" in parts
            }
            test = archive.read(TEST)
            inside = archive.read(WEIGHTS) if WEIGHTS in parts else None
    except InputError:
        raise
    except DAMAGED_ARCHIVE as error:
        reason = shown(" ".join(str(error).split()) or type(error).__name__)
        raise InputError(f"{path} is no whole zip archive ({reason}): export again") from error
    weights = inside if inside is not None else _beside(path, description)
    if digest_of(weights) != description.digest:
        raise InputError(f"{path} was exported with other weights than {description.weights} is")
    return Bundle(description, programs, _arrays(path, weights), _arrays(path, test))


def _described(path: pathlib.Path, content: object) -> Description:
    made = content.get("format") if isinstance(content, dict) else None
    if made != FORMAT:
        raise InputError(
            f"{path} is an export of format {shown(repr(made))}, and this stm_jax reads {FORMAT}: "
            "export it again, or use the version that made it"
        )
    return from_json(Description, content, path.name)


def _beside(path: pathlib.Path, description: Description) -> bytes:
    name = description.weights
    if name != pathlib.PurePath(name).name or not 0 < len(name) <= LONGEST_NAME:
        raise InputError(f"{path} names weights elsewhere ({shown(name)}): export it again")
    try:
        check_is_file(path.parent / name)
        return (path.parent / name).read_bytes()
    except OSError as error:
        raise InputError(f"{path.parent / name} cannot be read ({error.strerror})") from error


def _arrays(path: pathlib.Path, content: bytes) -> dict[str, np.ndarray]:
    try:
        return safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path} holds arrays that cannot be read: export it again") from error
