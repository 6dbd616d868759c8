"""`stm-jax variants` from end to end, with a tiny network; its table and its page."""

import csv
import json
import pathlib
import re
import xml.etree.ElementTree

import numpy as np
import pytest

from stm_jax import weights
from stm_jax.benchmark.variant_results import COLUMNS, write_results
from stm_jax.cli import main
from stm_jax.commands.shared.options import BenchmarkOptions, ResultOptions
from stm_jax.commands.variants import Variants, chosen_variants
from stm_jax.data.image_files import read_rgb
from stm_jax.data.masks import read_mask
from stm_jax.errors import InputError
from stm_jax.infer.segmenter import Segmenter
from stm_jax.memory.rules.first import First
from stm_jax.reads.top_k import TopK
from stm_jax.report.page_of_variants import scatter, unbeaten
from tests.benchmark_trees import davis2017
from tests.lively import lively_model

OWN = """
from stm_jax.benchmark.variant_list import Variant
from stm_jax.memory.stores.afb_urr import AfbUrr
from stm_jax.memory.rules import First
from stm_jax.reads.top_k import TopK

def get_variants():
    return (
        Variant("small", AfbUrr(elements=1)),
        Variant("first", First(frames=2), TopK(3)),
    )
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> pathlib.Path:
    """A folder with davis/, tiny.safetensors and own.py."""
    folder = tmp_path_factory.mktemp("data")
    davis2017(folder / "davis", {"ant": (4, 32, 48, (2, 5))})
    weights.save(lively_model(), folder / "tiny.safetensors")
    (folder / "own.py").write_text(OWN)
    return folder


def run(data: pathlib.Path, *more: str) -> int:
    given = ["variants", str(data / "davis"), "--protocol", "davis2017"]
    given += ["--out", str(data / "out"), "--weights", str(data / "tiny.safetensors")]
    return main([*given, "--variants", str(data / "own.py"), *more])


@pytest.fixture(scope="module")
def compared(data) -> pathlib.Path:
    """A run in which the variant `small` has failed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_DEFAULT_MATMUL_PRECISION", "highest")
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(data / "cache"))
        assert run(data) == 2
    return data / "out"


def test_a_variant_is_a_benchmark_with_its_memory_and_read(data, compared):
    frames = [read_rgb(path) for path in sorted((data / "davis").glob("JPEGImages/480p/ant/*"))]
    mask = read_mask(data / "davis/Annotations/480p/ant/00000.png")
    segmenter = Segmenter(lively_model(), memory=First(frames=2), read=TopK(3))
    expected = [segmenter.start(frames[0], mask, length=4)]
    expected += [segmenter.step(frame) for frame in frames[1:]]
    found = [read_mask(path) for path in sorted(compared.glob("first/masks/ant/*.png"))]
    assert np.array_equal(found, expected)

    settings = json.loads((compared / "first/settings.json").read_text())["settings"]
    assert settings["memory"] == {"type": "First", "frames": 2, "previous": False}
    assert settings["read"] == {"type": "TopK", "k": 3}
    (row,) = csv.DictReader((compared / "variants.csv").open())
    official = json.loads((compared / "first/scores.json").read_text())["global"]
    assert float(row["j_and_f"]) == round(official["J&F"], 4)
    assert float(row["memory_mib"]) == round(segmenter.memory_bytes / 2**20, 2)
    assert float(row["peak_mib"]) > 50 and float(row["frames_per_second"]) > 0
    assert int(row["compiles"]) >= 1
    assert (row["memory"], row["read"]) == ("First(frames=2, previous=False)", "TopK(k=3)")
    assert "| first | First(frames=2" in (compared / "variants.md").read_text()
    assert "TopK(k=3)" in (compared / "variants.html").read_text()


def test_the_memory_takes_what_its_shapes_say():
    frame, mask = np.zeros((32, 48, 3), np.uint8), np.eye(32, 48, dtype=np.uint8)
    segmenter = Segmenter(lively_model(), memory=First(frames=2))
    segmenter.start(frame, mask)
    config = lively_model().config
    # 4 slots, the next capacity, of 2x3 positions with key and value in float32 and a region;
    # and for each slot 2 flags and 4 numbers.
    position = 4 * (config.key_channels + config.value_channels) + 1
    assert segmenter.memory_bytes == 4 * (6 * position + 2 * 1 + 4 * 4)


def test_what_is_done_is_not_run_again(data, compared, monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(Variants, "_run_apart", lambda self, name, _: ran.append(name) or "no")
    assert run(data) == 2
    assert ran == ["small"]  # it had failed
    assert run(data, "--only", "first") == 0
    assert ran == ["small"]
    assert run(data, "--only", "first", "--size", "16") == 2
    assert run(data, "--only", "first", "--overwrite") == 2
    assert ran == ["small", "first", "first"]
    noted = compared / "first" / "variant.json"
    whole = noted.read_text()
    noted.write_text(whole[: len(whole) // 2])
    assert run(data, "--only", "first") == 2
    noted.write_text(whole)
    assert ran == ["small", "first", "first", "first"]


def test_other_bundled_weights_are_noticed(data, tmp_path, monkeypatch):
    given = BenchmarkOptions(root=data / "davis", protocol="davis2016")
    options = Variants(given, ResultOptions(tmp_path))
    settings = options._shared_settings()
    monkeypatch.setattr("stm_jax.weights.files.BUNDLED", tmp_path)
    (tmp_path / "stm-r18.safetensors").write_bytes(b"others")
    assert options._shared_settings() != settings
    assert options._shared_settings() == options._shared_settings()


def test_a_variant_that_fails_is_named_and_the_others_stand(data, compared, monkeypatch, capsys):
    assert (compared / "variants.html").is_file()
    monkeypatch.setattr(Variants, "_run_apart", lambda *_: "a reason")
    assert run(data) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("stm-jax: error: 1 of 2 variants failed (small: a reason)")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("x = 1", "has no get_variants\\(\\)"),
        ("get_variants = lambda: ()", "must return Variants of different names"),
        (OWN.replace('"small"', '"first"'), "must return Variants of different names"),
        (OWN.replace('"small"', '"../up"'), "cannot be a variant's name"),
        (OWN.replace("TopK(3)", "TopK(3), seeds=(0, 1)"), "first in .* give it to stm-jax study"),
    ],
)
def test_a_file_of_variants_that_cannot_be_used(tmp_path, content, line):
    (tmp_path / "own.py").write_text(content)
    with pytest.raises(InputError, match=line):
        chosen_variants(tmp_path / "own.py", ())


def test_only_some():
    assert [each.name for each in chosen_variants(None, ("xmem", "fifo"))] == ["fifo", "xmem"]
    with pytest.raises(InputError, match="no variant fofo: there is stm, previous"):
        chosen_variants(None, ("fofo",))


def row(name: str, score: float | None, rate: float, mib: float) -> dict:
    values = dict.fromkeys(COLUMNS) | {"memory": "M()", "read": "default", "variant": name}
    numbers = {"j_and_f": score, "j": score, "frames_per_second": rate, "memory_mib": mib}
    return values | numbers


def test_the_front_is_what_no_other_beats():
    rows = [row("a", 0.5, 9, 4), row("b", 0.7, 3, 9), row("c", 0.5, 8, 3), row("d", 0.7, 3, 9)]
    assert [r["variant"] for r in unbeaten(rows, "frames_per_second", 1)] == ["b", "d", "a"]
    assert [r["variant"] for r in unbeaten(rows, "memory_mib", -1)] == ["c", "b", "d"]


def test_a_plot_has_a_point_for_every_known_score():
    rows = [row("a", 0.5, 9, 4), row("b", 0.7, 3, 9), row("<c>", 0.6, 5, 5), row("d", None, 3, 9)]
    figure = xml.etree.ElementTree.fromstring(scatter(rows, "memory_mib", "Memory, MiB", -1))
    points = {p.findtext("title"): p for p in figure.iter("circle")}
    assert [re.sub(":.*", "", title) for title in points] == ["a", "b", "<c>"]  # a, b, c in front
    places = {t[0]: (float(p.get("cx")), float(p.get("cy"))) for t, p in points.items()}
    assert places["a"][0] < places["<"][0] < places["b"][0]
    assert places["a"][1] > places["<"][1] > places["b"][1]
    assert scatter(rows[3:], "memory_mib", "Memory, MiB", -1) == ""


def test_one_variant_alone_and_no_name_becomes_markup(tmp_path):
    write_results(tmp_path, [row("</script><b>", 0.5, 2, 1)], {"data": "<i>", "frames": 3})
    page = (tmp_path / "variants.html").read_text()
    assert "<b>" not in page and "<i>" not in page and "</script><" not in page
    assert "&lt;/script&gt;&lt;b&gt;" in page
    assert not re.search(r"(src|href)=", page)
