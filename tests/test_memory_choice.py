"""Choosing a memory and a read by words, and what of them is noted in a run's settings."""

import dataclasses
import json
import math
import pathlib
import re
import subprocess
import sys

import pytest

import stm_jax.infer.averaged
from stm_jax import catalogue as memory_choice
from stm_jax.benchmark.variant_list import VARIANTS
from stm_jax.catalogue import MEMORIES, READS, chosen, name_of, noted
from stm_jax.cli import main
from stm_jax.errors import InputError
from stm_jax.infer.averaged import AveragedSegmenter
from stm_jax.memory.rules.confident import Confident
from stm_jax.memory.rules.every_nth import EveryNth
from stm_jax.memory.rules.fifo import Fifo
from stm_jax.memory.stores.xmem import XMem
from stm_jax.reads.dense import read_dense
from stm_jax.reads.kernelized import Kernelized
from stm_jax.reads.regional import Regional
from stm_jax.reads.top_k import TopK

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
    memory, read = chosen(words.split(), (), 5)
    assert memory == expected and type(memory) is type(expected) and read is None
    knobs = vars(memory).values()
    assert [type(knob) for knob in knobs] == [type(knob) for knob in vars(expected).values()]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("dense", read_dense),
        ("top-k k=3", TopK(3)),
        ("kernelized sigma=inf", Kernelized(math.inf)),
        ("regional zeroed=true margin=2", Regional(2.0, True)),
    ],
)
def test_a_read_by_its_name_and_knobs(words, expected):
    assert chosen((), words.split(), 5) == (EveryNth(5), expected)


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
    memory, _ = chosen((f"{file}:Mine", "every=2"), (), 5)
    assert isinstance(memory, Fifo) and (memory.frames, memory.every) == (3, 2)
    before = noted(memory)
    assert before["type"] == "Mine"
    file.write_text(OWN + "# changed\n")
    assert noted(chosen((f"{file}:Mine", "every=2"), (), 5)[0]) != before
    file.write_text(OWN + "OBJECT = Mine(frames=7)\n")
    assert chosen((f"{file}:OBJECT",), (), 5)[0].frames == 7
    memory, _ = chosen((f"{file}:OBJECT", "every=2"), (), 5)
    assert (memory.frames, memory.every) == (7, 2)
    with pytest.raises(InputError, match="the file has no Yours"):
        chosen((f"{file}:Yours",), (), 5)
    file.write_text("1 / 0")
    with pytest.raises(InputError, match="cannot be run: ZeroDivisionError"):
        chosen((f"{file}:Mine",), (), 5)


def test_the_note_tells_knobs_apart_and_survives_json():
    assert noted(Fifo(8)) == {"type": "Fifo", "frames": 8, "every": 5}
    assert noted(None) is None and noted(read_dense) == {"type": "read_dense"}
    for choice in (Kernelized(math.inf), *(variant.memory for variant in VARIANTS)):
        note = noted(choice)
        assert json.loads(json.dumps(note, allow_nan=False)) == note


@pytest.mark.parametrize("command", ["segment", "benchmark-dataset", "attention", "demo"])
def test_help_names_every_memory_and_read(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    words = set(re.split(r"[^a-z-]+", capsys.readouterr().out))
    assert {name_of(kind) for kind in (*MEMORIES, *READS)} <= words


def test_the_research_kit_lists_every_memory_and_read_with_its_knobs():
    guide = pathlib.Path(__file__).parent.parent / "docs" / "research_kit.md"
    rows = {line.split("`")[1]: line for line in guide.read_text().splitlines() if "| `" in line}
    assert set(rows) == {name_of(kind) for kind in (*MEMORIES, *READS)}
    for kind in (*MEMORIES, *READS):
        for knob in dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ():
            value = knob.default
            shown = f"{value:g}" if isinstance(value, float) else str(value).lower()
            assert f"`{knob.name}={shown}`" in rows[name_of(kind)]


def test_every_memory_and_read_is_among_the_variants():
    assert {type(variant.memory) for variant in VARIANTS} == set(MEMORIES)
    reads = {getattr(v.read, "__name__", type(v.read).__name__) for v in VARIANTS}
    # `read_slots` is the default of frames, which None stands for.
    assert reads == {kind.__name__ for kind in READS} - {"read_slots"} | {"NoneType"}
    assert len({variant.name for variant in VARIANTS}) == len(VARIANTS)


def test_every_memory_of_the_package_can_be_chosen():
    folder = pathlib.Path(memory_choice.__file__).parents[1] / "memory"
    kinds = {name_of(kind) for kind in MEMORIES}
    for module in folder.glob("*.py"):
        loaded = sys.modules.get(f"stm_jax.memory.{module.stem}")
        for name, kind in vars(loaded).items() if loaded else ():
            abstract = name == "Memory" or getattr(kind, "__abstractmethods__", ())
            if isinstance(kind, type) and hasattr(kind, "needs_length") and not abstract:
                assert name_of(kind) in kinds


def test_averaging_passes_them_on(monkeypatch):
    seen = []

    class Stream:
        def __init__(self, model, memorize_every, **options):
            seen.append((options["memory"], options["read"]))

        def start(self, *arguments, **options):
            return None

    monkeypatch.setattr(stm_jax.infer.averaged, "Segmenter", Stream)
    averaged = AveragedSegmenter(None, memory=Fifo(8), read=read_dense, flip=True)  # type: ignore
    averaged.start([[0]], [[1]])  # type: ignore
    assert seen == [(Fifo(8), read_dense)] * 2


def test_the_command_line_does_not_wait_for_jax():
    program = "import sys, stm_jax.cli; assert not {'jax', 'flax'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", program], check=True)
