"""The pieces of a study, each named by a hash of everything that its result depends on."""

import dataclasses
import functools
import json
from collections.abc import Mapping
from typing import Any, Literal

from stm_jax.benchmark.sequences import hash_of_data, hash_of_truths
from stm_jax.catalogue import chosen_memory, chosen_read, chosen_similarity, noted
from stm_jax.data.benchmarks import BenchmarkSequence
from stm_jax.json_files import parse_json
from stm_jax.study import depends
from stm_jax.study.config import DataSet, Study, with_seed
from stm_jax.study.variants import Variant
from stm_jax.train.config import TrainConfig
from stm_jax.train.run_config import FREE

DRAWN_AS = "davis2017"
"""The protocol of videos that are drawn."""

Kind = Literal["training", "attributes", "following"]
Videos = Mapping[str, tuple[BenchmarkSequence, ...]]
"""The sequences of each set of videos, by the set's name."""
Place = tuple[str, str]
"""A video: the names of its set and of itself."""


@dataclasses.dataclass(frozen=True)
class Piece:
    """One training, one video looked at, or one video followed.

    Attributes:
        kind: Which.
        about: Everything that its result depends on, as JSON values.
        variant: The variant that it is of; one that shares it may have asked first.
        seed: Of the repetition.
        videos: The set of videos.
        video: In that set.
        frames: How many it has, for the progress.
        needs: The key of the training whose weights it takes.
    """

    kind: Kind
    about: Mapping[str, Any]
    variant: str = ""
    seed: int = 0
    videos: str = ""
    video: str = ""
    frames: int = 0
    needs: str | None = None

    @functools.cached_property
    def key(self) -> str:
        """Its name: the same for whatever depends on the same."""
        text = json.dumps(self.about, sort_keys=True)
        return f"{self.kind}-{depends.hash_of_text(text)[:20]}"

    def __str__(self) -> str:
        who = f"{self.variant}, seed {self.seed}"
        if self.kind == "training":
            return f"training of {who}"
        where = f"{self.videos}/{self.video}"
        return f"{who}, {where}" if self.kind == "following" else f"masks of {where}"


@dataclasses.dataclass(frozen=True)
class Plan:
    """All pieces of a study, and which of them say what.

    Attributes:
        pieces: By key, those first that others need.
        trainings: The key of each variant's and seed's training.
        attributes: The key of each video's attributes, by its set and name.
        followings: The key of each variant's, seed's and video's following.
    """

    pieces: dict[str, Piece]
    trainings: dict[tuple[str, int], str]
    attributes: dict[Place, str]
    followings: dict[tuple[str, int, Place], str]

    def of(self, variant: Variant) -> list[str]:
        """Returns the keys of all pieces whose results a variant's row is made of."""
        keys = [key for (name, _), key in self.trainings.items() if name == variant.name]
        keys += [key for (name, _, _), key in self.followings.items() if name == variant.name]
        return list(dict.fromkeys([*self.attributes.values(), *keys]))


def plan_study(study: Study, videos: Videos, precision: str | None) -> Plan:
    """Returns the pieces of a study.

    Reads all frames and masks once, for what they are; a training's data are known by the names,
    sizes and times of their files.

    Args:
        study: With its paths resolved.
        videos: The sequences of each set.
        precision: What products of matrices are computed in, JAX's setting.

    Raises:
        InputError: There are no such weights, or a file cannot be read.
    """
    pieces: dict[str, Piece] = {}
    plan = Plan(pieces, {}, {}, {})
    shared = {"versions": depends.versions(), "precision": precision or "default"}
    given = functools.cache(depends.hash_of_weights)

    def add(piece: Piece) -> str:
        pieces.setdefault(piece.key, piece)
        return piece.key

    for variant in study.variants:
        for seed in variant.seeds if variant.training else ():
            assert variant.training is not None
            about = shared | _about_training(dataclasses.replace(variant.training, seed=seed))
            plan.trainings[variant.name, seed] = add(Piece("training", about, variant.name, seed))
    about_videos = {}
    for each in study.videos:
        for sequence in videos[each.name]:
            where = (each.name, sequence.name, len(sequence.frames))
            truths = {"truths": hash_of_truths(sequence)}
            about = truths | {"code": depends.code_of(depends.ATTRIBUTES)}
            plan.attributes[where[:2]] = add(Piece("attributes", about, "", 0, *where))
            about_videos[where] = truths | {
                "frames": hash_of_data((sequence,)),
                "protocol": each.protocol if isinstance(each, DataSet) else DRAWN_AS,
                "size": each.size if isinstance(each, DataSet) else None,
            }
    for variant in study.variants:
        for seed in variant.seeds:
            training = plan.trainings.get((variant.name, seed))
            about = shared | _about_variant(variant, seed, study)
            about["weights"] = training or given(study.weights)
            for where, about_video in about_videos.items():
                who = (variant.name, seed)
                piece = Piece("following", about | about_video, *who, *where, needs=training)
                plan.followings[*who, where[:2]] = add(piece)
    return plan


def _about_training(config: TrainConfig) -> dict[str, Any]:
    """Returns all that the weights in the end depend on; paths count for what is there."""
    content = parse_json(json.dumps(dataclasses.asdict(config), default=str), "the training")
    for name in FREE:
        del content[name]
    own = {
        "memory": chosen_memory(config.memory, "memory ="),
        "read": chosen_read(config.read, "read ="),
        "similarity": chosen_similarity(config.similarity, "similarity ="),
    }
    return {
        "training": content,
        "chosen": {name: noted(choice) for name, choice in own.items()},
        "start_from": config.start_from and depends.hash_of_weights(config.start_from),
        "data": depends.files_of_training(config),
        "code": depends.code_of(depends.TRAINING),
    }


def _about_variant(variant: Variant, seed: int, study: Study) -> dict[str, Any]:
    memory = with_seed(variant.memory, seed)
    similarity = chosen_similarity(variant.similarity) if variant.similarity else None
    return {
        "memory": noted(memory),
        "read": noted(variant.read),
        "similarity": noted(similarity),
        "dtype": study.dtype,
        "code": depends.code_of(depends.FOLLOWING),
        "code of the memory": depends.code_of_memory(type(memory)),
    }
