"""Names that lead out of their folder, and results that would be written over something."""

import json
import os
import pathlib

import numpy as np

from stm_jax.data.benchmarks import benchmark_sequences
from stm_jax.data.names import checked_name
from stm_jax.data.sources import Coco
from tests.benchmark_trees import davis2017, write_palette
from tests.hostile.attempt import Attempt, Said, Skipped, command, pick
from tests.scored_trees import moving, write_davis, write_empty_frames, write_masks, write_meta

OUT = ("..", ".", "../..", "../precious", "/etc", "/tmp", "a/../..", "a/b", "..\\x", "C:", "C:\\x")
BAD = (
    *OUT,
    "",
    " ",
    ". ",
    "nul\0",
    "new\nline",
    "\x1b[2J",
    "\x7f",
    "y" * 300,
    "tab\tx",
    "\u732b" * 90,
)
GOOD = (
    *("bear", "two words", "caf\u00e9", "\u732b", "[red]x[bold]", "-x", "--out", "=1+1", "%s{0}"),
    *("a#b", "...", "..a", "a..", "CON", "a'b\"c`$(d)", "&amp;<b>", "~", "x" * 100, "@a", "*?"),
    *("nbsp\u00a0", "\u202eabc", os.fsdecode(b"latin-\xe9"), "\U0001f600", "#comment"),
)


def tree(folder: pathlib.Path) -> pathlib.Path:
    root = folder / "data"
    write_davis(root, {"bear": moving(3)})
    return root


def given_name_itself(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    name = pick(rng, (*BAD, None, 3, b"x", ["a"], 1.5, True, {}))
    return Attempt(lambda: checked_name(name, "here"), told=("here",))


def given_good_name_itself(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    name = pick(rng, GOOD)
    return Attempt(lambda: checked_name(name, "here"), lambda found: found == name)


def given_bad_name_in_a_data_set(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """Through a list or meta.json, for benchmark-dataset, which removes and writes folders."""
    root, name = tree(folder), pick(rng, OUT)
    out = folder / "results" / "out"
    if rng.random() < 0.5:
        (root / "ImageSets/2017/val.txt").write_text(f"bear\n{name}\n")
        words = ["--protocol", "davis2017"]
    else:
        (root / "valid").mkdir()
        for part in ("JPEGImages", "Annotations"):
            (root / part / "480p").rename(root / "valid" / part)
        thing = {"category": "ape", "frames": ["00000"]}
        write_meta(root / "valid", {"bear": {"1": thing}, name: {"1": thing}})
        words = ["--protocol", "youtube-vos"]
    kind = pick(rng, ("benchmark-dataset", "evaluate"))
    if kind == "evaluate":
        words = ["evaluate", root / "Annotations", "--dataset", root, *words]
    else:
        words = [kind, root, "--out", out, *words]
        words += ["--overwrite"] if rng.random() < 0.5 else []
    return Attempt(lambda: command(*words))


def given_bad_choice_of_sequences(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    root, name = tree(folder), pick(rng, BAD)
    option = pick(rng, ("--sequences", "--split"))
    words = ["benchmark-dataset", root, "--protocol", "davis2017", "--out", folder / "out"]
    return Attempt(lambda: command(*words, f"{option}={name}"))


def given_good_name_in_a_data_set(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """Truth against itself is 1, whatever a sequence is called; and the tables are harmless."""
    name = pick(rng, [each for each in GOOD if each[0] not in "#." and each.strip() == each])
    root, results = folder / "data", folder / "results"
    results.mkdir()
    masks = moving(3)
    write_masks(root / "Annotations" / name, masks)
    write_empty_frames(root / "JPEGImages" / name, range(3))
    words = ["evaluate", root / "Annotations", "--dataset", root, "--protocol", "folder"]
    files = [f"--json={results}/s.json", f"--csv={results}/s.csv"]

    def right(said: Said) -> bool:
        scores = json.loads((results / "s.json").read_text())
        cells = (results / "s.csv").read_text(encoding="utf-8").splitlines()[1:-1]
        starts = {line.lstrip('"')[0] for line in cells}
        return scores["global"]["J&F"] == 1.0 and not starts & set("=+-@")

    return Attempt(lambda: command(*words, *files), right, writes=("results",))


def given_name_in_a_coco_file(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    good = rng.random() < 0.3
    name = pick(rng, ("a.jpg", "sub/a.jpg") if good else [each for each in BAD if each != "a/b"])
    images = folder / "images"
    (images / "sub").mkdir(parents=True)
    for file in ("a.jpg", "sub/a.jpg"):
        (images / file).touch()
    (folder / "precious").touch()
    box = [[1, 1, 9, 1, 9, 9, 1, 9]]
    content = {
        "images": [{"id": 1, "file_name": name, "height": 20, "width": 20}],
        "annotations": [{"image_id": 1, "segmentation": box, "iscrowd": 0}],
    }
    (folder / "instances.json").write_text(json.dumps(content))
    source = Coco(folder / "instances.json", images)
    right = (lambda found: [s.image for s in found] == [images / name]) if good else None
    return Attempt(lambda: source.photographs(), right)


def given_split_that_is_a_path(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    root, split = tree(folder), pick(rng, (*OUT, "", "nul\0"))
    protocol = pick(rng, ("davis2016", "davis2017", "youtube-vos", "folder"))
    return Attempt(lambda: benchmark_sequences(root, protocol, split))


def given_results_over_something(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """A result that is an input, lies in one, is a folder, a link, a pipe or a device."""
    root = tree(folder)
    option = pick(rng, ("--json", "--csv", "--html"))
    kind = rng.integers(9)
    place = folder / "result"
    if kind == 0:
        place = root / "ImageSets/2017/val.txt"
    elif kind == 1:
        place = root / "Annotations" / "new.json"
    elif kind == 2:
        place = root / "Annotations/480p/bear/00000.png"
    elif kind == 3:
        place.mkdir()
    elif kind == 4:
        place.symlink_to(folder.parent / "precious.txt")
    elif kind == 5:
        os.mkfifo(place)
    elif kind == 6:
        try:
            os.mknod(place, 0o20600, os.makedev(1, 3))
        except PermissionError as error:
            raise Skipped from error
    elif kind == 7:
        place = folder / "gone" / "result.json"
    else:
        (folder / "link").symlink_to(root, target_is_directory=True)
        place = folder / "link" / "Annotations" / "new.json"
    words = ["evaluate", root / "Annotations/480p", "--dataset", root, "--protocol", "davis2017"]
    return Attempt(lambda: command(*words, option, place), told=(place.name,))


def given_two_results_in_one(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    root = tree(folder)
    other = pick(rng, (folder / "x", folder / "." / "x", folder / "data" / ".." / "x"))
    words = ["evaluate", root / "Annotations/480p", "--dataset", root, "--protocol", "davis2017"]
    return Attempt(lambda: command(*words, "--json", folder / "x", "--csv", other))


FOREIGN = {
    "benchmark-dataset": ("scores.json", "scores.csv", "report.html", "submission.zip"),
    "segment": ("overlay.mp4", "segment.json", "masks/a.png", ".resume/state.npz"),
    "demo": ("metrics.json", "contact_sheet.png", "masks/a.png"),
}


def given_foreign_folder(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """--out holds something that the command did not write, with or without --overwrite."""
    kind = pick(rng, FOREIGN)
    out = folder / "out"
    file = out / pick(rng, FOREIGN[kind])
    file.parent.mkdir(parents=True)
    file.write_bytes(rng.bytes(50))
    if rng.random() < 0.3:
        (out / ".stm-jax").write_bytes(pick(rng, (b"train\n", b"\x1b[2J" * 9, rng.bytes(90))))
    words: list[object] = ["--out", out]
    if kind == "segment":
        davis2017(folder / "data", {"a": (2, 24, 32, (1,))})
        frames, mask = folder / "data/JPEGImages/480p/a", folder / "data/Annotations/480p/a"
        words = [frames, "--mask", mask / "00000.png", *words]
    elif kind != "demo":
        davis2017(folder / "data", {"a": (2, 24, 32, (1,))})
        words = [folder / "data", "--protocol", "davis2017", *words]
    words += ["--overwrite"] if rng.random() < 0.5 else []
    return Attempt(lambda: command(kind, *words), told=("out",))


def given_out_in_what_is_read(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    kind = pick(rng, ("benchmark-dataset", "segment"))
    davis2017(folder / "data", {"a": (2, 24, 32, (1,))})
    root = folder / "data"
    frames, masks = root / "JPEGImages/480p/a", root / "Annotations/480p/a"
    if kind == "segment":
        out = pick(rng, (frames, frames / "out", masks / "00000.png", masks / "00000.png" / "x"))
        words = [frames, "--mask", masks / "00000.png"]
    else:
        out = pick(rng, (root, root / "out", masks, root / "ImageSets"))
        words = [root, "--protocol", "davis2017"]
    words += ["--out", out, *pick(rng, ((), ("--overwrite",)))]
    return Attempt(lambda: command(kind, *words))


def given_out_that_is_no_folder(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    davis2017(folder / "data", {"a": (2, 24, 32, (1,))})
    out, kind = folder / "out", rng.integers(5)
    if kind == 0:
        out.write_text("mine")
    elif kind == 1:
        os.mkfifo(out)
    elif kind == 2:
        out.symlink_to(out)
    elif kind == 3:
        out.write_text("mine")
        out = out / "below"
    else:
        out = folder / ("y" * 300)
    words = [folder / "data", "--protocol", "davis2017", "--out", out]
    return Attempt(lambda: command("benchmark-dataset", *words))


def given_frames_and_masks_that_do_not_fit(
    folder: pathlib.Path, rng: np.random.Generator
) -> Attempt:
    """A mask of no frame, two frames of one name, a case that differs, an empty first mask."""
    root = folder / "data"
    write_davis(root, {"bear": moving(3)})
    masks, frames = root / "Annotations/480p/bear", root / "JPEGImages/480p/bear"
    kind = rng.integers(6)
    if kind == 0:
        write_palette(masks / "00007.png", moving(1)[0])
    elif kind == 1:
        (masks / "00000.png").unlink()
    elif kind == 2:
        (root / "JPEGImages/480p/bear").rename(root / "JPEGImages/480p/Bear")
    elif kind == 3:
        write_palette(masks / "00000.png", np.zeros((24, 36), np.uint8))
    elif kind == 4:
        for file in frames.iterdir():
            file.unlink()
    else:
        (root / "ImageSets/2017/val.txt").write_text("# nothing\n")
    return Attempt(lambda: benchmark_sequences(root, "davis2017"))


def given_predictions_that_do_not_fit(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """Numbered from 1, of another case or padding, one too many: named, never a shifted score."""
    root, found = folder / "data", folder / "found" / "bear"
    write_davis(root, {"bear": moving(4)})
    kind = pick(rng, ("from 1", "case", "padding", "extra", "missing", "twice"))
    masks = moving(4)
    if kind == "from 1":
        write_masks(found, masks, first=1)
    else:
        write_masks(found, masks)
    if kind == "case":
        (found / "00002.png").rename(found / "00002.PNG")
    elif kind == "padding":
        (found / "00002.png").rename(found / "2.png")
    elif kind == "extra":
        write_masks(found, masks[:1], first=9)
    elif kind == "missing":
        (found / "00002.png").unlink()
    elif kind == "twice":
        write_masks(found / ".." / "bear ", masks)
    words = ["evaluate", found.parent, "--dataset", root, "--protocol", "davis2017"]
    strict = rng.random() < 0.5
    words += ["--strict"] if strict else []

    def right(said: Said) -> bool:
        return kind == "twice" or ("00009" in said.out + said.err or "00002" in said.out + said.err)

    stops = kind == "from 1" or (strict and kind != "twice")
    return Attempt(lambda: command(*words), None if stops else right)


def given_truth_against_itself(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """Any palette, grey, sparse or merged: 1.0."""
    from tests.hostile import drawn

    root = folder / "data"
    ids = drawn.some_ids(rng, int(pick(rng, (3, 64, 254))), 3)
    mask = drawn.shapes(rng, ids)
    colours = drawn.palette(rng)
    grey = max(ids) <= 64 and rng.random() < 0.3
    for t in range(3):
        shifted = np.roll(mask, t, axis=1)
        path = root / "Annotations/480p/a" / f"{t:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn.Image.fromarray(shifted).save(path) if grey else drawn.save_palette(
            path, shifted, colours
        )
    write_empty_frames(root / "JPEGImages/480p/a", range(3))
    for year in ("2016", "2017"):
        (root / "ImageSets" / year).mkdir(parents=True)
        (root / "ImageSets" / year / "val.txt").write_text("a\n")
    protocol = pick(rng, ("davis2016", "davis2017", "folder"))
    words = ["evaluate", root / "Annotations/480p", "--dataset", root, "--protocol", protocol]
    out = folder / "results"
    out.mkdir()
    expected = 1 if protocol == "davis2016" else len(ids)

    def right(said: Said) -> bool:
        scores = json.loads((out / "s.json").read_text())
        return scores["global"]["J&F"] == 1.0 and len(scores["frames"]) == expected

    return Attempt(lambda: command(*words, "--json", out / "s.json"), right, writes=("results",))
