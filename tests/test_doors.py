"""Every input has one door: no other module opens it, and docs/design.md names them all."""

import ast
import functools
import pathlib
import re

import pytest

PROJECT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = PROJECT / "stm_jax"
DOORS = {
    "Image.open": {"data/image_files.py"},
    "cv2.imread": set(),
    "av.open": {
        "data/video_files.py",
        "report/film.py",
        "results/sound.py",
        "results/video_writer.py",
    },
    "json.load": set(),
    "json.loads": {"json_files.py"},
    "np.loadtxt": set(),
    "np.genfromtxt": set(),
    # The word in a mark, pages of the package itself, and its own source.
    "read_text": {"runtime/claim.py", "report/one_file.py", "catalogue.py"},
    "splitlines": set(),
    # A folder in a bucket, to say what is there; damaged checkpoints, which are counted.
    # So is the page to paint on, of the package itself.
    "iterdir": {
        "data/listing.py",
        "data/records.py",
        "paint/app.py",
        "weights/checkpoints.py",
    },
    "np.load": {
        "annotate/session_folder.py",
        "weights/any_source.py",
        "commands/shared/segment_folder.py",
        "results/probabilities.py",
    },
    "torch.load": {"weights/pth.py"},
    "safetensors.safe_open": {"weights/files.py"},
    "scipy.io.loadmat": set(),
    "spec.loader.exec_module": {"catalogue.py"},
}
"""What opens an input, and the modules that may."""


def called(node: ast.AST) -> str:
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


@functools.cache
def calls(path: pathlib.Path) -> list[str]:
    return [called(node) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]


@pytest.mark.parametrize("door", DOORS)
def test_nobody_goes_round_the_door(door):
    callers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(each == door or each.endswith(f".{door}") for each in calls(path))
    }
    assert callers == DOORS[door]


def test_nobody_calls_a_door_by_another_name():
    """`from json import loads` would not be seen above."""
    opening = {tuple(door.rsplit(".", 1)) for door in DOORS if "." in door}
    modules = {"Image": "PIL.Image", "np": "numpy"}
    hidden = {(modules.get(module, module), name) for module, name in opening}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert not {(node.module, each.name) for each in node.names} & hidden, path


def functions(path: pathlib.Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_design_names_the_doors_and_they_are_there():
    text = (PROJECT / "docs" / "design.md").read_text(encoding="utf-8")
    section = text.partition("## Doors")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(?:[\w.]+\.)?(\w+)(?:\(\))?`", section))
    everything = set().union(*(functions(path) for path in PACKAGE.rglob("*.py")))
    files = set(re.findall(r"`([\w/]+\.py)`", section))
    gone = {f for f in files if not f.startswith("tests/") and not (PACKAGE / f).is_file()}
    assert not gone
    missing = {
        *("opened", "read_rgb", "open_image", "animation", "read_truth", "read_hand_mask"),
        *("read_prediction", "open_frames", "read_list", "entries", "load_json", "parse_json"),
        *("read_json", "from_json", "python_file", "check_train", "check_model", "kind_of"),
        *("load_checkpoint", "checked_name", "check_outputs", "claimed", "check_is_file"),
        *("writing_whole", "load_whole", "printable", "checked_frame", "checked_mask"),
    } - named
    assert not missing
    known = everything | {"get_config", "get_study", "InputError"}
    words = {name for name in named if "_" in name and not name.startswith("test_")}
    assert words <= known | {path.stem for path in PACKAGE.rglob("*.py")} | {"stm_jax"}
