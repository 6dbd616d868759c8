"""docs/your_own_memory.md: its code runs as it stands, in order, and its own tests pass."""

import pathlib
import re

import numpy as np
import pytest

import stm_jax
from stm_jax.catalogue import chosen, chosen_similarity
from stm_jax.data.masks import write_mask
from stm_jax.results.video_writer import VideoWriter
from stm_jax.weights.similarity import with_similarity
from tests.lively import IDS, clip, first_mask, lively_model

GUIDE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "your_own_memory.md"
LONGEST = 24  # lines of a new rule or read, blank lines and docstrings included


def blocks(page: pathlib.Path = GUIDE) -> list[str]:
    """Returns a page's Python, each block behind as many empty lines as the page has above."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return ["\n" * text[: match.start(1)].count("\n") + match[1] for match in found]


@pytest.fixture(scope="module")
def guide(tmp_path_factory) -> dict:
    """Returns the names that the guide defines, after running it beside a small video."""
    folder = tmp_path_factory.mktemp("guide")
    with VideoWriter(folder / "holiday.mp4", 40, 52, 25) as video:
        for frame in clip(6):
            video.write(frame)
    write_mask(folder / "first.png", first_mask())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(stm_jax, "load", {"stm-r18": lively_model()}.__getitem__)
        names = {"__name__": "guide"}
        for block in blocks():
            exec(compile(block, str(GUIDE), "exec"), names)
    return names


@pytest.mark.parametrize(
    "name",
    ["test_the_rule_keeps_what_its_definition_says", "test_the_read_is_its_definition"],
)
def test_its_tests(guide, name):
    guide[name]()


def test_all_of_its_tests_are_run_here():
    assert len(re.findall(r"^def test_", "".join(blocks()), re.MULTILINE)) == 2


def test_what_it_makes_of_a_video(guide):
    ids, seen = guide["ids"], guide["seen"]
    assert ids.shape == (6, 40, 52)
    assert set(np.unique(ids)) <= {0, *IDS}
    kept = guide["segmenter"].kept_frames
    assert kept[0] == 0 and 1 < len(kept) <= 4  # the untrained network's masks jump
    assert sorted(n for n in seen.frame_numbers.tolist() if n >= 0) == sorted({*kept, 4})
    np.testing.assert_allclose(seen.weights.sum(axis=(1, 2, 3)), 1, atol=1e-5)


def test_its_classes_are_found_from_the_command_line(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(
        "".join(b for b in blocks() if "class WhenItGrows" in b or "class NearestRead" in b)
    )
    similar = tmp_path / "similar.py"
    (block,) = (b for b in blocks() if "class FirstChannels" in b)
    similar.write_text("import dataclasses\n" + block)
    words = (f"{similar}:FirstChannels", "channels=2")
    assert repr(chosen_similarity(words)) == "FirstChannels(channels=2)"
    model = with_similarity(lively_model(), words)
    found = stm_jax.Segmenter(model).segment(clip(3), first_mask(), soft=True)
    usual = stm_jax.Segmenter(lively_model()).segment(clip(3), first_mask(), soft=True)
    assert np.abs(np.subtract(found, usual)).max() > 1e-3
    words = (f"{mine}:WhenItGrows", "frames=4"), (f"{mine}:NearestRead",)
    memory, read = chosen(*words, memorize_every=5)
    assert repr(memory) == "WhenItGrows(frames=4, share=0.25)"
    assert repr(read) == "NearestRead(sharpness=1.0)"


def test_new_rules_reads_and_similarities_are_short():
    for name in ("WhenItGrows", "NearestRead", "FirstChannels"):
        (block,) = (b for b in blocks() if f"class {name}" in b)
        assert len(block[block.index("@dataclasses") :].splitlines()) <= LONGEST
