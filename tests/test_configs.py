"""Every configuration loads, can be changed from the command line, and is readable as JSON."""

import dataclasses
import json
import pathlib

import pytest

from stm_jax.commands.train import changed, load_config, with_root
from stm_jax.data.pipeline import training_clips
from stm_jax.data.sources import Davis, Videos, YoutubeVos
from stm_jax.errors import InputError
from stm_jax.study.config import load_study
from stm_jax.train.config import TrainConfig
from stm_jax.train.validation import Validation
from tests.conftest import PROJECT
from tests.test_clips import root  # noqa: F401

STUDIES = sorted((PROJECT / "configs").glob("study_*.py"))
CONFIGS = sorted(set((PROJECT / "configs").glob("*.py")) - set(STUDIES))


def named(name: str) -> TrainConfig:
    return load_config(PROJECT / "configs" / f"{name}.py")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_loads_and_says_how_it_is_run(path: pathlib.Path):
    config = with_root(load_config(path), pathlib.Path("DIR"))
    assert f"--config configs/{path.name}" in path.read_text()
    for stage in config.stages:
        assert stage.data.size % 16 == 0
        assert sum(source.weight for source in stage.data.sources) > 0
    text = json.dumps(dataclasses.asdict(config), default=str)
    kinds = [source["kind"] for source in json.loads(text)["stages"][-1]["data"]["sources"]]
    assert kinds == [source.kind for source in config.stages[-1].data.sources]
    assert text.count("DIR") >= len(kinds)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_loads_and_says_how_it_is_run(path: pathlib.Path, root: pathlib.Path):  # noqa: F811
    assert f"stm-jax study configs/{path.name}" in path.read_text()
    (root / "data").mkdir()
    for name in ("duts-tr-subset", "davis2016-train"):
        (root / "data" / name).symlink_to(root)
    load_study(path, root)


def test_the_papers_recipe():
    for name in ("davis_main", "youtube_vos_main"):
        config = named(name)
        assert config.weight_decay == 0
        assert len(config.stages) == 2
        for stage in config.stages:
            assert (stage.learning_rate, stage.final_learning_rate) == (1e-5, 1e-5)
            assert (stage.data.size, stage.data.batch_size, stage.data.length) == (384, 4, 3)
        assert (stage.data.first_skip, stage.data.last_skip) == (0, 25)
    kinds = [type(source) for source in named("davis_main").stages[-1].data.sources]
    assert kinds == [YoutubeVos, Davis]


def test_tiny_makes_batches_in_both_stages(root: pathlib.Path):  # noqa: F811
    for stage in with_root(named("tiny"), root).stages:
        batch = next(training_clips(stage.data, seed=0, steps=stage.steps))
        assert batch["frames"].shape == (2, 3, 32, 32, 3)
        assert batch["masks"].shape == (2, 3, 32, 32)


def test_a_source_is_changed_from_the_command_line(capsys: pytest.CaptureFixture):
    config = changed(
        named("davis_main"),
        ("stages.1.data.sources.1.weight=0.25", "stages.1.data.bad_files=skip", "seed=4"),
    )
    data = config.stages[1].data
    assert data.sources == (
        YoutubeVos(pathlib.Path("youtube-vos/train"), weight=3.0),
        Davis(pathlib.Path("DAVIS"), weight=0.25),
    )
    assert (data.bad_files, config.seed) == ("skip", 4)
    with pytest.raises(InputError, match=r"perhaps you meant .*sources\.1\.weight"):
        changed(config, ("stages.1.data.sources.1.wight=1",))


def test_validation_finds_its_sequences(root: pathlib.Path, tmp_path: pathlib.Path):  # noqa: F811
    config = with_root(named("tiny"), root)
    stages = [
        dataclasses.replace(s, data=dataclasses.replace(s.data, held_back=("two",)))
        for s in config.stages
    ]
    config = dataclasses.replace(config, stages=tuple(stages), validate_on=("two",))
    Validation(config, tmp_path)
    with pytest.raises(InputError, match="stage 2 trains on one"):
        Validation(dataclasses.replace(config, validate_on=("one",)), tmp_path)
    data = dataclasses.replace(stages[1].data, held_back=("three",), sources=(Videos(root),))
    last = dataclasses.replace(stages[1], data=data)
    missing = dataclasses.replace(config, stages=(last,), validate_on=("three",))
    with pytest.raises(InputError, match=r"no sequence three in"):
        Validation(missing, tmp_path)
    with pytest.raises(InputError, match="the last stage has no videos"):
        Validation(dataclasses.replace(config, stages=(stages[0],)), tmp_path)
