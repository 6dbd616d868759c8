"""Values of the commands' options, and the words of --memory and --read."""

import dataclasses
import pathlib

import numpy as np

import stm_jax.memory as memories
import stm_jax.reads as reads
from stm_jax.catalogue import chosen, entries
from stm_jax.memory.protocol import Memory
from tests.benchmark_trees import davis2017
from tests.hostile.attempt import Attempt, command, pick

LARGE = "1" + "0" * 400
NUMBERS = ("0", "-1", "nan", "inf", "1e400", "1e8", LARGE, "x", "", "1,2", "\x1b[2J")
PACKAGES = {
    "--memory": ("memory/rules", "memory/stores"),
    "--read": ("reads",),
}


def given_number(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """A number that makes no sense, told before anything is loaded or written."""
    davis2017(folder / "data", {"a": (2, 24, 32, (1,))})
    root, out = folder / "data", folder / "out"
    frames, mask = root / "JPEGImages/480p/a", root / "Annotations/480p/a/00000.png"
    number = pick(rng, NUMBERS)
    bench = ["benchmark-dataset", root, "--protocol", "davis2017", "--out", out]
    segment = ["segment", frames, "--mask", mask, "--out", out]
    draw = ["attention", frames, "--mask", mask, "--out", folder / "a.png"]
    words = pick(
        rng,
        (
            [*bench, f"--size={number}"],
            [*bench, f"--scales={number}"],
            [*bench, "--scales", "1", number],
            [*bench, f"--devices={number}"],
            [*bench, f"--heat-maps={'-1' if number == '0' else number}"],
            [*bench, f"--memorize-every={number}"],
            [*segment, f"--size={number}"],
            [*segment, f"--memorize-every={number}"],
            [*segment, f"--dtype={number}"],
            [*draw, f"--frame={number}", "--pixel", "1", "1"],
            [*draw, "--frame", "1", "--pixel", number, "99999"],
            [*draw, "--frame", "1", "--pixel", "1", "1", f"--object={number}"],
        ),
    )
    return Attempt(lambda: command(*words))


def given_command(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    names = ("segment", "benchmark-dataset", "evaluate", "compare", "convert", "train", "study")
    words = pick(
        rng,
        (
            ["x" * 5000],
            [pick(rng, names)],
            [pick(rng, names), "--no-such-option"],
            [pick(rng, names), folder / "gone"],
            ["export", folder / "run"],
            ["convert", folder / "gone.pth", folder / "out.xyz"],
            ["convert", folder / "gone.pth", folder / "out.pth", "--dtype", "float16"],
            ["convert", folder / "gone.safetensors", folder / "gone.safetensors"],
            ["convert", folder / "gone.pth", folder / "no" / "out.pth"],
            ["compare", folder / "gone.json"],
            ["evaluate", folder, "--dataset", folder, "--protocol", "folder"],
            ["evaluate", folder, "--dataset", folder / "\x1b[2J", "--protocol", "folder"],
            ["segment", folder / "gone.mp4", "--mask", folder / "m.png", "--out", folder / "out"],
            ["benchmark-dataset", folder, "--protocol", "x", "--out", folder / "out"],
        ),
    )
    return Attempt(lambda: command(*words))


def knobs(rng: np.random.Generator, option: str) -> tuple[str, list[str]]:
    entry = pick(rng, entries(*PACKAGES[option]))
    values = (
        "-1",
        "0",
        "nan",
        "inf",
        "1e400",
        str(10**20),
        "x",
        "",
        "true",
        "None",
        "(1,2)",
        "3.5",
    )
    values += ("__import__('os')", "[" * 300, "\x1b[2J", "y" * 3000, "1e-300", "2", "16", "0.5")
    changes = [f"{knob}={pick(rng, values)}" for knob in entry.knobs if rng.random() < 0.6]
    extra = ("no_such=1", "novalue", "=", "", "__class__=3", "\x1b[2J=1")
    return entry.name, changes + ([pick(rng, extra)] if rng.random() < 0.2 else [])


def given_knobs(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """A knob is of its type and finite where it must be, or named."""
    option = pick(rng, PACKAGES)
    name, changes = knobs(rng, option)
    words = [name, *changes]

    def read() -> tuple:
        return chosen(words, (), 5) if option == "--memory" else chosen((), words, 5)

    def right(found: tuple) -> bool:
        item = found[0] if option == "--memory" else found[1]
        values = {f.name: (getattr(item, f.name), f.default) for f in dataclasses.fields(item)}
        given = dict(change.partition("=")[::2] for change in changes)
        for knob, (value, default) in values.items():
            if knob not in given:
                continue
            number = isinstance(default, int | float) and not isinstance(default, bool)
            if number and (type(value) is not type(default) or value != type(default)(given[knob])):
                return False
        return isinstance(item, Memory) or callable(item)

    return Attempt(read, right, may_refuse=True, told=(name,))


def given_default_knobs(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """The words that --help shows are taken, and give the defaults."""
    option = pick(rng, PACKAGES)
    entry = pick(rng, entries(*PACKAGES[option]))
    spelled = pick(rng, (str.upper, str.title, lambda t: t.replace("-", "_"), str))
    words = [spelled(entry.name), *(f"{knob}={value}" for knob, value in entry.knobs.items())]
    home = memories if option == "--memory" else reads
    expected = getattr(home, entry.class_name)()
    if option == "--memory":
        return Attempt(lambda: chosen(words, (), 5)[0], lambda found: found == expected)
    return Attempt(lambda: chosen((), words, 5)[1], lambda found: found == expected)


OWN = (
    "class Mine: pass\n",
    "Mine = 3\n",
    "Mine = None\n",
    "def Mine(): raise ValueError\n",
    "import dataclasses\n@dataclasses.dataclass\nclass Mine:\n    k: int = 3\n",
    "import dataclasses\n@dataclasses.dataclass\nclass Mine:\n    k: int\n",
    "class Mine:\n    def __init__(self): raise KeyboardInterrupt\n".replace("KeyboardI", "I"),
    "class Mine:\n    def __init__(self): raise ValueError('\\x1b[2J' * 300)\n",
    "1 / 0\n",
    "def (\n",
    "import sys; sys.exit(0)\n",
)


def given_own_file(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    path = folder / "own.py"
    path.write_text(pick(rng, OWN))
    name = pick(rng, ("Mine", "Mine", "Other", "", "__doc__"))
    words = [f"{path}:{name}", *pick(rng, ((), ("k=4",), ("nothing=4",)))]
    if rng.random() < 0.7:
        return Attempt(lambda: chosen(words, (), 5), told=("own.py",))
    return Attempt(lambda: chosen((), words, 5), lambda found: callable(found[1]), may_refuse=True)


def given_random_words(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    letters = "abk=.,-_ \x1b[]\0/:py\u732b1"
    words = [
        "".join(letters[i] for i in rng.integers(0, len(letters), int(rng.integers(0, 12))))
        for _ in range(int(rng.integers(1, 4)))
    ]
    if rng.random() < 0.5:
        return Attempt(lambda: chosen(words, (), 5))
    return Attempt(lambda: chosen((), words, 5))
