"""The table of `stm-jax variants`: as CSV, Markdown and a page."""

import inspect
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stm_jax.files import write_csv, write_whole
from stm_jax.json_files import load_json
from stm_jax.report.page_of_variants import write_variants_page
from stm_jax.text import utf_8

if TYPE_CHECKING:
    from stm_jax.benchmark.variant_list import Variant

COLUMNS = {
    "variant": "Variant",
    "memory": "Memory",
    "read": "Read",
    "j_and_f": "J&F",
    "j": "J",
    "f": "F",
    "frames_per_second": "Frames/s",
    "memory_mib": "Memory, MiB",
    "peak_mib": "Peak, MiB",
    "compiles": "Compiled",
}
DIGITS = {"j_and_f": 4, "j": 4, "f": 4, "frames_per_second": 2, "memory_mib": 2, "peak_mib": None}


def finished_row(
    variant: "Variant", folder: pathlib.Path, done: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the row of a variant that is done.

    Scores are None where no true masks are known; frames a second are without compilation and
    files; the memory is the largest of the sequences', by its shapes; the peak is of the device
    where that tells, else of the whole process.
    """
    noted = [load_json(path) for path in sorted(folder.glob("sequences/*.json"))]
    scores = folder / "scores.json"
    found = load_json(scores)["global"] if scores.is_file() else {}
    frames = sum(each["frames"] for each in noted)
    seconds = sum(each["segment_seconds"] for each in noted)
    row = {
        "variant": variant.name,
        "memory": repr(variant.memory),
        "read": ", ".join([_text(variant.read), *filter(None, [" ".join(variant.similarity)])]),
        "j_and_f": found.get("J&F"),
        "j": found.get("J_mean"),
        "f": found.get("F_mean"),
        "frames_per_second": frames / max(seconds, 1e-3),
        "memory_mib": max(each["memory_bytes"] for each in noted) / 2**20,
        "peak_mib": done["peak_bytes"] / 2**20 or None,
        "compiles": sum(each["compiles"] for each in noted),
    }
    return {name: _rounded(name, value) for name, value in row.items()}


def write_results(
    out: pathlib.Path, rows: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]
) -> None:
    """Writes variants.csv, variants.md and variants.html, each whole or not at all."""
    write_csv(out / "variants.csv", [list(COLUMNS), *([row[c] for c in COLUMNS] for row in rows)])
    write_whole(out / "variants.md", utf_8(_markdown(rows)))
    write_variants_page(out / "variants.html", COLUMNS, rows, settings)


def table_line(row: Mapping[str, Any]) -> str:
    """Returns a row in short, for the terminal."""
    score = "no truth" if row["j_and_f"] is None else f"J&F {row['j_and_f']:.3f}"
    return (
        f"{row['variant']}: {score}, {row['frames_per_second']:.3g} frames/s,"
        f" memory {row['memory_mib']:.4g} MiB"
    )


def _markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [list(COLUMNS.values()), ["---"] * 3 + ["---:"] * (len(COLUMNS) - 3)]
    for row in rows:
        cells = ["" if row[name] is None else str(row[name]) for name in COLUMNS]
        lines.append([cell.replace("|", "\\|").replace("\n", " ") for cell in cells])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _text(read: Any) -> str:
    if read is None:
        return "default"
    return read.__name__ if inspect.isfunction(read) else repr(read)


def _rounded(name: str, value: Any) -> Any:
    return round(value, DIGITS[name]) if name in DIGITS and value is not None else value
