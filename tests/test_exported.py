"""Exported networks: they answer as the library does, without it, and say what is wrong."""

import json
import pathlib
import subprocess
import sys
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import stm_jax
from stm_jax import exported
from stm_jax.cli import main
from stm_jax.errors import InputError
from stm_jax.export.programs import Sizes
from stm_jax.export.stablehlo import export_stablehlo
from stm_jax.exported.bundle import DESCRIPTION, TEST, WEIGHTS, digest_of
from stm_jax.infer.stream import Recipe
from stm_jax.memory import EveryNth, Fifo
from stm_jax.nn.model import Model
from stm_jax.reads import TopK
from tests.lively import lively_model

PROJECT = pathlib.Path(__file__).resolve().parent.parent
OBJECTS, EVERY = 2, 2


def recipe(dtype: str = "float32") -> Recipe:
    return Recipe(lively_model().config, EveryNth(EVERY), jnp.dtype(dtype), None)


def clip(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns six frames of noise and the mask of the first; its ids are 3 and 9."""
    frames = np.random.default_rng(0).integers(0, 256, (6, height, width, 3), np.uint8)
    mask = np.zeros((height, width), np.uint8)
    mask[2:14, 3:20], mask[12:26, 18:30] = 3, 9
    return frames, mask


@pytest.fixture(scope="module", params=["any size", "one size"])
def made(request, tmp_path_factory) -> tuple[pathlib.Path, tuple[int, int]]:
    """An export for any size or for one that is no multiple of 16, and the size of a clip."""
    size = (30, 42) if request.param == "one size" else None
    path = tmp_path_factory.mktemp("export") / "tiny.zip"
    sizes = Sizes(size, OBJECTS, slots=4)
    export_stablehlo(lively_model(), recipe(), path, sizes)
    return path, size or (32, 48)


@pytest.fixture(scope="module")
def loaded(made) -> exported.Exported:
    return exported.load(made[0])


def test_a_video_is_followed_as_the_library_does(made, loaded):
    frames, mask = clip(*made[1])
    segmenter = stm_jax.Segmenter(lively_model(), memorize_every=EVERY, capacity=4)
    expected = segmenter.segment(frames, mask, soft=True)
    ids = list(loaded.follow(frames, mask))
    assert [each.tolist() for each in ids] == segmenter.segment(frames, mask).tolist()

    masks = np.stack([mask == 3, mask == 9]).astype(np.float32)
    state = loaded.begin(frames[0], masks, np.ones(OBJECTS, bool))
    for frame, wanted in zip(frames[1:], expected[1:], strict=True):
        state, _, soft = loaded.step(state, frame)
        assert np.abs(np.asarray(soft) - wanted).max() <= 1e-6


def test_a_memory_of_ones_own(made, loaded):
    frames, mask = clip(*made[1])
    masks = np.stack([mask == 3, mask == 9]).astype(np.float32)
    key, value = loaded.memorize(frames[0], masks)
    keys, values = (jnp.zeros((OBJECTS, 4, *each.shape[1:])) for each in (key, value))
    filled = np.zeros((OBJECTS, 4), bool)
    filled[:, 2] = True
    soft = loaded.segment(frames[1], keys.at[:, 2].set(key), values.at[:, 2].set(value), filled)
    segmenter = stm_jax.Segmenter(lively_model(), memorize_every=EVERY)
    expected = segmenter.segment(frames[:2], mask, soft=True)[1]
    assert np.abs(np.asarray(soft) - expected).max() <= 1e-6


def test_it_runs_without_the_library(made, tmp_path):
    frames, mask = clip(*made[1])
    np.savez(tmp_path / "clip.npz", frames=frames, mask=mask)
    program = f"""
import sys
import numpy as np
from stm_jax import exported
clip = np.load({str(tmp_path / "clip.npz")!r})
ids = list(exported.load({str(made[0])!r}).follow(clip["frames"], clip["mask"]))
np.save({str(tmp_path / "ids.npy")!r}, ids)
parts = {{name.split(".")[1] for name in sys.modules if name.startswith("stm_jax.")}}
assert not parts & {{"nn", "infer", "ops", "reads", "memory", "weights", "export"}}, parts
assert not {{"flax", "orbax", "optax"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=PROJECT)
    expected = stm_jax.Segmenter(lively_model(), memorize_every=EVERY).segment(frames, mask)
    assert np.array_equal(np.load(tmp_path / "ids.npy"), expected)


def test_one_file_is_for_three_platforms(made, loaded):
    assert loaded.description.platforms == ("cpu", "cuda", "tpu")
    with zipfile.ZipFile(made[0]) as archive:
        for name in ("begin", "step", "memorize", "segment"):
            program = jax.export.deserialize(bytearray(archive.read(f"{name}.stablehlo")))
            assert set(program.platforms) == {"cpu", "cuda", "tpu"}
    assert loaded.description.config == lively_model().config


def test_bfloat16_stays_near(tmp_path):
    path = tmp_path / "half.zip"
    export_stablehlo(lively_model(), recipe("bfloat16"), path, Sizes((32, 48), OBJECTS, 4))
    frames, mask = clip(32, 48)
    segmenter = stm_jax.Segmenter(
        lively_model(), memorize_every=EVERY, dtype="bfloat16", capacity=4
    )
    ids = np.stack(list(exported.load(path).follow(frames, mask)))
    assert np.array_equal(ids, segmenter.segment(frames, mask))


def rewritten(path: pathlib.Path, out: pathlib.Path, **parts: bytes | None) -> pathlib.Path:
    """Returns a copy of an archive with other parts, or without those that are None."""
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(out, "w") as copy:
        for name in archive.namelist():
            content = parts.get(name, archive.read(name))
            if content is not None:
                copy.writestr(name, content)
    return out


def with_description(path: pathlib.Path, out: pathlib.Path, **fields: object) -> pathlib.Path:
    with zipfile.ZipFile(path) as archive:
        description = json.loads(archive.read(DESCRIPTION))
    return rewritten(path, out, **{DESCRIPTION: json.dumps(description | fields).encode()})


def with_other_weights(path: pathlib.Path, out: pathlib.Path) -> pathlib.Path:
    variables = jax.tree.map(lambda a: a + 1, lively_model().variables)
    export_stablehlo(Model(lively_model().config, variables), recipe(), out, Sizes((32, 32), 2, 4))
    with zipfile.ZipFile(out) as archive:
        weights = archive.read(WEIGHTS)
    return rewritten(path, out, **{WEIGHTS: weights})


def with_a_changed_byte(path: pathlib.Path, out: pathlib.Path) -> pathlib.Path:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    out.write_bytes(content)
    return out


def with_a_packed_part(path: pathlib.Path, out: pathlib.Path) -> pathlib.Path:
    """Returns a copy that holds a megabyte in a kilobyte, as it might hold gigabytes."""
    with zipfile.ZipFile(rewritten(path, out, **{TEST: None}), "a") as copy:
        copy.writestr(TEST, bytes(2**20), zipfile.ZIP_DEFLATED)
    return out


def with_test(path: pathlib.Path, out: pathlib.Path, **arrays: np.ndarray) -> pathlib.Path:
    with zipfile.ZipFile(path) as archive:
        test = safetensors.numpy.load(archive.read(TEST))
    return rewritten(path, out, **{TEST: safetensors.numpy.save(test | arrays)})


def with_anothers_answer(path: pathlib.Path, out: pathlib.Path) -> pathlib.Path:
    with zipfile.ZipFile(path) as archive:
        answer = safetensors.numpy.load(archive.read(TEST))["soft"]
    return with_test(path, out, soft=answer + np.float32(0.01))


def with_fewer_weights(path: pathlib.Path, out: pathlib.Path) -> pathlib.Path:
    with zipfile.ZipFile(path) as archive:
        weights = safetensors.numpy.load(archive.read(WEIGHTS))
    weights.popitem()
    content = safetensors.numpy.save(weights)
    described = with_description(path, out.with_suffix(".1"), digest=digest_of(content))
    return rewritten(described, out, **{WEIGHTS: content})


WRONG = {
    "cut": (lambda path, out: (out.write_bytes(path.read_bytes()[:5000]), out)[1], "no whole zip"),
    "a changed byte": (with_a_changed_byte, "no whole zip archive"),
    "a packed part": (with_a_packed_part, "packed anew"),
    "a text": (lambda path, out: (out.write_text("STM"), out)[1], "no whole zip archive"),
    "another archive": (
        lambda path, out: rewritten(path, out, **{TEST: None}),
        "no exported network",
    ),
    "of another format": (
        lambda path, out: with_description(path, out, format=2),
        "of format 2, and this stm_jax reads 1",
    ),
    "with more fields": (
        lambda path, out: with_description(path, out, more=1),
        "spoiled.zip.more is not known",
    ),
    "of another JAX": (
        lambda path, out: rewritten(path, out, **{"step.stablehlo": b"no program"}),
        "the program step cannot be read by jax",
    ),
    "without a program": (
        lambda path, out: rewritten(path, out, **{"segment.stablehlo": None}),
        "lacks the program segment",
    ),
    "of a JAX with a long name": (
        lambda path, out: rewritten(
            with_description(path, out.with_suffix(".1"), jax="0." * 500),
            out,
            **{"step.stablehlo": b"no program"},
        ),
        "the program step cannot be read by jax",
    ),
    "for another machine": (
        lambda path, out: with_description(path, out, platforms=["tpu"]),
        "is for tpu, and this is a cpu",
    ),
    "other weights": (with_other_weights, "with other weights"),
    "weights that are gone": (
        lambda path, out: rewritten(
            with_description(path, out.with_suffix(".1"), weights="gone.safetensors"),
            out,
            **{WEIGHTS: None},
        ),
        "gone.safetensors",
    ),
    "weights elsewhere": (
        lambda path, out: rewritten(
            with_description(path, out.with_suffix(".1"), weights="../w.safetensors"),
            out,
            **{WEIGHTS: None},
        ),
        "names weights elsewhere",
    ),
    "weights of a long name": (
        lambda path, out: rewritten(
            with_description(path, out.with_suffix(".1"), weights="w" * 5000),
            out,
            **{WEIGHTS: None},
        ),
        "names weights elsewhere",
    ),
    "more room told": (
        lambda path, out: with_description(path, out, objects=10**15),
        "another room than it has",
    ),
    "fewer weights": (with_fewer_weights, "do not belong to each other"),
    "an answer of another shape": (
        lambda path, out: with_test(path, out, soft=np.zeros((3, 1, 2), np.float32)),
        "do not belong to each other",
    ),
    "another answer": (with_anothers_answer, "does not answer its test"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_told_in_a_line(kind, made, tmp_path):
    spoil, told = WRONG[kind]
    path = spoil(made[0], tmp_path / "spoiled.zip")
    with pytest.raises(InputError, match=told) as caught:
        exported.load(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_frames_and_masks_that_do_not_fit_are_told(made, loaded):
    frames, mask = clip(*made[1])
    width = made[1][1]
    with pytest.raises(
        InputError, match=rf"(multiples of 16|is for 42x30): .* --frames {width}x20"
    ):
        list(loaded.follow(frames[:, :20], mask[:20]))
    with pytest.raises(InputError, match=f"the first mask is {width}x20: give one"):
        list(loaded.follow(frames, mask[:20]))
    mask[0, :3] = 1, 2, 4
    with pytest.raises(InputError, match=r"5 objects, and there is room for 1 to 2: .* 5"):
        list(loaded.follow(frames, mask))


def test_the_command_writes_it_with_weights_beside_and_another_memory(tmp_path, capsys):
    weights, out = tmp_path / "tiny.safetensors", tmp_path / "out.zip"
    stm_jax.save(lively_model(), weights)
    words = ["export", str(out), "--weights", str(weights), "--frames", "48x32"]
    more = ["--objects", "2", "--platforms", "cpu", "--memory", "fifo", "frames=3"]
    more += ["--read", "top-k", "k=4", "--size", "24", "--weights-beside"]
    assert main([*words, *more]) == 0
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        str(out),
        str(tmp_path / "out.safetensors"),
    ]
    loaded = exported.load(out)
    frames, mask = clip(32, 48)
    segmenter = stm_jax.Segmenter(
        lively_model(), memory=Fifo(3), read=TopK(4), short_side=24, capacity=6
    )
    ids = np.stack(list(loaded.follow(frames, mask)))
    assert np.array_equal(ids, segmenter.segment(frames, mask))
    assert loaded.description.weights == "out.safetensors"
    assert loaded.description.memory == {"type": "Fifo", "frames": 3, "every": 5}
    assert main([*words[:-1], "48*32"]) == 2
    assert "give it as 854x480, or any" in capsys.readouterr().err
    assert main([*words[:4], "--size", "24"]) == 2
    assert "frames of any size" in capsys.readouterr().err
    assert main(["export", "out.safetensors"]) == 2
    assert "stm-jax convert writes" in capsys.readouterr().err
