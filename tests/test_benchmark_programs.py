"""How many programs a data set compiles, all of them counted."""

import json
import pathlib

from stm_jax import weights
from stm_jax.cli import main
from stm_jax.runtime.compile_watch import Compilation, watch_compilation
from tests.benchmark_trees import boxes, write_frames, write_palette
from tests.lively import lively_model

COUNT = 20
SIZES = [(48 + 4 * i, 96 - 4 * i) for i in range(5)]


def many_videos(root: pathlib.Path) -> None:
    """Videos of all sizes and 1 to 9 objects, the last of which appears at the third frame."""
    for i in range(COUNT):
        height, width = SIZES[i % len(SIZES)]
        names = [f"{t:05d}.png" for t in range(3 + i % 3)]
        write_frames(root / "JPEGImages" / f"video{i}", names, height, width)
        ids = tuple(range(1, 2 + i % 9))
        mask, masks = boxes(height, width, ids), root / "Annotations" / f"video{i}"
        early = mask if len(ids) == 1 else mask * (mask != ids[-1])
        write_palette(masks / "00000.png", early)
        write_palette(masks / "00002.png", mask)


def test_twenty_videos_of_five_sizes_compile_fewer_than_8_programs(tmp_path, capsys):
    """XLA programs of any size, those for starting a video and adding objects included."""
    many_videos(tmp_path / "data")
    weights.save(lively_model(), tmp_path / "tiny.safetensors")
    given = ["benchmark-dataset", str(tmp_path / "data"), "--protocol", "folder"]
    given += ["--out", str(tmp_path / "out"), "--weights", str(tmp_path / "tiny.safetensors")]
    with watch_compilation() as compilation:
        assert main([*given, "--no-score"]) == 0
    summaries = [json.loads(p.read_text()) for p in (tmp_path / "out/sequences").iterdir()]
    assert len(summaries) == COUNT
    assert {len(summary["objects"]) for summary in summaries} == set(range(1, 10))
    assert sum(summary["compiles"] for summary in summaries) == len(SIZES)
    assert compilation.programs < 8
    assert "; 5 programs compiled in" in capsys.readouterr().out


def test_what_is_compiled_is_counted_and_timed_once():
    import jax
    import jax.numpy as jnp

    @jax.jit
    def inner(x):
        return x * 3 + 1

    outer = jax.jit(lambda x: inner(x) - 2)
    x = jax.device_put(jnp.arange(5.0))
    with watch_compilation() as compilation:
        outer(x)
        outer(x)
    assert compilation.programs == 1
    with watch_compilation() as compilation:
        outer(x)
    assert compilation.programs == 0 and compilation.seconds == 0
    assert Compilation(spans=[(1, 4), (2, 3), (3.5, 5), (7, 8)]).seconds == 5
