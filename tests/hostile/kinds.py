"""All generators of hostile inputs by kind: functions of its module whose names begin `given_`."""

from types import ModuleType

from tests.hostile import (
    arrays,
    json_content,
    lists,
    masks,
    names,
    options,
    pictures,
    training,
    videos,
    weight_files,
)
from tests.hostile.attempt import Generator

MODULES = (
    masks,
    pictures,
    lists,
    names,
    json_content,
    weight_files,
    training,
    options,
    videos,
    arrays,
)


def _named(module: ModuleType) -> dict[str, Generator]:
    kind = module.__name__.rpartition(".")[2]
    return {
        f"{kind}.{name.removeprefix('given_')}": made
        for name, made in vars(module).items()
        if name.startswith("given_")
    }


GENERATORS: dict[str, Generator] = {
    name: made for module in MODULES for name, made in _named(module).items()
}


def inputs(count: int, seed: int, only: str = "") -> list[tuple[str, int]]:
    """Returns (generator, seed) of so many inputs, all generators whose names begin so in turn."""
    names = [name for name in GENERATORS if name.startswith(only)]
    return [(names[i % len(names)], seed + i // len(names)) for i in range(count)]
