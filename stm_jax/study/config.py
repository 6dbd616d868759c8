"""What a study compares, on which videos, as frozen dataclasses; and whether that makes sense."""

import dataclasses
import inspect
import pathlib
import re
from collections import Counter
from typing import Any, Literal

from stm_jax.catalogue import answer_of, chosen_similarity
from stm_jax.checks import MOST_PIXELS, check_types, shown, within
from stm_jax.data.benchmarks import Protocol
from stm_jax.errors import InputError
from stm_jax.memory.protocol import Memory
from stm_jax.study.variants import Variant
from stm_jax.synthetic.config import SyntheticConfig
from stm_jax.train.checks import check_train
from stm_jax.train.config import TrainConfig
from stm_jax.train.paths import with_root

NAME = r"\w[\w.-]*"
MOST_SEED = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class DataSet:
    """Sequences of a data set on disk, with true masks.

    Attributes:
        name: What the results call it.
        root: The folder that holds JPEGImages and Annotations, below --data.
        protocol: How it lies there, what is given and what is scored.
        split: Of it.
        sequences: Only these; () for all.
        size: Follow at this short side in pixels; None for the frames' own.
    """

    name: str
    root: pathlib.Path
    protocol: Protocol
    split: str = "val"
    sequences: tuple[str, ...] = ()
    size: int | None = None


@dataclasses.dataclass(frozen=True)
class Drawn:
    """Videos of the synthetic benchmark, drawn into the study's folder when it begins.

    Attributes:
        name: What the results call them.
        videos: How many.
        seed: Another one gives other videos.
        knobs: What they show.
    """

    name: str
    videos: int
    seed: int = 0
    knobs: SyntheticConfig = dataclasses.field(default_factory=SyntheticConfig)


@dataclasses.dataclass(frozen=True)
class Study:
    """Variants of the memory, its read, the similarity and the training, over the same videos.

    Attributes:
        variants: What is compared, of different names.
        videos: What all of them are measured on.
        baseline: The name of the variant that the others are compared with.
        weights: Of the variants that do not train, and what a training starts from that names
            neither `model` nor `start_from`: a bundled name, a .safetensors file, a run's folder.
        dtype: What following computes in.
    """

    variants: tuple[Variant, ...]
    videos: tuple[DataSet | Drawn, ...]
    baseline: str
    weights: str = "stm-r18"
    dtype: Literal["float32", "bfloat16"] = "float32"


def load_study(file: pathlib.Path, data: pathlib.Path) -> Study:
    """Runs a study's file and returns what its get_study() gives, checked, its paths below `data`.

    Raises:
        InputError: There is no such file, it cannot be run, or its study makes no sense.
    """
    study = answer_of(file, "get_study")
    if not isinstance(study, Study):
        raise InputError(f"get_study() of {file} returns {type(study).__name__}: return a Study")
    study = _below(_checked(study, f"get_study() of {file}"), data)
    for variant in study.variants:
        if variant.training is not None:
            try:
                check_train(variant.training)
            except InputError as error:
                raise InputError(f"{file}: the training of {variant.name}: {error}") from error
    return study


def with_seed(memory: Memory, seed: int) -> Memory:
    """Returns a memory that draws with another seed; any other as it is."""
    return dataclasses.replace(memory, seed=seed) if _draws(memory) else memory  # pyright: ignore


def _draws(memory: Memory) -> bool:
    return dataclasses.is_dataclass(memory) and "seed" in {
        field.name for field in dataclasses.fields(memory)
    }


def _checked(study: Study, where: str) -> Study:
    try:
        for name, kinds in (("variants", Variant), ("videos", DataSet | Drawn)):
            items = getattr(study, name)
            if not (isinstance(items, tuple) and items):
                raise InputError(f"{name} is {shown(repr(items))}: give a tuple of one at least")
            for index, item in enumerate(items):
                if not isinstance(item, kinds):
                    raise InputError(f"{name}.{index} is {shown(repr(item))}: it is none of them")
            _check_names([item.name for item in items], name)
        for item in study.videos:
            check_types(item, item.name)
            if isinstance(item, Drawn):
                within(f"{item.name}.videos", item.videos, 1, 10_000)
                within(f"{item.name}.seed", item.seed, 0, MOST_SEED)
                item.knobs.check()
            elif item.size is not None:
                within(f"{item.name}.size", item.size, 16, MOST_PIXELS)
        for variant in study.variants:
            _check_variant(variant)
        names = [each.name for each in study.variants]
        if study.baseline not in names:
            raise InputError(
                f"baseline is {shown(repr(study.baseline))}: give one of {', '.join(names)}"
            )
        if not isinstance(study.weights, str):
            raise InputError(f"weights is {shown(repr(study.weights))}: give a text")
        if study.dtype not in ("float32", "bfloat16"):
            raise InputError(f"dtype is {shown(study.dtype)}: give float32 or bfloat16")
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return study


def _check_names(names: list[Any], what: str) -> None:
    for name in names:
        if not (isinstance(name, str) and re.fullmatch(NAME, name)):
            raise InputError(
                f"{shown(repr(name))} in {what} is no name: give letters, digits, dots, dashes"
            )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"{what} has {twice[0]} twice: give each a name of its own")


def _check_variant(variant: Variant) -> None:
    name = variant.name
    if not isinstance(variant.memory, Memory):
        raise InputError(f"the memory of {name} is {shown(repr(variant.memory))}: give a Memory")
    if not (variant.read is None or callable(variant.read)) or inspect.isclass(variant.read):
        raise InputError(f"the read of {name} is {shown(repr(variant.read))}: give a Read, or None")
    words = variant.similarity
    if not (isinstance(words, tuple) and all(isinstance(word, str) for word in words)):
        raise InputError(f"the similarity of {name} is {shown(repr(words))}: give a tuple of words")
    chosen_similarity(words, f"the similarity of {name}:")
    if not isinstance(variant.training, TrainConfig | None):
        raise InputError(f"the training of {name} is no TrainConfig: give one, or None")
    seeds = variant.seeds
    if not (isinstance(seeds, tuple) and seeds and len(set(seeds)) == len(seeds)):
        raise InputError(f"the seeds of {name} are {shown(repr(seeds))}: give different integers")
    for seed in seeds:
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise InputError(f"a seed of {name} is {shown(repr(seed))}: give an integer")
        within(f"a seed of {name}", seed, 0, MOST_SEED)
    if len(seeds) > 1 and variant.training is None and not _draws(variant.memory):
        raise InputError(
            f"{name} neither trains nor has a memory that draws, but {len(seeds)} seeds: give one"
        )


def _below(study: Study, data: pathlib.Path) -> Study:
    """Returns the study with its paths below a folder; trainings say what they start from."""
    weights = str(data / study.weights) if (data / study.weights).exists() else study.weights

    def trained(variant: Variant) -> Variant:
        config = variant.training
        if config is None:
            return variant
        if config.model is None and config.start_from is None:
            config = dataclasses.replace(config, start_from=study.weights)
        return dataclasses.replace(variant, training=with_root(config, data))

    videos = (
        dataclasses.replace(each, root=data / each.root) if isinstance(each, DataSet) else each
        for each in study.videos
    )
    return dataclasses.replace(
        study,
        variants=tuple(map(trained, study.variants)),
        videos=tuple(videos),
        weights=weights,
    )
