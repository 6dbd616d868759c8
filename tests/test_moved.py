"""Old names of modules go on for a while."""

import importlib

import pytest

import stm_jax
from stm_jax.cli import main
from stm_jax.data.sources import Videos
from stm_jax.moved import MODULES
from tests.test_clips import root  # noqa: F401, a fixture

NEEDS_TORCH = ("convert.torch_twin",)


@pytest.mark.parametrize("old", [name for name in MODULES if name not in NEEDS_TORCH])
def test_an_old_module_warns_and_is_the_new_one(old):
    importlib.invalidate_caches()
    with pytest.warns(DeprecationWarning, match=f"stm_jax.{old} is stm_jax.{MODULES[old]} now"):
        found = importlib.reload(importlib.import_module(f"stm_jax.{old}"))
    new = importlib.import_module(f"stm_jax.{MODULES[old]}")
    public = [name for name in vars(new) if not name.startswith("_")]
    assert public and all(getattr(found, name) is getattr(new, name) for name in public)


def test_what_config_had_is_there_with_a_warning():
    with pytest.warns(
        DeprecationWarning, match="stm_jax.config.Davis is stm_jax.data.sources.Davis"
    ):
        from stm_jax.config import Davis
    assert Davis is stm_jax.data.sources.Davis
    with pytest.raises(ImportError, match="Nonsense"):
        from stm_jax.config import Nonsense  # noqa: F401


def test_the_functions_of_sources_are_methods(root):  # noqa: F811
    with pytest.warns(DeprecationWarning, match=r"videos_of\(source\) is source.videos\(\) now"):
        from stm_jax.data.sources import videos_of
    assert videos_of(Videos(root), "skip") == Videos(root).videos()


def test_nothing_else_is_found():
    with pytest.raises(ImportError):
        importlib.import_module("stm_jax.viz.nonsense")


def test_a_command_that_is_gone_says_what_there_is(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["variants", "DAVIS", "--protocol", "davis2016", "--out", "runs"])
    (line,) = capsys.readouterr().err.splitlines()
    assert "`stm-jax variants` is a study now: `stm-jax study configs/study_variants.py" in line
