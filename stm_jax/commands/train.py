"""`stm-jax train`: train a model by a configuration file, or go on with a run."""

import contextlib
import dataclasses
import difflib
import io
import os
import pathlib

import tyro

from stm_jax.catalogue import answer_of
from stm_jax.checks import called, check_types, kinds_of, shown
from stm_jax.errors import InputError
from stm_jax.runtime.outputs import check_outputs
from stm_jax.train.checks import check_train
from stm_jax.train.config import TrainConfig
from stm_jax.train.paths import paths_read, with_root


@dataclasses.dataclass(frozen=True)
class Train:
    """Train a model by a configuration file; the same command again goes on where it stopped.

    Writes checkpoints, log.jsonl, tensorboard/ and config.json into RUN_FOLDER, which
    `stm-jax segment --weights RUN_FOLDER` takes as it is, and best.safetensors where the
    configuration names sequences to validate on.
    """

    config: pathlib.Path
    """A Python file with get_config(), such as configs/stm_r18.py. It is run."""
    data: pathlib.Path
    """The folder that the configuration's paths are relative to."""
    run_folder: pathlib.Path
    """Where the run is kept; on several hosts, a folder that all of them see."""
    changes: tyro.conf.Positional[tuple[str, ...]] = ()
    """Changes to the configuration, NAME=VALUE, such as seed=1 stages.0.steps=500."""
    profile: tyro.conf.FlagCreatePairsOff[bool] = False
    """Write a trace of a few steps of each stage into RUN_FOLDER/profile."""
    multi_host: tyro.conf.FlagCreatePairsOff[bool] = False
    """Join the other hosts of a TPU pod or a Slurm job: the same command on every host."""
    coordinator: str | None = None
    """Where there is neither: HOST:PORT of the first host, together with the two below."""
    hosts: int | None = None
    """How many hosts there are."""
    host: int | None = None
    """Which of them this one is, from 0."""

    def run(self) -> None:
        """Runs the command.

        Raises:
          InputError: the configuration, the data, the trunk or start_from cannot be used.
          KeyboardInterrupt: stopped by Ctrl-C or SIGTERM, after saving where it was.
        """
        config = with_root(changed(load_config(self.config), self.changes), self.data)
        check_train(config)
        check_outputs([self.config, *paths_read(config)], folder=self.run_folder)
        self._join_hosts()
        from stm_jax.train.validated import train

        train(config, self.run_folder, profile=self.profile)
        print(f"done: stm-jax segment VIDEO --mask FIRST.png --out DIR --weights {self.run_folder}")

    def _join_hosts(self) -> None:
        explicit = (self.coordinator, self.hosts, self.host)
        if any(value is not None for value in explicit):
            if any(value is None for value in explicit):
                raise InputError("--coordinator, --hosts and --host go together: give all three")
        elif not self.multi_host:
            return
        import jax

        try:
            jax.distributed.initialize(*explicit)
        except (ValueError, RuntimeError) as error:
            raise InputError(
                f"the other hosts cannot be joined ({error}); give --coordinator, --hosts and "
                "--host"
            ) from error


def load_config(path: pathlib.Path) -> TrainConfig:
    """Runs a configuration file and returns what its get_config() gives.

    Raises:
      InputError: there is no such file, it cannot be run, or it gives no configuration.
    """
    if not os.path.isfile(path):  # which says no of a name that is too long, too
        raise InputError(f"no configuration {path}; give a file such as configs/stm_r18.py")
    config = answer_of(path, "get_config")
    if not isinstance(config, TrainConfig):
        raise InputError(
            f"get_config() of {path} returns {_kind(config)}: return a TrainConfig; see "
            "configs/stm_r18.py"
        )
    try:
        check_types(config)
    except InputError as error:
        raise InputError(f"get_config() of {path}: {error}") from error
    return config


def _kind(answer: object) -> str:
    return "None" if answer is None else f"a {type(answer).__name__}"


def changed(config: TrainConfig, changes: tuple[str, ...]) -> TrainConfig:
    """Returns the configuration with NAME=VALUE changes, nested names joined by dots.

    Raises:
      InputError: a change is not of that form, or its name or its value is wrong.
    """
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise InputError(f"{shown(change)} is no change of the configuration: give NAME=VALUE")
        setting = name.replace("-", "_")
        kinds = kinds_of(config)
        if setting not in kinds:
            near = difflib.get_close_matches(setting, kinds, 3) or ["seed", "stages.0.steps"]
            raise InputError(
                f"the configuration has no {shown(name)}: perhaps you meant {' or '.join(near)}"
            )
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # where tyro draws a box
                config = tyro.cli(
                    TrainConfig,
                    default=config,
                    args=[f"--{name.replace('_', '-')}", *(value.split(",") if value else ())],
                    config=(tyro.conf.AvoidSubcommands,),  # the kind of a source stays what it is
                    console_outputs=False,
                )
        except SystemExit as error:
            raise InputError(
                f"{setting} is {shown(repr(value))}: give {called(kinds[setting])}"
            ) from error
    return config
