"""What had another name until 0.1.0: importing such a module warns, and gives what is there now.

To be removed with 0.3.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
import warnings
from collections.abc import Sequence

MODULES = {
    "convert": "weights",
    "convert.entries": "weights.entries",
    "convert.pth": "weights.pth",
    "convert.pytorch": "weights.pytorch",
    "convert.table": "weights.table",
    "convert.torch_twin": "weights.torch_twin",
    "convert.trunk": "weights.trunk",
    "release": "weights.files",
    "train.checkpoint": "weights.checkpoints",
    "viz": "report",
    "viz.overlay": "report.overlay",
    "infer.compile_cache": "runtime.compile_cache",
    "freed_memory": "runtime.freed_memory",
    "memory.memory": "memory.protocol",
    "memory.choice": "catalogue",
    "memory.rules_scored": "memory.rules",
    "memory.afb_urr": "memory.stores.afb_urr",
    "memory.swiftnet": "memory.stores.swiftnet",
    "memory.xmem": "memory.stores.xmem",
    "benchmark.variant_list": "study.variants",
}
"""From the old name to the new, below stm_jax."""

OF_CONFIG = ("data.config", "data.sources", "train.config")
"""Where the names are that `stm_jax.config` had."""


COMMANDS = {
    "variants": "`stm-jax variants` is a study now: `stm-jax study configs/study_variants.py --data"
    " DATA --out DIR`; change that file for other sequences or another data set"
}
"""What is said instead of a command that is gone."""


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        package, _, old = fullname.partition(".")
        if package != "stm_jax" or old not in MODULES:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def exec_module(self, module: types.ModuleType) -> None:
        new = f"stm_jax.{MODULES[module.__name__.partition('.')[2]]}"
        warnings.warn(f"{module.__name__} is {new} now", DeprecationWarning, stacklevel=2)
        found = vars(importlib.import_module(new))
        vars(module).update({name: found[name] for name in found if not name.startswith("__")})


def install() -> None:
    """Lets old names be imported; they are looked for last."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def of_config(name: str) -> object:
    """Returns what was in `stm_jax.config`; raises AttributeError if nothing was."""
    # The import system asks for __path__ and the like while modules are half made.
    for module in () if name.startswith("_") else OF_CONFIG:
        found = vars(importlib.import_module(f"stm_jax.{module}")).get(name)
        if isinstance(found, type) and found.__module__.startswith(f"stm_jax.{module}"):
            new = f"stm_jax.{module}.{name}"
            warnings.warn(f"stm_jax.config.{name} is {new} now", DeprecationWarning, stacklevel=3)
            return found
    raise AttributeError(f"module 'stm_jax.config' has no attribute {name!r}")


def of_sources(name: str) -> object:
    """Returns what was in `stm_jax.data.sources`; raises AttributeError if nothing was."""
    method = {"photographs_of": "photographs", "videos_of": "videos"}.get(name)
    if method is None:
        raise AttributeError(f"module 'stm_jax.data.sources' has no attribute {name!r}")
    warnings.warn(f"{name}(source) is source.{method}() now", DeprecationWarning, stacklevel=3)
    return lambda source, *rule: getattr(source, method)(*rule)
