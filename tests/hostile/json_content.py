"""JSON from outside: what it says, what it should not, and the files that are made of it."""

import json
import math
import pathlib
import random
from typing import Any

import numpy as np

from stm_jax.data.coco import read_annotations
from stm_jax.data.layouts import read_meta
from stm_jax.data.records import index_of
from stm_jax.eval.scores import read_scores, scores_from_json, scores_to_json
from stm_jax.json_files import load_json, parse_json
from stm_jax.weights.checkpoints import model_of
from tests.hostile import drawn
from tests.hostile.attempt import Attempt, Said, command, pick

WORDS = ("", "a", "\u732b", "\x1b[2J", "[red]", "nul\0", "x" * 300, "1", "NaN", "\ud800", "..")


def value(rng: random.Random, depth: int = 0) -> Any:
    """Returns any JSON value that can be kept as it is."""
    kind = rng.randrange(8 if depth < 4 else 6)
    if kind == 0:
        return rng.choice((None, True, False))
    if kind == 1:
        return rng.randrange(-(10**12), 10**12)
    if kind == 2:
        return rng.choice((0.0, -0.5, 1e300, 1e-300, rng.random()))
    if kind < 6:
        return rng.choice(WORDS)
    if kind == 6:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {f"{rng.choice(WORDS)}{i}": value(rng, depth + 1) for i in range(rng.randrange(4))}


def given_any_value(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    content = value(random.Random(int(rng.integers(2**32))))
    path = folder / "a.json"
    text = json.dumps(content, ensure_ascii=bool(rng.random() < 0.5), indent=pick(rng, (None, 2)))
    encoded = text.encode("utf-8", "surrogatepass")
    path.write_bytes(pick(rng, (b"", b"\xef\xbb\xbf")) + encoded)
    lone = "\ud800" in text  # half a character is no UTF-8
    return Attempt(lambda: load_json(path), lambda found: found == content, may_refuse=lone)


HOSTILE = (
    "[" * 100_000,
    "[" * 100_000 + "]" * 100_000,
    '{"a":' * 500 + "1" + "}" * 500,
    "[" * 65 + "]" * 65,
    "NaN",
    "[Infinity]",
    '{"a": -Infinity}',
    "1e400",
    "-1e999",
    "1" + "0" * 400,
    "1" * 5000,
    '{"a": 1, "a": 2}',
    '{"\x1b[2J": 1, "\x1b[2J": 2}',
    '{"' + "k" * 10_000 + '": 1, "' + "k" * 10_000 + '": 2}',
    "",
    " ",
    "{",
    '{"a"}',
    "{'a': 1}",
    "[1,]",
    "[1] [2]",
    "// a\n1",
    "nul",
    '"\x1f"',
    '"unended',
    "0x10",
    "01",
    "+1",
    ".5",
    "\0",
)


def given_hostile_text(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    path = folder / "a.json"
    path.write_text(pick(rng, HOSTILE), encoding="utf-8")
    return Attempt(lambda: load_json(path), told=("a.json",))


def given_hostile_bytes(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    path = folder / "a.json"
    content = pick(
        rng,
        (
            b'{"a": "\xe9"}',
            b"\xff\xfe{\0}\0",
            b"\x80",
            "{}".encode("utf-16"),
            b"\xff" + rng.bytes(40),
        ),
    )
    path.write_bytes(content)
    return Attempt(lambda: load_json(path), told=("a.json",))


def given_damaged_text(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    content = json.dumps(value(random.Random(int(rng.integers(2**32)))) or {"a": [1, 2.5]})
    damaged = drawn.damaged(rng, content.encode())
    try:
        right = json.loads(damaged.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return Attempt(lambda: parse_json(damaged, "here"), told=("here",))
    return Attempt(lambda: parse_json(damaged, "here"), lambda x: x == right, may_refuse=True)


def scores(rng: np.random.Generator) -> dict[str, Any]:
    names = [f"{t:05d}" for t in range(3)]

    def values() -> list[float]:
        return rng.random(3).round(6).tolist()

    frames = {
        f"{name}_{i}": {"names": names, "J": values(), "F": values()}
        for name in ("bear", "two words")
        for i in (1, 2)
    }
    return {"frames": frames, "protocol": "davis2017", "problems": []}


STRANGE = (
    *(None, True, "", "x", "\x1b[2J", "x" * 5000, [], {}, [[]], {"a": 1}, -1, 2, 1e300, 10**17),
    *(0.5, [1, "a"], [None], ["x"] * 3, [0.1, 0.2], [2.0] * 3, {"names": 1}, "..", 255, 0),
)


def changed_somewhere(rng: np.random.Generator, content: Any) -> Any:
    """Returns JSON with one thing in it replaced, left out or added."""
    copy = json.loads(json.dumps(content))
    places: list[tuple[Any, Any]] = []

    def walk(item: Any) -> None:
        keys = item.keys() if isinstance(item, dict) else range(len(item))
        for key in keys:
            places.append((item, key))
            if isinstance(item[key], dict | list):
                walk(item[key])

    walk(copy)
    item, key = places[int(rng.integers(len(places)))]
    kind = rng.integers(4)
    if kind == 0:
        del item[key]
    elif kind == 1 and isinstance(item, dict):
        item[pick(rng, (*WORDS[:-2], "bear_1", "bear_999", "_"))] = item.pop(key)
    else:
        item[key] = pick(rng, STRANGE)
    return copy


def given_scores(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    content = scores(rng)

    def right(found: Any) -> bool:
        objects = {(s, i) for s in ("bear", "two words") for i in (1, 2)}
        same = all(
            list(found.objects[s, i].j) == content["frames"][f"{s}_{i}"]["J"] for s, i in objects
        )
        again = scores_from_json(scores_to_json(found))
        return set(found.objects) == objects and same and again.frames == found.frames

    (folder / "s.json").write_text(json.dumps(content))
    return Attempt(lambda: read_scores(folder / "s.json"), right)


def given_changed_scores(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    content = changed_somewhere(rng, scores(rng))
    (folder / "s.json").write_text(json.dumps(content))

    def right(found: Any) -> bool:
        values = [v for each in found.objects.values() for v in (*each.j, *each.f)]
        return all(0 <= v <= 1 for v in values) and bool(found.objects)

    return Attempt(lambda: read_scores(folder / "s.json"), right, may_refuse=True, told=("s.json",))


def given_scores_to_compare(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    one = scores(rng)
    other = changed_somewhere(rng, one) if rng.random() < 0.7 else scores(rng)
    for name, content in (("one.json", one), ("other.json", other)):
        (folder / name).write_text(json.dumps(content))
    if rng.random() < 0.2:
        (folder / "other.json").write_bytes(rng.bytes(100))
    out = folder / "results"
    out.mkdir()
    words = [folder / "one.json", folder / "other.json", "--json", out / "a.json"]

    def right(said: Said) -> bool:
        found = json.loads((out / "a.json").read_text())
        return all(math.isfinite(v) for v in found["total"]["J&F"])

    words += ["--csv", out / "a.csv"]
    return Attempt(lambda: command("compare", *words), right, may_refuse=True, writes=("results",))


def meta() -> dict[str, Any]:
    thing = {"category": "ape", "frames": ["00000", "00005"]}
    return {"videos": {"a": {"objects": {"1": thing, "2": thing}}, "b": {"objects": {"7": thing}}}}


def given_changed_meta(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    path = folder / "meta.json"
    path.write_text(json.dumps(changed_somewhere(rng, meta())))

    def right(found: Any) -> bool:
        ids = [i for video in found.values() for i in video]
        frames = [f for video in found.values() for _, shown in video.values() for f in shown]
        return all(0 < i < 255 for i in ids) and all(isinstance(f, str) for f in frames)

    return Attempt(lambda: read_meta(path), right, may_refuse=True, told=("meta.json",))


def coco() -> dict[str, Any]:
    runs = {"size": [20, 30], "counts": [100, 50, 450]}
    return {
        "images": [
            {"id": 1, "file_name": "a.jpg", "height": 20, "width": 30},
            {"id": 2, "file_name": "b.jpg", "height": 20, "width": 30},
        ],
        "annotations": [
            {"image_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]], "iscrowd": 0},
            {"image_id": 2, "segmentation": runs, "iscrowd": 0},
            {"image_id": 2, "segmentation": {"size": [20, 30], "counts": "d3b1R>"}, "iscrowd": 0},
        ],
    }


def given_coco(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """A box of any place and size is drawn where it is."""
    height, width = int(rng.integers(5, 40)), int(rng.integers(5, 40))
    top, left = int(rng.integers(0, height - 2)), int(rng.integers(0, width - 2))
    bottom, right = int(rng.integers(top + 1, height)), int(rng.integers(left + 1, width))
    mask = np.zeros((height, width), np.uint8)
    mask[top:bottom, left:right] = 1
    if rng.random() < 0.5:
        segmentation: Any = [[left, top, right, top, right, bottom, left, bottom]]
    else:
        flat = mask.T.reshape(-1)
        edges = np.flatnonzero(np.diff(flat)) + 1
        counts = np.diff([0, *edges, len(flat)]).tolist()
        counts = [0, *counts] if flat[0] else counts
        segmentation = {"size": [height, width], "counts": counts}
    content = {
        "images": [{"id": 7, "file_name": "a.jpg", "height": height, "width": width}],
        "annotations": [{"image_id": 7, "segmentation": segmentation, "iscrowd": 0}],
    }
    path = folder / "instances.json"
    path.write_text(json.dumps(content))
    return Attempt(
        lambda: read_annotations(path)[0][1].ids(), lambda ids: np.array_equal(ids, mask)
    )


def given_changed_coco(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    path = folder / "instances.json"
    path.write_text(json.dumps(changed_somewhere(rng, coco())))

    def drawn_all() -> list[np.ndarray]:
        return [outlines.ids() for _, outlines in read_annotations(path)]

    return Attempt(
        drawn_all,
        lambda found: all(ids.dtype == np.uint8 for ids in found),
        may_refuse=True,
        told=("instances.json",),
    )


def given_changed_run(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    model = {
        "name": "tiny",
        "bottleneck": False,
        "blocks": [1, 1, 1],
        "width": 8,
        "decoder_width": 8,
        "last_width": None,
        "key_width": None,
        "value_width": None,
    }
    run = folder / "run"
    run.mkdir()
    (run / "config.json").write_text(json.dumps(changed_somewhere(rng, {"model": model})))
    return Attempt(
        lambda: model_of(run),
        lambda found: found.width in range(1, 4097) and len(found.blocks) == 3,
        may_refuse=True,
        told=("config.json",),
    )


def given_changed_index(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    content = {
        "kind": "videos",
        "merged": False,
        "entries": [{"name": "a", "records": 2, "every": 5}],
    }
    (folder / "dataset_info.json").write_text("{}")
    text = json.dumps(changed_somewhere(rng, content))
    (folder / "metadata.json").write_bytes(
        drawn.damaged(rng, text.encode()) if rng.random() < 0.3 else text.encode()
    )
    return Attempt(
        lambda: index_of(str(folder)),
        lambda found: (
            isinstance(found["kind"], str)
            and isinstance(found["merged"], bool)
            and all(isinstance(each, dict) for each in found["entries"])
        ),
        may_refuse=True,
        told=("metadata.json",),
    )
