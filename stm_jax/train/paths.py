"""The files that a training configuration names."""

import dataclasses
import pathlib

from stm_jax.data.config import DataConfig
from stm_jax.runtime.outputs import weights_read
from stm_jax.train.config import TrainConfig


def with_root(config: TrainConfig, root: pathlib.Path) -> TrainConfig:
    """Returns the configuration with its paths below `root`, `start_from` if it is there."""

    def data_below(data: DataConfig) -> DataConfig:
        return dataclasses.replace(data, sources=tuple(each.below(root) for each in data.sources))

    stages = [dataclasses.replace(s, data=data_below(s.data)) for s in config.stages]
    trunk = None if config.trunk is None else root / config.trunk
    start = config.start_from
    if start is not None and (root / start).exists():
        start = str(root / start)  # else it is a bundled name, or a path of the command line
    return dataclasses.replace(config, trunk=trunk, start_from=start, stages=tuple(stages))


def paths_read(config: TrainConfig) -> list[pathlib.Path]:
    """Returns the files and folders that a configuration names."""
    items = [config, *(source for stage in config.stages for source in stage.data.sources)]
    fields = [getattr(item, f.name) for item in items for f in dataclasses.fields(item)]
    paths = [field for field in fields if isinstance(field, pathlib.Path)]
    return paths + weights_read(config.start_from)
