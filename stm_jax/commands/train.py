"""`stm-jax train`: train a model by a configuration file, or go on with a run."""

import dataclasses
import importlib.util
import pathlib

from stm_jax.config import DataConfig, TrainConfig
from stm_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Train:
    """Train a model by a configuration file; the same command again goes on where it stopped.

    Writes checkpoints, log.jsonl and config.json into the folder RUN, which
    `stm-jax segment --weights RUN` takes as it is.
    """

    config: pathlib.Path
    """A Python file with get_config(), such as configs/stm_r18_first.py. It is run."""
    data: pathlib.Path
    """The folder that the configuration's paths are relative to."""
    run_folder: pathlib.Path
    """Where the run is kept."""

    def run(self) -> None:
        """Runs the command.

        Raises:
          InputError: the configuration, the data or the trunk cannot be used.
        """
        config = with_root(load_config(self.config), self.data)
        from absl import flags  # grain's workers ask for it outside of absl.app

        from stm_jax.train.loop import train

        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()
        train(config, self.run_folder)
        print(f"done: stm-jax segment VIDEO --mask FIRST.png --out DIR --weights {self.run_folder}")


def load_config(path: pathlib.Path) -> TrainConfig:
    """Runs a configuration file and returns what its get_config() gives.

    Raises:
      InputError: there is no such file, or no get_config() in it.
    """
    if not path.is_file():
        raise InputError(f"no configuration {path}; give a file such as configs/stm_r18_first.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is no Python file; give one with a get_config()")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise InputError(f"{path} has no get_config(); see configs/stm_r18_first.py")
    return module.get_config()


def with_root(config: TrainConfig, root: pathlib.Path) -> TrainConfig:
    """Returns the configuration with its paths below `root`."""

    def below(path: pathlib.Path | None) -> pathlib.Path | None:
        return None if path is None else root / path

    def data_below(data: DataConfig) -> DataConfig:
        return dataclasses.replace(
            data, photographs=below(data.photographs), videos=below(data.videos)
        )

    stages = [dataclasses.replace(s, data=data_below(s.data)) for s in config.stages]
    return dataclasses.replace(config, trunk=below(config.trunk), stages=tuple(stages))
