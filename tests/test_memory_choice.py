"""A memory, a read and a similarity by words, and what of them is noted in a run's settings."""

import dataclasses
import json
import math
import pathlib
import re
import subprocess
import sys

import pytest

import stm_jax.infer.averaged
from stm_jax import catalogue, memory, reads, similarities
from stm_jax.catalogue import (
    PACKAGES,
    READS,
    RULES,
    SIMILARITIES,
    STORES,
    chosen,
    chosen_similarity,
    entries,
    help_of,
    noted,
)
from stm_jax.cli import main
from stm_jax.errors import InputError
from stm_jax.infer.averaged import AveragedSegmenter
from stm_jax.memory import Confident, EveryNth, Fifo, XMem
from stm_jax.memory.protocol import Memory
from stm_jax.reads import Dense, Kernelized, Regional, TopK
from stm_jax.reads.protocol import Read
from stm_jax.similarities import Cosine, NegativeL2
from stm_jax.similarities.protocol import Similarity
from stm_jax.study.variants import VARIANTS
from tests.test_clips import root  # noqa: F401, a fixture

MEMORIES, ALL_READS, ALL_SIMILARITIES = (entries(*packages) for packages in PACKAGES.values())
GUIDE = pathlib.Path(__file__).parent.parent / "docs" / "research_kit.md"

OWN = """
import dataclasses
from stm_jax.memory.rules import Fifo

@dataclasses.dataclass(frozen=True)
class Mine(Fifo):
    frames: int = 3
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("fifo frames=8", Fifo(8)),
        ("Fifo every=2 frames=8", Fifo(8, 2)),
        ("every-nth n=3", EveryNth(3)),
        ("confident threshold=1", Confident(threshold=1.0)),
        ("XMem fewest-frames=2", XMem(fewest_frames=2)),
    ],
)
def test_a_memory_by_its_name_and_knobs(words, expected):
    kept, read = chosen(words.split(), (), 5)
    assert kept == expected and type(kept) is type(expected) and read is None
    knobs = vars(kept).values()
    assert [type(knob) for knob in knobs] == [type(knob) for knob in vars(expected).values()]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("dense", Dense()),
        ("top-k k=3", TopK(3)),
        ("kernelized sigma=inf", Kernelized(math.inf)),
        ("regional zeroed=true margin=2", Regional(2.0, True)),
    ],
)
def test_a_read_by_its_name_and_knobs(words, expected):
    assert chosen((), words.split(), 5) == (EveryNth(5), expected)


def test_a_similarity_by_its_name_and_knobs():
    assert chosen_similarity(("NegativeL2",)) == chosen_similarity(("negative-l2",)) == NegativeL2()
    assert chosen_similarity(("cosine", "temperature=0.05")) == Cosine(0.05)
    for words, line in (
        (("l2",), "--similarity l2: there is dot-product, negative-l2, .*, or FILE.py:CLASS"),
        (("cosine", "temperature=0"), r"cosine: the temperature must be at least 0\.01, not 0"),
        (("negative-l2", "k=3"), "k=3 is none of its knobs; it has no knobs"),
    ):
        with pytest.raises(InputError, match=line):
            chosen_similarity(words)


def test_without_words_it_is_stms_rule():
    assert chosen((), (), 3) == (EveryNth(3), None)


@pytest.mark.parametrize(
    ("memory", "read", "every", "line"),
    [
        ("fifi", "", 5, "--memory fifi: there is every-nth, previous, .*, or FILE.py:CLASS"),
        ("fifo room=8", "", 5, "--memory fifo: room=8 is none of its knobs; it has frames=..."),
        ("fifo 8", "", 5, "--memory fifo: 8 is none of its knobs"),
        ("fifo frames=8.5", "", 5, "--memory fifo: frames=8.5 is no int"),
        ("fifo frames=1", "", 5, "--memory fifo: the memory must have room for 2 frames"),
        ("fifo", "", 3, "leave it out beside --memory"),
        ("", "regional zeroed=7", 5, "--read regional: zeroed=7 is neither true nor false"),
        ("", "dense k=7", 5, "k=7 is none of its knobs; it has no knobs"),
        ("xmem", "window", 5, "--read window looks at places in frames: xmem keeps none"),
        ("none.py:Mine", "", 5, "none.py is no Python file"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line(memory, read, every, line):
    with pytest.raises(InputError, match=line):
        chosen(memory.split(), read.split(), every)


def test_a_rule_of_ones_own(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    mine, _ = chosen((f"{file}:Mine", "every=2"), (), 5)
    assert isinstance(mine, Fifo) and (mine.frames, mine.every) == (3, 2)
    before = noted(mine)
    assert before["type"] == "Mine"
    file.write_text(OWN + "# changed\n")
    assert noted(chosen((f"{file}:Mine", "every=2"), (), 5)[0]) != before
    file.write_text(OWN + "OBJECT = Mine(frames=7)\n")
    assert chosen((f"{file}:OBJECT",), (), 5)[0].frames == 7
    mine, _ = chosen((f"{file}:OBJECT", "every=2"), (), 5)
    assert (mine.frames, mine.every) == (7, 2)
    with pytest.raises(InputError, match="the file has no Yours"):
        chosen((f"{file}:Yours",), (), 5)
    file.write_text("1 / 0")
    with pytest.raises(InputError, match="cannot be run at line 1: ZeroDivisionError"):
        chosen((f"{file}:Mine",), (), 5)


def test_the_note_tells_knobs_apart_and_survives_json():
    assert noted(Fifo(8)) == {"type": "Fifo", "frames": 8, "every": 5}
    assert noted(None) is None and noted(Dense()) == {"type": "Dense"}
    for choice in (Kernelized(math.inf), *(variant.memory for variant in VARIANTS)):
        note = noted(choice)
        assert json.loads(json.dumps(note, allow_nan=False)) == note


@pytest.mark.parametrize("command", ["segment", "benchmark-dataset", "attention", "demo"])
def test_help_names_every_memory_read_and_similarity(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    words = set(re.split(r"[^a-z0-9-]+", capsys.readouterr().out))
    named = {entry.name for entry in (*MEMORIES, *ALL_READS, *ALL_SIMILARITIES)}
    assert named <= words


@pytest.mark.parametrize("option", PACKAGES)
def test_what_is_read_in_a_file_is_what_its_class_has(option):
    for entry, line in zip(entries(*PACKAGES[option]), help_of(option).splitlines(), strict=True):
        fields = dataclasses.fields(entry.kind)
        shown = [f"{f.default:g}" if isinstance(f.default, float) else f.default for f in fields]
        knobs = {f.name: str(value).lower() for f, value in zip(fields, shown, strict=True)}
        assert entry.knobs == knobs
        assert entry.meanings.keys() >= knobs.keys() and all(entry.meanings.values())
        assert entry.summary == entry.kind.__doc__.splitlines()[0]
        more = {"read": {"Gradient"}, "similarity": {"Learns"}}.get(option, set())
        assert entry.facts.keys() >= {"Source"} | more
        assert line.startswith(
            " ".join((entry.name, *(f"{k}={v}" for k, v in knobs.items()))) + ": "
        )
        assert entry.summary in line and entry.facts["Source"] in line


@pytest.mark.parametrize("package", [RULES, STORES, READS, SIMILARITIES])
def test_the_research_kit_has_the_tables_that_are_made(package):
    table = catalogue.table_of(package)
    assert f"\n\n{table}\n\n" in GUIDE.read_text(), "python tools/kit_tables.py writes it"
    assert len(table.splitlines()) == 2 + len(entries(package))


def test_the_variants_are_every_memory_and_then_every_read():
    names = [variant.name for variant in VARIANTS]
    assert names == [
        *("stm", "previous", "first", "first-previous", "evenly-spread", "fifo", "annotated"),
        *("recent", "confident", "least-used", "ucb", "diverse", "dam4sam", "samurai"),
        *("reservoir", "random-frame", "xmem", "xmem-top-k", "afb-urr", "swift-net"),
        *("stm-dense", "stm-chunked", "stm-top-k", "stm-kernelized", "stm-regional", "stm-window"),
    ]
    # `Livos` reads what the bundled weights were not trained for.
    untrained = {e.kind for e in MEMORIES if e.kind.own_read is None}
    assert {type(variant.memory) for variant in VARIANTS} == untrained
    # `Slots` is the default of frames, which None stands for.
    assert {type(v.read) for v in VARIANTS} - {type(None)} == {
        e.kind for e in ALL_READS if e.name != "slots"
    }


FOLDERS = tuple(
    f"stm_jax.{package.replace('/', '.')}." for package in (RULES, STORES, READS, SIMILARITIES)
)


def test_every_memory_read_and_similarity_of_the_package_can_be_chosen():
    found, waiting = set(), [Memory, Read, Similarity]
    while waiting:
        waiting += (kinds := waiting.pop().__subclasses__())
        found |= {kind for kind in kinds if kind.__module__.startswith(FOLDERS)}
    assert found == {entry.kind for entry in (*MEMORIES, *ALL_READS, *ALL_SIMILARITIES)}


def test_they_are_public_names():
    assert all(getattr(memory, entry.class_name) is entry.kind for entry in MEMORIES)
    assert all(getattr(reads, entry.class_name) is entry.kind for entry in ALL_READS)
    assert all(getattr(similarities, e.class_name) is e.kind for e in ALL_SIMILARITIES)


def test_averaging_passes_them_on(monkeypatch):
    seen = []

    class Stream:
        def __init__(self, model, memorize_every, **options):
            seen.append((options["memory"], options["read"]))

        def start(self, *arguments, **options):
            return None

    monkeypatch.setattr(stm_jax.infer.averaged, "Segmenter", Stream)
    averaged = AveragedSegmenter(None, memory=Fifo(8), read=Dense(), flip=True)  # type: ignore
    averaged.start([[0]], [[1]])  # type: ignore
    assert seen == [(Fifo(8), Dense())] * 2


def test_the_command_line_does_not_wait_for_jax():
    program = "import sys, stm_jax.cli; assert not {'jax', 'flax'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("class Mine:\n    pass\n", "is no Memory: derive it from"),
        ("class Mine:\n    def __init__(self):\n        1 / 0\n", "division by zero"),
        ("Mine = 5\n", "own.py:Mine"),
        ("import sys\nsys.exit(0)\n", "leaves the program"),
    ],
)
def test_a_class_of_ones_own_that_is_no_memory(tmp_path, content, told):
    (tmp_path / "own.py").write_text(content)
    with pytest.raises(InputError, match=told):
        chosen((f"{tmp_path / 'own.py'}:Mine",), (), 5)


def test_nothing_is_written_beside_a_file_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (tmp_path / "mine.py").write_text("from stm_jax.memory import Fifo\nMEMORY = Fifo(frames=3)\n")
    memory, _ = chosen((f"{tmp_path / 'mine.py'}:MEMORY",), (), 5)
    assert memory == Fifo(frames=3)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]
