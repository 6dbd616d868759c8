"""What a configuration must be, and what a user's Python file may do: told before any work."""

import dataclasses
import pathlib

import pytest

from stm_jax.catalogue import answer_of
from stm_jax.checks import check_model
from stm_jax.commands.train import changed, load_config, with_root
from stm_jax.config import TINY
from stm_jax.data.config import DataConfig
from stm_jax.data.sources import Coco, Davis, Photographs, Videos, YoutubeVos
from stm_jax.errors import InputError
from stm_jax.train.checks import check_train
from stm_jax.train.config import StageConfig, TrainConfig
from stm_jax.train.loop import fit
from tests.test_clips import root  # noqa: F401

WRONG = (
    *("stages.0.steps=0", "stages.0.steps=-3", "stages.0.steps=1", "stages.0.steps=10000000000"),
    *("stages.0.learning_rate=nan", "stages.0.learning_rate=-1", "stages.0.learning_rate=0"),
    *("stages.0.final_learning_rate=inf", "stages.0.warmup_steps=-1", "stages.0.warmup_steps=9"),
    *("stages.0.hardest_share=nan", "stages.0.hardest_share=0", "stages.0.hardest_share=1.5"),
    *("stages.0.matching_weight=-1", "stages.0.overlap_weight=inf"),
    *("stages.0.data.length=1", "stages.0.data.size=33", "stages.0.data.size=0"),
    *("stages.0.data.batch_size=0", "stages.0.data.objects=0", "stages.0.data.objects=255"),
    *("stages.0.data.last_skip=-1", "stages.0.data.first_skip=-1", "stages.0.data.pasted=-1"),
    *("stages.0.data.sources.0.weight=nan", "stages.0.data.sources.0.weight=0"),
    *("average_decay=1", "average_decay=2", "average_decay=nan", "clip_norm=0", "clip_norm=nan"),
    *("weight_decay=inf", "weight_decay=-1", "trunk_factor=nan", "accumulate=0", "bad_steps=0"),
    *("workers=-1", "dtype=float13", "key_frames=-1", "log_every=0", "checkpoint_every=0"),
    *("validate_every=0", "seed=-1", f"seed={10**400}", "read=slots", "memory=no-such"),
    *("model.width=0", "model.width=1000000000", "model.blocks=1,1000000000,1"),
)


def config_of(folder: pathlib.Path) -> TrainConfig:
    data = DataConfig((Photographs(folder),), size=32, batch_size=2)
    stage = StageConfig(data, steps=2, learning_rate=1e-3, warmup_steps=1)
    return TrainConfig(TINY, (stage,))


@pytest.mark.parametrize("change", WRONG, ids=lambda change: change[:40])
def test_a_value_that_makes_no_sense_is_named(root: pathlib.Path, change: str):  # noqa: F811
    config = config_of(root)
    check_train(config)
    name = change.partition("=")[0].rpartition(".")[2]
    name = {"weight": "sources", "steps": r"(warmup_)?steps"}.get(name, name)
    with pytest.raises(InputError, match=f"{name}.* ") as error:
        check_train(changed(config, (change,)))
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("steps", "3", r"stages\.0\.steps is '3': give an integer"),
        ("steps", True, r"stages\.0\.steps is True: give an integer"),
        ("learning_rate", None, r"stages\.0\.learning_rate is None: give a number"),
        ("data", {}, r"stages\.0\.data is {}: give a DataConfig"),
    ],
)
def test_a_value_of_another_type_is_named(root, name, value, told):  # noqa: F811
    config = config_of(root)
    stage = dataclasses.replace(config.stages[0], **{name: value})
    with pytest.raises(InputError, match=told):
        check_train(dataclasses.replace(config, stages=(stage,)))


def test_no_stages_and_wrong_words(root: pathlib.Path):  # noqa: F811
    config = config_of(root)
    with pytest.raises(InputError, match="stages is empty"):
        check_train(dataclasses.replace(config, stages=()))
    with pytest.raises(InputError, match=r"freeze\.0 is 'trunk': give trunks or query-trunk"):
        check_train(dataclasses.replace(config, freeze=("trunk",)))
    with pytest.raises(InputError, match=r"model\.blocks is .1, 2.: give a tuple of 3"):
        check_model(dataclasses.replace(TINY, blocks=(1, 2)))


@pytest.mark.parametrize("kind", [Photographs, Davis, YoutubeVos, Videos])
@pytest.mark.parametrize("made", [(), ("images", "masks", "JPEGImages", "Annotations")])
def test_data_that_is_not_there_leaves_no_run_behind(tmp_path, kind, made):
    for name in made:
        (tmp_path / "data" / name).mkdir(parents=True)
    data = DataConfig((kind(tmp_path / "data"),), size=32)
    stage = StageConfig(data, steps=2, learning_rate=1e-3, warmup_steps=1)
    with pytest.raises(InputError, match="data"):
        fit(TrainConfig(TINY, (stage,)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_annotations_that_are_not_there(tmp_path):
    data = DataConfig((Coco(tmp_path / "a.json", tmp_path),), size=32)
    stage = StageConfig(data, steps=2, learning_rate=1e-3, warmup_steps=1)
    with pytest.raises(InputError, match=r"a\.json: no such file"):
        check_train(TrainConfig(TINY, (stage,)))


def test_a_mask_that_lacks_leaves_no_run_behind(root, tmp_path):  # noqa: F811
    (root / "masks/b.png").unlink()
    with pytest.raises(InputError, match=r"b\.jpg has no mask"):
        fit(config_of(root), tmp_path / "run")
    assert not (tmp_path / "run").exists()


FILES = {
    "raises": ("def get_config():\n    return 1 / 0\n", "at line 2: ZeroDivisionError"),
    "raises at once": ("colour = palette['red']\n", "at line 1: NameError"),
    "syntax": ("def get_config(:\n", "at line 1: SyntaxError"),
    "a module that is nowhere": ("import a_module_that_is_nowhere\n", "ModuleNotFoundError"),
    "exit": ("import sys\nsys.exit(0)\n", r"leaves the program \(SystemExit\(0\)\)"),
    "exit inside": ("def get_config():\n    raise SystemExit\n", "leaves the program"),
    "no function": ("get_config = 7\n", r"has no get_config\(\)"),
    "something else": ("def get_config():\n    return {'steps': 3}\n", "return a TrainConfig"),
    "nothing": ("def get_config():\n    pass\n", "returns None: return a TrainConfig"),
    "no text": ("\x00\x01", "SyntaxError"),
    "a long text": ("raise ValueError('a' * 10**6)\n", "ValueError: aaa"),
}


@pytest.mark.parametrize(("content", "told"), FILES.values(), ids=FILES)
def test_a_file_with_a_mistake_is_one_line(tmp_path, content, told):
    (tmp_path / "own.py").write_text(content)
    with pytest.raises(InputError, match=rf"own\.py.*{told}") as error:
        load_config(tmp_path / "own.py")
    assert len(str(error.value)) < 400


def test_a_file_may_print(tmp_path):
    (tmp_path / "own.py").write_text("print('hello')\ndef get_study():\n    return 3\n")
    assert answer_of(tmp_path / "own.py", "get_study") == 3


def test_the_paths_of_a_configuration_are_below_a_root(root):  # noqa: F811
    config = with_root(config_of(pathlib.Path(".")), root)
    check_train(config)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("seed=abc", "seed is 'abc': give an integer"),
        ("seed=" + "9" * 5000, "seed is '999"),
        ("stages.0.steps=1.5", r"stages\.0\.steps is '1\.5': give an integer"),
        ("sede=1", "has no sede: perhaps you meant seed"),
        ("stages.7.steps=1", r"has no stages\.7\.steps: perhaps you meant stages\.0\.steps"),
        ("stages=3", "stages is '3': give a tuple"),
        ("seed", "seed is no change of the configuration"),
        ("help=1", "has no help"),
    ],
)
def test_a_change_that_is_none_is_one_line(root, capsys, change, told):  # noqa: F811
    with pytest.raises(InputError, match=told) as error:
        changed(config_of(root), (change,))
    assert len(str(error.value)) < 300 and capsys.readouterr().err == ""


def test_an_error_that_cannot_be_shown(tmp_path):
    text = "class Odd(Exception):\n    def __str__(self): raise OSError\nraise Odd\n"
    (tmp_path / "own.py").write_text(text)
    with pytest.raises(InputError, match="Odd: an error that cannot be shown"):
        load_config(tmp_path / "own.py")
