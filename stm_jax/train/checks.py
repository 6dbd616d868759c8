"""Whether a training configuration makes sense: looked at before anything is written or compiled.

One function a dataclass; an error names the setting as it is changed on the command line, such as
stages.0.steps.
"""

from stm_jax.catalogue import chosen_memory, chosen_similarity, read_to_train
from stm_jax.checks import check_model, check_types, shown, within
from stm_jax.data.config import DataConfig
from stm_jax.data.masks import VOID
from stm_jax.data.sources.protocol import Source
from stm_jax.errors import InputError
from stm_jax.train.config import StageConfig, TrainConfig

DTYPES = ("float32", "bfloat16")
MOST_STEPS = 10**9
MOST_RATE = 100.0
MOST_WEIGHT = 1e6


def check_train(config: TrainConfig) -> None:
    """Checks a whole configuration, and that what it names as data is there.

    Raises:
        InputError: A setting is of another type, out of its range, or contradicts another; or a
            source is not there or holds nothing. The setting or the source is named.
    """
    check_types(config)
    if not config.stages:
        raise InputError("stages is empty: give one stage at least")
    if config.model is not None:
        check_model(config.model)
        chosen_similarity(config.model.similarity, "model.similarity =")
    if config.dtype not in DTYPES:
        raise InputError(f"dtype is {shown(config.dtype)}: give {' or '.join(DTYPES)}")
    within("trunk_factor", config.trunk_factor, 0, MOST_RATE)
    within("weight_decay", config.weight_decay, 0, MOST_RATE)
    within("clip_norm", config.clip_norm, 0, above=True)
    within("average_decay", config.average_decay, 0, 1)
    if config.average_decay == 1:
        raise InputError("average_decay is 1: the average would stay what it begins as; give less")
    within("key_frames", config.key_frames, 0, 10**6)
    within("accumulate", config.accumulate, 1, 2**16)
    within("workers", config.workers, 0, 1024)
    within("seed", config.seed, 0, 2**31 - 1)
    for name in ("bad_steps", "log_every", "checkpoint_every", "validate_every"):
        within(name, getattr(config, name), 1, MOST_STEPS)
    for number, stage in enumerate(config.stages):
        check_stage(stage, f"stages.{number}")
    memory = chosen_memory(config.memory, "memory =")
    if config.read:
        read = read_to_train(config.read)
        if memory is not None:
            from stm_jax.memory.protocol import check_read  # jax, only where it is needed

            check_read(memory, read)
    chosen_similarity(config.similarity, "similarity =")


def check_stage(stage: StageConfig, name: str) -> None:
    """Checks a stage called `name`; raises as `check_train` does."""
    within(f"{name}.steps", stage.steps, 1, MOST_STEPS)
    within(f"{name}.learning_rate", stage.learning_rate, 0, MOST_RATE, above=True)
    within(f"{name}.final_learning_rate", stage.final_learning_rate, 0, MOST_RATE)
    within(f"{name}.warmup_steps", stage.warmup_steps, 0, MOST_STEPS)
    if stage.warmup_steps >= stage.steps:
        raise InputError(
            f"{name}.warmup_steps is {stage.warmup_steps}: give fewer than {name}.steps, which is "
            f"{stage.steps}"
        )
    within(f"{name}.hardest_share", stage.hardest_share, 0, 1, above=True)
    within(f"{name}.matching_weight", stage.matching_weight, 0, MOST_WEIGHT)
    within(f"{name}.overlap_weight", stage.overlap_weight, 0, MOST_WEIGHT)
    check_data(stage.data, f"{name}.data")


def check_data(data: DataConfig, name: str) -> None:
    """Checks what a stage is fed with, called `name`; raises as `check_train` does."""
    within(f"{name}.pasted", data.pasted, 0, 100)
    within(f"{name}.objects", data.objects, 1, VOID - 1)
    within(f"{name}.length", data.length, 2, 1000)
    within(f"{name}.size", data.size, 16, 4096)
    if data.size % 16:
        near = data.size // 16 * 16
        raise InputError(
            f"{name}.size is {data.size}: give a multiple of 16, {near} or {near + 16}"
        )
    within(f"{name}.batch_size", data.batch_size, 1, 2**16)
    within(f"{name}.first_skip", data.first_skip, 0, 10**6)
    within(f"{name}.last_skip", data.last_skip, 0, 10**6)
    for number, source in enumerate(data.sources):
        check_source(source, f"{name}.sources.{number}")
    if not any(source.weight > 0 for source in data.sources):
        raise InputError(f"{name}.sources has no source with a weight above 0: give one")


def check_source(source: Source, name: str) -> None:
    """Checks a source called `name`; raises as `check_train` does."""
    within(f"{name}.weight", source.weight, 0, MOST_WEIGHT)
    source.check()
