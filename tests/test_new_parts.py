"""A new rule, read, similarity, command or data source is a file and a line of the package."""

import os
import pathlib
import shutil
import subprocess
import sys

import stm_jax
from stm_jax.catalogue import PACKAGES, entries
from tests.test_clips import root  # noqa: F401, a fixture

NEW_RULE = '''
import dataclasses

from stm_jax.memory.frame_rule import EveryRule


@dataclasses.dataclass(frozen=True)
class OldestGoes(EveryRule):
    """What is old | is forgotten.

    Source: nobody (2026).

    Attributes:
        patience: How long
            it waits.
    """

    every: int = 3
    patience: float = 2.0
'''
NEW_READ = '''
import dataclasses

from stm_jax.reads.dense import Dense


@dataclasses.dataclass(frozen=True)
class AllAlike(Dense):
    """The mean of everything.

    Source: nobody (2026).
    Gradient: none to speak of.
    Temporary memory: hardly any.
    """
'''
NEW_SIMILARITY = '''
import dataclasses

from stm_jax.similarities.protocol import Similarity


@dataclasses.dataclass(frozen=True)
class Sharpened(Similarity):
    """The dot product, sharpened by a number that is learnt.

    Source: nobody (2026).
    Learns: one number.

    Attributes:
        begin: What it begins as.
    """

    begin: float = 2.0

    def numbers(self):
        return {"sharpness": self.begin}

    def of_query(self, key, learnt):
        return key * learnt["sharpness"]

    def of_memory(self, key, learnt):
        return key
'''
NEW_COMMAND = '''
import dataclasses


@dataclasses.dataclass(frozen=True)
class SayHello:
    """Greet somebody."""

    name: str

    def run(self) -> None:
        """Runs the command."""
        print(f"hello {self.name}")
'''
NEW_SOURCE = '''
import dataclasses
from typing import Literal

from stm_jax.data.samples import Video
from stm_jax.data.sources.protocol import Folder, VideoSource
from stm_jax.data.sources.videos import Videos


@dataclasses.dataclass(frozen=True)
class Backwards(Folder, VideoSource):
    """Videos from their ends."""

    most: int = 100
    kind: Literal["backwards"] = "backwards"

    def check(self) -> None:
        Videos(self.folder).check()

    def videos(self, rule="refuse") -> list[Video]:
        found = Videos(self.folder).videos(rule)[: self.most]
        return [Video(each.name, each.samples[::-1]) for each in found]
'''
RECIPE = """
from pathlib import Path
from stm_jax.config import TINY
from stm_jax.data.config import DataConfig
from stm_jax.data.sources import Backwards
from stm_jax.train import StageConfig, TrainConfig

def get_config():
    data = DataConfig((Backwards(Path(".")),), size=32, batch_size=2)
    return TrainConfig(TINY, (StageConfig(data, 100, 1e-4),))
"""
FED = """
import pathlib, sys
from stm_jax.commands.train import changed, load_config, with_root
from stm_jax.data.pipeline import list_sources
from stm_jax.train.checks import check_train
root = pathlib.Path(sys.argv[1])
config = load_config(root / "recipe.py")
config = with_root(changed(config, ("stages.0.data.sources.0.most=1",)), root)
check_train(config)
(video,) = list_sources(config.stages[0].data)[1][0]
print(video.name, video.samples[0].image.name)
import prepare_data, tyro
words = ["--out", "x", "--name", "y", "backwards", "--folder", str(root)]
print(tyro.cli(prepare_data.Options, args=words).source.kind)
"""
ASKED = """
import sys
from stm_jax import catalogue
print(catalogue.help_of("memory"), catalogue.help_of("read"), sep="\\n")
print(catalogue.help_of("similarity"))
for package in (catalogue.RULES, catalogue.READS, catalogue.SIMILARITIES):
    print(catalogue.table_of(package))
assert "jax" not in sys.modules, "the help waits for JAX"
from stm_jax.study.variants import VARIANTS
print(catalogue.chosen(("oldest-goes", "patience=3"), ("all-alike",), 5))
print(*VARIANTS, sep="\\n")
import dataclasses
from stm_jax.config import TINY
from stm_jax.weights.pytorch import variable_shapes
sharpened = dataclasses.replace(TINY, similarity=("sharpened", "begin=3"))
print(*(variable_shapes(sharpened).keys() - variable_shapes(TINY).keys()))
from stm_jax.cli import main
main(["say-hello", "--name", "you"])
"""


def test_a_new_rule_read_similarity_or_command_is_a_file_and_a_line(tmp_path):
    package = tmp_path / "stm_jax"
    shutil.copytree(
        pathlib.Path(stm_jax.__file__).parent, package, ignore=shutil.ignore_patterns("assets")
    )
    for folder, module, name, text in (
        ("memory/rules", "oldest_goes", "OldestGoes", NEW_RULE),
        ("reads", "all_alike", "AllAlike", NEW_READ),
        ("similarities", "sharpened", "Sharpened", NEW_SIMILARITY),
        ("commands", "say_hello", "SayHello", NEW_COMMAND),
    ):
        (package / folder / f"{module}.py").write_text(text)
        with (package / folder / "__init__.py").open("a") as listed:
            dotted = f"stm_jax.{folder.replace('/', '.')}.{module}"
            listed.write(f"from {dotted} import {name} as {name}\n")
    done = subprocess.run(
        [sys.executable, "-c", ASKED],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    knobs = "frames=5 every=3 patience=2"
    assert f"oldest-goes {knobs}: What is old | is forgotten. Source: nobody (2026)." in told
    assert "all-alike: The mean of everything. Source: nobody (2026)." in told
    frames, every = next(
        e for e in entries(*PACKAGES["memory"]) if e.name == "fifo"
    ).meanings.values()
    assert (
        "| `oldest-goes` | What is old \\| is forgotten. | nobody (2026) | "
        f"`frames=5` {frames}<br>`every=3` {every}<br>`patience=2` How long it waits. |"
    ) in told
    row = (
        "| `all-alike` | The mean of everything. | none to speak of | hardly any | nobody (2026) |"
    )
    assert f"{row} - |" in told
    sharpened = "The dot product, sharpened by a number that is learnt."
    assert f"sharpened begin=2: {sharpened} Source: nobody (2026)." in told
    row = f"| `sharpened` | {sharpened} | one number | nobody (2026) |"
    assert f"{row} `begin=2` What it begins as. |" in told
    assert "params/similarity/sharpness" in told
    named = [line.partition(", similarity=()")[0] for line in told]
    rule = "OldestGoes(frames=5, every=3, patience={})"
    assert f"({rule.format('3.0')}, AllAlike())" in told
    assert f"Variant(name='oldest-goes', memory={rule.format('2.0')}, read=None" in named
    assert "Variant(name='stm-all-alike', memory=EveryNth(n=5), read=AllAlike()" in named
    assert told[-1] == "hello you"


def test_a_new_data_source_is_a_file_and_a_line(tmp_path, root):  # noqa: F811
    package = tmp_path / "stm_jax"
    shutil.copytree(
        pathlib.Path(stm_jax.__file__).parent, package, ignore=shutil.ignore_patterns("assets")
    )
    (package / "data/sources/backwards.py").write_text(NEW_SOURCE)
    with (package / "data/sources/__init__.py").open("a") as listed:
        listed.write("from stm_jax.data.sources.backwards import Backwards as Backwards\n")
    (root / "recipe.py").write_text(RECIPE)
    tools = pathlib.Path(__file__).parent.parent / "tools"
    done = subprocess.run(
        [sys.executable, "-c", FED, str(root)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (tmp_path, tools)))},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["one 00009.jpg", "backwards"]
