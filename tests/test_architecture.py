"""The house rules: imports run one way, files are short, and what no module may import."""

import ast
import functools
import json
import math
import pathlib

import pytest

from stm_jax.cli import COMMANDS
from stm_jax.config import STM_R50
from stm_jax.weights.pytorch import variable_shapes

PROJECT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = PROJECT / "stm_jax"
SOURCES = sorted(PACKAGE.rglob("*.py"))

BASE = {
    "checks",
    "compiling",
    "config",
    "errors",
    "files",
    "json_files",
    "moved",
    "processes",
    "text",
    "version",
}
NETWORK = BASE | {"ops", "reads", "similarities", "nn", "memory", "catalogue", "infer", "weights"}
EVERYTHING = NETWORK | {"annotate", "runtime", "data", "eval", "report", "results"}
EVERYTHING |= {"train", "plan", "benchmark", "study", "paint", "synthetic", "export", "exported"}
MAY_IMPORT = {
    "checks": {"config", "errors"},
    "compiling": set(),
    "config": {"moved"},
    "moved": set(),
    "errors": {"text"},
    "files": {"errors", "text"},
    "json_files": {"checks", "errors", "files"},
    "processes": set(),
    "text": set(),
    "version": set(),
    "wrong_options": {"errors"},
    "ops": BASE,
    "reads": BASE | {"ops"},
    "similarities": BASE | {"reads"},
    "memory": BASE | {"ops", "reads"},
    "catalogue": BASE | {"reads", "similarities", "memory"},
    "nn": BASE | {"ops", "reads", "similarities", "catalogue"},
    "weights": BASE | {"similarities", "catalogue", "nn"},
    "infer": BASE | {"ops", "reads", "nn", "memory"},
    "data": BASE,
    "annotate": NETWORK | {"runtime", "data", "results"},
    "eval": NETWORK | {"data"},
    "exported": BASE,
    "export": NETWORK | {"exported"},
    "report": NETWORK | {"data", "eval"},
    "results": BASE | {"data", "report", "runtime"},
    "train": NETWORK | {"data", "eval", "runtime"},
    "plan": NETWORK | {"data", "train"},
    "paint": BASE | {"annotate", "data", "report", "results", "runtime"},
    "synthetic": BASE | {"data", "results", "runtime"},
    "benchmark": NETWORK | {"runtime", "data", "eval", "report"},
    "study": NETWORK | {"runtime", "data", "eval", "report", "train", "benchmark", "synthetic"},
    "__init__": EVERYTHING,  # the public names
    "runtime": BASE,
    "commands": EVERYTHING | {"__init__"},
    "cli": BASE | {"commands", "catalogue", "moved", "runtime", "wrong_options", "__init__"},
    "__main__": {"cli"},
}
"""What each part of the package may import, besides itself."""

TORCH_TWIN = "weights/torch_twin.py"  # a PyTorch module, imported only where PyTorch is wanted
TORCH_CALLERS = {"weights", "commands"}
TFDS_CALLERS = {"records.py", "tfds_builder.py"}


@functools.cache
def names(path: pathlib.Path, *, inside_functions: bool = True) -> set[str]:
    """Returns the dotted names of all that a file imports, e.g. {"json", "flax.linen.Module"}."""
    nodes = [ast.parse(path.read_text(encoding="utf-8"))]
    found = set()
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it goes"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        if inside_functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            nodes += ast.iter_child_nodes(node)
    return found


def part_of(path: pathlib.Path) -> str:
    """Returns the part of the package that a file belongs to: a folder, or a module on top."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def parts_imported(path: pathlib.Path) -> set[str]:
    """Returns the parts of the package that a file imports."""
    parts = set()
    for name in names(path):
        top, _, rest = name.partition(".")
        if top == "stm_jax":
            part = rest.partition(".")[0]
            is_part = (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").is_file()
            # `import stm_jax` and `from stm_jax import load` are about its public names.
            parts.add(part if part and is_part else "__init__")
    return parts


def libraries(path: pathlib.Path, *, inside_functions: bool = True) -> set[str]:
    found = names(path, inside_functions=inside_functions)
    return {name.partition(".")[0] for name in found}


def relative(path: pathlib.Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_imports_run_one_way(path):
    part = part_of(path)
    assert part in MAY_IMPORT, f"{part} is new: say in MAY_IMPORT what it may import"
    imported = parts_imported(path) - {part}
    assert imported <= MAY_IMPORT[part]


def test_the_rules_themselves_run_one_way():
    below: set[str] = set()
    waiting = dict(MAY_IMPORT)
    while waiting:
        ready = {part for part, allowed in waiting.items() if allowed - {part} <= below}
        assert ready, f"these import one another: {sorted(waiting)}"
        below |= ready
        waiting = {part: allowed for part, allowed in waiting.items() if part not in ready}


def test_nothing_imports_the_command_line():
    importers = [relative(p) for p in SOURCES if "cli" in parts_imported(p) - {part_of(p)}]
    assert set(importers) <= {"__main__.py"}


def test_data_knows_no_jax():
    for path in (PACKAGE / "data").rglob("*.py"):
        heavy = libraries(path) & {"jax", "jaxlib", "flax", "optax", "orbax", "grain"}
        assert heavy <= ({"grain"} if path.name == "pipeline.py" else set()), path


def test_only_the_network_is_written_in_linen():
    for path in SOURCES:
        if part_of(path) != "nn":
            assert not any(name.startswith("flax.linen") for name in names(path)), path


def test_configurations_need_the_standard_library_only():
    assert libraries(PACKAGE / "config.py") <= {"dataclasses", "pathlib", "stm_jax", "typing"}
    assert libraries(PACKAGE / "errors.py") == {"stm_jax"}
    assert libraries(PACKAGE / "text.py") <= {"io", "sys", "unicodedata"}


def test_no_tensorflow():
    for path in [*SOURCES, *PROJECT.glob("configs/*.py"), *PROJECT.glob("tools/**/*.py")]:
        assert not libraries(path) & {"tensorflow", "clu"}, path
        if path.name not in TFDS_CALLERS:
            assert "tensorflow_datasets" not in libraries(path), path
        assert not any("metrics.tensorboard" in name for name in names(path)), path


def test_torch_is_imported_only_where_it_is_asked_for():
    for path in SOURCES:
        if relative(path) == TORCH_TWIN:
            continue
        outside = names(path, inside_functions=False)
        torch = {name for name in outside if name.partition(".")[0] == "torch"}
        assert not torch | {name for name in outside if "torch_twin" in name}, path
        if part_of(path) not in TORCH_CALLERS:
            assert "torch" not in libraries(path), path


def test_every_file_is_read_in_one_sitting():
    lengths = {relative(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > 400} == {}
    assert not [path for path in PROJECT.rglob("utils.py") if PACKAGE in path.parents]


def test_stm_r50_is_as_large_as_the_original():
    shapes = variable_shapes(STM_R50)
    learned = [s.shape for path, s in shapes.items() if path.startswith("params/")]
    assert sum(math.prod(shape) for shape in learned) == 38_925_570
    assert len(shapes) == 558


def test_stm_r50_has_the_sizes_of_the_original(shared):
    theirs = json.loads((shared / "golden" / "stm_state_dict_shapes.json").read_text())
    ours = [math.prod(struct.shape) for struct in variable_shapes(STM_R50).values()]
    assert sorted(ours) == sorted(math.prod(shape) for shape in theirs.values())


def test_an_option_of_several_commands_is_declared_once():
    names = {command.__name__ for command in COMMANDS.values()}
    declared: dict[str, list[str]] = {}
    for path in [*PACKAGE.glob("commands/**/*.py"), *PROJECT.glob("tools/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ClassDef):
                continue
            for each in node.body if node.name.endswith("Options") or node.name in names else ():
                if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                    declared.setdefault(each.target.id, []).append(f"{path.name}: {node.name}")
    shared = ("weights", "memory", "read", "size", "memorize_every", "mask", "overwrite")
    for option in (*shared, "protocol", "split", "root", "heat_maps"):
        assert len(declared[option]) == 1, declared[option]
