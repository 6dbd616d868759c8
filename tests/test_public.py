"""What the project shows: its public names, and files that must say the same as others."""

import importlib
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

import stm_jax

PROJECT = pathlib.Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PUBLIC = {
    "Annotator",
    "InputError",
    "Model",
    "Segmenter",
    "__version__",
    "config",
    "data",
    "eval",
    "load",
    "memory",
    "reads",
    "save",
    "train",
    "weights",
}


def modules_after(code: str) -> set[str]:
    """Returns the libraries that a fresh interpreter has imported after some code."""
    code += "; import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_dir_shows_the_public_names_and_nothing_else():
    assert set(dir(stm_jax)) == PUBLIC
    assert len(dir(stm_jax)) == len(PUBLIC)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_public_name_is_there(name):
    assert getattr(stm_jax, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error():
    for module in (stm_jax, stm_jax.train):
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            _ = module.nothing


def test_what_is_trained_with_has_short_names():
    assert stm_jax.train.fit is importlib.import_module("stm_jax.train.loop").fit
    assert set(stm_jax.train.__all__) == {"StageConfig", "TrainConfig", "fit"}


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import stm_jax, stm_jax.data", {"numpy", "cv2"}),
        # A configuration names its sources, which know how to list pictures.
        ("import stm_jax.train.config", {"av", "grain"}),
        ("from stm_jax.train import TrainConfig", {"av", "grain"}),
    ],
)
def test_jax_waits_until_it_is_asked_for(code, heavy):
    assert not modules_after(code) & {"jax", "flax", "orbax", *heavy}


def test_asking_for_fit_brings_jax():
    assert "jax" in modules_after("from stm_jax.train import fit")


@pytest.mark.parametrize(
    "name",
    ["eval.davis.score_frame", "train.fit", "data.Videos", "weights.to_pytorch", "config.STM_R50"],
)
def test_names_in_rooms_need_no_import_of_their_own(name):
    modules_after(f"import stm_jax; stm_jax.{name}")


def test_types_are_shipped():
    assert (PROJECT / "stm_jax" / "py.typed").is_file()


def test_the_table_of_extras_is_complete():
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \| .+ \|$", readme, re.MULTILINE)
    assert sorted(re.findall(r"[a-z-]+", " ".join(rows))) == sorted(
        PYPROJECT["optional-dependencies"]
    )


def test_the_oldest_releases_are_those_that_are_allowed():
    lines = (PROJECT / ".ci" / "oldest.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    bounds = dict(re.sub(r"\[.*\]", "", each).split(">=") for each in PYPROJECT["dependencies"])
    assert pinned.pop("jaxlib") == pinned["jax"]
    assert pinned.keys() == bounds.keys()
    for name, bound in bounds.items():
        assert f"{pinned[name]}.".startswith(f"{bound}."), name


def test_the_citation_and_the_changes_name_the_version():
    citation = (PROJECT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {stm_jax.__version__}\n" in citation
    changes = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(.+?)\]", changes, re.MULTILINE)
    assert headings[:2] == ["Unreleased", stm_jax.__version__]


def test_every_page_is_in_the_site_s_contents():
    contents = (PROJECT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (PROJECT / "docs").rglob("*.md"):
        assert f": {page.relative_to(PROJECT / 'docs').as_posix()}\n" in contents, page
