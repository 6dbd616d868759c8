"""Every input has one door: no other module opens it."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parent.parent / "stm_jax"
DOORS = {
    "Image.open": {"data/image_files.py"},
    "cv2.imread": set(),
    "av.open": {
        "data/video_files.py",
        "report/film.py",
        "results/sound.py",
        "results/video_writer.py",
    },
}


@pytest.mark.parametrize("call", DOORS)
def test_nobody_goes_round_the_door(call):
    callers = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node) == call:
                callers.add(path.relative_to(PACKAGE).as_posix())
    assert callers == DOORS[call]
