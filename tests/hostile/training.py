"""Configurations of training: files that do anything, values that make no sense, no data."""

import contextlib
import dataclasses
import io
import pathlib

import numpy as np
from PIL import Image

from stm_jax.catalogue import answer_of
from stm_jax.commands.train import changed, load_config
from stm_jax.config import TINY
from stm_jax.data.config import DataConfig
from stm_jax.data.sources import Photographs
from stm_jax.study.config import load_study
from stm_jax.train.checks import check_train
from stm_jax.train.config import StageConfig, TrainConfig
from tests.hostile import drawn
from tests.hostile.attempt import Attempt, command, pick

FILES = (
    "def get_config():\n    return 1 / 0\n",
    "1 / 0\n",
    "def get_config(:\n",
    "import a_module_that_is_nowhere\n",
    "import sys\nsys.exit(0)\n",
    "raise SystemExit\n",
    "def get_config():\n    raise SystemExit(3)\n",
    "raise GeneratorExit\n",
    "class Own(BaseException): pass\nraise Own('\\x1b[2J' * 50)\n",
    "get_config = 7\n",
    "def get_config(): return {'steps': 3}\n",
    "def get_config(): pass\n",
    "def get_config(x): return x\n",
    "def get_config(): return 'x' * 10**6\n",
    "def get_config(): raise ValueError('a\\nb' * 10**5)\n",
    "def get_config(): raise ValueError\n",
    "def get_config(): yield 1\n",
    "def get_config(): return get_config()\n",
    "\x00\x01",
    "",
    "# only a comment",
    "\tdef a(): pass",
    "print('hello')\n",
    "class Odd:\n    def __repr__(self): raise RuntimeError\ndef get_config(): return Odd()\n",
    "class Odd(Exception):\n"
    "    def __str__(self): raise RuntimeError\n"
    "def get_config(): raise Odd\n",
    "from stm_jax.train.config import TrainConfig\ndef get_config(): return TrainConfig\n",
    "from stm_jax.train.config import TrainConfig\ndef get_config(): return TrainConfig(None, 3)\n",
    "from stm_jax.train.config import TrainConfig\ndef get_config(): return TrainConfig(1, ())\n",
    "from stm_jax.train.config import TrainConfig\n"
    "def get_config(): return TrainConfig(None, (None,))\n",
)


def data(folder: pathlib.Path) -> pathlib.Path:
    """Writes two photographs with masks."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for index in range(2):
        Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(folder / f"images/{index}.jpg")
        mask = np.zeros((40, 40), np.uint8)
        mask[9:30, 9:30] = 255
        Image.fromarray(mask).save(folder / f"masks/{index}.png")
    return folder


def config_of(folder: pathlib.Path) -> TrainConfig:
    source = DataConfig((Photographs(folder),), size=32, batch_size=2)
    return TrainConfig(TINY, (StageConfig(source, 2, 1e-3, warmup_steps=1),))


def quietly(call):
    """Returns a call whose prints, such as those of a user's own file, go nowhere."""

    def run() -> object:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return call()

    return run


def given_file(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    path = folder / "own.py"
    content = pick(rng, FILES)
    path.write_text(content)
    return Attempt(quietly(lambda: load_config(path)), told=("own.py",))


def given_file_of_bytes(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    path = folder / "own.py"
    good = b"from stm_jax.configs import nothing\n" + rng.bytes(40)
    content = (rng.bytes(60), b"\xff\xfe" + good, b"# -*- coding: no-such -*-\n", good)
    path.write_bytes(pick(rng, content))
    function = pick(rng, ("get_config", "get_study"))
    return Attempt(quietly(lambda: answer_of(path, function)), told=("own.py",))


def given_no_file(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    path = folder / pick(rng, ("own.py", "own.txt", "y" * 300 + ".py", "\x1b[2J.py"))
    if path.name == "own.txt":
        path.write_text(FILES[0])
    elif path.name == "own.py":
        path.mkdir()
    return Attempt(lambda: load_config(path))


def given_file_by_the_command(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    path = folder / "own.py"
    path.write_text(pick(rng, FILES))
    words = ["--config", path, "--data", folder, "--run-folder", folder / "run"]
    return Attempt(lambda: command("train", *words), told=("own.py",))


def given_study(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    path = folder / "own.py"
    bodies = (
        "return 3",
        "return []",
        "return None",
        "return Study((), (), '')",
        "return Study((1, 2), VIDEOS, 'a')",
        "return Study((Variant('a', None), Variant('a', None)), VIDEOS, 'a')",
        "return Study((Variant('../a', Fifo()),), VIDEOS, '../a')",
        "return Study((Variant('', Fifo()),), VIDEOS, '')",
        "return Study((Variant(3, Fifo()),), VIDEOS, 3)",
        "return Study((Variant('a', Fifo(), seeds=(0, 1)),), VIDEOS, 'a')",
        "raise SystemExit(0)",
    )
    head = "from stm_jax.memory import Fifo\nfrom stm_jax.study import Drawn, Study, Variant\n"
    head += "VIDEOS = (Drawn('a', 1),)\n"
    path.write_text(f"{head}def get_study():\n    {pick(rng, bodies)}\n")
    return Attempt(lambda: load_study(path, folder), told=("own.py",))


NUMBERS = {
    "stages.0.steps": (1, 10**9),
    "stages.0.learning_rate": (1e-12, 100.0),
    "stages.0.final_learning_rate": (0.0, 100.0),
    "stages.0.warmup_steps": (0, 1),
    "stages.0.hardest_share": (1e-9, 1.0),
    "stages.0.matching_weight": (0.0, 1e6),
    "stages.0.overlap_weight": (0.0, 1e6),
    "stages.0.data.pasted": (0, 100),
    "stages.0.data.objects": (1, 254),
    "stages.0.data.length": (2, 1000),
    "stages.0.data.size": (16, 4096),
    "stages.0.data.batch_size": (1, 2**16),
    "stages.0.data.first_skip": (0, 10**6),
    "stages.0.data.last_skip": (0, 10**6),
    "stages.0.data.sources.0.weight": (1e-9, 1e6),
    "trunk_factor": (0.0, 100.0),
    "weight_decay": (0.0, 100.0),
    "clip_norm": (1e-9, 1e300),
    "average_decay": (0.0, 0.999999),
    "key_frames": (0, 10**6),
    "accumulate": (1, 2**16),
    "workers": (0, 1024),
    "seed": (0, 2**31 - 1),
    "bad_steps": (1, 10**9),
    "log_every": (1, 10**9),
    "checkpoint_every": (1, 10**9),
    "validate_every": (1, 10**9),
    "model.width": (1, 4096),
    "model.decoder_width": (1, 4096),
}
WHOLE = {name for name, (low, _) in NUMBERS.items() if isinstance(low, int)}


def within_range(name: str, text: str) -> bool:
    low, high = NUMBERS[name]
    try:
        value = int(text) if name in WHOLE else float(text)
    except ValueError:
        return False
    good = low <= value <= high
    if name.endswith("data.size"):
        good = good and value % 16 == 0
    return good and not (name.endswith(".steps") and value < 2)  # one step is of warm-up


def given_number(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """NAME=NUMBER is taken where it is in its range, and else named in one line."""
    name = pick(rng, NUMBERS)
    low, high = NUMBERS[name]
    texts = ["0", "-1", "nan", "inf", "-inf", "1e400", str(10**400), "1_000", " 3", "0x10"]
    texts += ["", "x", "1,2", "None", "True", "1.5", "2e0", "--", "-", "=", "\x1b[2J", "1=2"]
    texts += [str(low), str(high), "16", "0.5", "3", "x" * 3000]
    text = pick(rng, texts)
    config = config_of(data(folder / "data"))

    def right(found: TrainConfig) -> bool:
        value: object = found
        for part in name.split("."):
            value = value[int(part)] if part.isdecimal() else getattr(value, part)
        return value == (int(text) if name in WHOLE else float(text))

    def read() -> TrainConfig:
        found = changed(config, (f"{name}={text}",))
        check_train(found)
        return found

    last = name.rpartition(".")[2].replace("_steps", "")
    told = () if last in ("steps", "weight") else (last.split("_")[0],)
    if within_range(name, text):
        return Attempt(quietly(read), right)
    return Attempt(quietly(read), told=told)


WORDS = (
    "sede=1",
    "seed",
    "=1",
    "",
    "seed=1=2",
    "stages.7.steps=3",
    "stages.x.steps=3",
    "stages.0=3",
    "stages=",
    "model=tiny",
    "model.blocks=1",
    "model.blocks=1,1",
    "model.blocks=a,b,c",
    "model.blocks=1,1000000000,1",
    "model.bottleneck=maybe",
    "freeze=nothing",
    "dtype=float13",
    "dtype=",
    "memory=no-such",
    "memory=fifo,frames=x",
    "memory=fifo,frames=-1",
    "read=slots",
    "read=top-k,k=0",
    "stages.0.data.bad_files=perhaps",
    "stages.0.data.sources.0.folder=/nowhere",
    "stages.0.data.sources=",
    "remat=perhaps",
    "--help",
    "-h",
    "--seed=3",
    "seed.x=3",
    "seed..=3",
    "\x1b[2J=3",
    "x" * 5000 + "=3",
    "seed=" + "9" * 5000,
)


def given_word(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """NAME=VALUE with a name or a value that is none: one line, and no run folder."""
    (folder / "own.py").write_text(
        "import pathlib\n"
        "from stm_jax.config import TINY\n"
        "from stm_jax.data.config import DataConfig, Photographs\n"
        "from stm_jax.train.config import StageConfig, TrainConfig\n"
        "def get_config():\n"
        "    data = DataConfig((Photographs(pathlib.Path('data')),), size=32, batch_size=2)\n"
        "    return TrainConfig(TINY, (StageConfig(data, 2, 1e-3, warmup_steps=1),))\n"
    )
    data(folder / "data")
    word = pick(rng, WORDS)
    words = ["--config", folder / "own.py", "--data", folder, "--run-folder", folder / "run"]
    words += ["--", word] if word.startswith("-") else [word]

    def read() -> object:
        said = command("train", *words)
        assert said.err.count("\n") <= 1, f"more than a line: {said.err[:300]}"
        return said

    return Attempt(read)


def given_type(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """A field of another type, as a configuration file may give it."""
    config = config_of(data(folder / "data"))
    value = pick(rng, (None, "3", [], {}, (1,), b"x", object, float("nan"), 3 + 1j, "x" * 10**4))
    where = pick(rng, ("config", "stage", "data", "source", "model"))
    stage = config.stages[0]
    item = {
        "config": config,
        "stage": stage,
        "data": stage.data,
        "source": stage.data.sources[0],
        "model": config.model,
    }[where]
    field = pick(rng, [f.name for f in dataclasses.fields(item) if f.name not in ("name", "kind")])
    allowed = (
        (value is None and field in ("model", "trunk", "start_from", "last_width"))
        or (value is None and field in ("key_width", "value_width"))
        or (isinstance(value, str) and field in ("start_from", "dtype"))
        or (field in ("start_anew", "freeze", "memory", "read", "validate_on", "held_back"))
    )
    changed_item = dataclasses.replace(item, **{field: value})
    if where == "source":
        stage = dataclasses.replace(
            stage, data=dataclasses.replace(stage.data, sources=(changed_item,))
        )
    elif where == "data":
        stage = dataclasses.replace(stage, data=changed_item)
    elif where == "stage":
        stage = changed_item
    bad = dataclasses.replace(config, stages=(stage,))
    if where == "config":
        bad = changed_item
    elif where == "model":
        bad = dataclasses.replace(config, model=changed_item)
    return Attempt(
        lambda: check_train(bad),
        (lambda _: True) if allowed else None,
        may_refuse=True,
        told=(field.split("_")[0],) if not allowed else (),
    )


def given_no_data(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """Sources that are not there, or hold nothing: refused, and no run folder is left."""
    root = folder / "data"
    for name in pick(rng, ((), ("images",), ("images", "masks"), ("JPEGImages", "Annotations"))):
        (root / name).mkdir(parents=True)
    kind = pick(rng, ("Photographs", "Davis", "YoutubeVos", "Videos", "Coco"))
    if kind == "Coco":
        source = "Coco(pathlib.Path('data/a.json'), pathlib.Path('data'))"
        if root.is_dir() and rng.random() < 0.7:
            contents = ("{}", "[]", '{"images": [], "annotations": []}', "[" * 10**5, "")
            (root / "a.json").write_text(pick(rng, contents))
    else:
        source = f"{kind}(pathlib.Path('data'))"
    (folder / "own.py").write_text(
        "import pathlib\n"
        "from stm_jax.config import TINY\n"
        f"from stm_jax.data.config import DataConfig, {kind}\n"
        "from stm_jax.train.config import StageConfig, TrainConfig\n"
        "def get_config():\n"
        f"    data = DataConfig(({source},), size=32, batch_size=2)\n"
        "    return TrainConfig(TINY, (StageConfig(data, 2, 1e-3, warmup_steps=1),))\n"
    )
    words = ["--config", folder / "own.py", "--data", folder, "--run-folder", folder / "run"]
    return Attempt(lambda: command("train", *words), told=("data",))


def given_damaged_data(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """A source with a file that is none: the file is named, no clip is made of it."""

    root = data(folder / "data")
    file = pick(rng, sorted((root / "masks").iterdir()))
    file.write_bytes(drawn.damaged(rng, file.read_bytes()))
    samples = Photographs(root).photographs()
    sample = next(s for s in samples if s.mask.name == file.name)
    mask = np.zeros((40, 40), bool)
    mask[9:30, 9:30] = True
    return Attempt(
        sample.ids, lambda ids: np.array_equal(ids > 0, mask), may_refuse=True, told=(file.name,)
    )
