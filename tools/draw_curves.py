"""Draws the curves of a training run: its loss, and J&F on the sequences it validates on.

    python tools/draw_curves.py runs/stm-r18 docs/stm_r18_curves.svg

Reads log.jsonl of the run; needs matplotlib (`pip install 'stm_jax[curves]'`).
"""

import dataclasses
import io
import json
import pathlib

import matplotlib
import numpy as np
import tyro
from matplotlib.figure import Figure

from stm_jax.errors import InputError
from stm_jax.files import write_whole

SMOOTHED = 5  # lines of the log in the running mean


@dataclasses.dataclass(frozen=True)
class Options:
    """What is drawn."""

    run: tyro.conf.Positional[pathlib.Path]
    """Folder of a training run."""
    out: tyro.conf.Positional[pathlib.Path]
    """The picture, .svg or .png."""


def main(options: Options) -> None:
    """Draws."""
    losses, scores = read_log(options.run / "log.jsonl")
    matplotlib.rcParams["svg.hashsalt"] = "stm_jax"  # the same file from the same run
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    loss_axes, score_axes = figure.subplots(1, 2)
    for stage, (steps, values) in losses.items():
        (line,) = loss_axes.plot(steps, values, linewidth=0.6, alpha=0.5)
        smooth = [np.mean(values[max(0, i + 1 - SMOOTHED) : i + 1]) for i in range(len(values))]
        loss_axes.plot(steps, smooth, color=line.get_color(), label=f"stage {stage}")
    loss_axes.set(xlabel="step", ylabel="training loss", yscale="log")
    loss_axes.legend(frameon=False)
    for name, values in scores[1].items():
        score_axes.plot(scores[0], values, marker="o", markersize=3, label=name)
    if scores[0]:
        score_axes.legend(frameon=False)
    score_axes.set(xlabel="step", ylabel="on held-back sequences", xlim=loss_axes.get_xlim())
    drawn = io.BytesIO()
    kind = options.out.suffix.removeprefix(".")
    metadata = {"Date": None} if kind == "svg" else None
    figure.savefig(drawn, format=kind, dpi=150, metadata=metadata)
    write_whole(options.out, drawn.getvalue())


Curve = tuple[list[int], list[float]]


def read_log(path: pathlib.Path) -> tuple[dict[int, Curve], tuple[list[int], dict[str, list]]]:
    """Returns steps and losses by stage, and the steps and scores of the validations by name.

    Lines of a step that was reached again, after an interruption, replace the earlier ones.

    Raises:
        InputError: The run has no log.
    """
    if not path.is_file():
        raise InputError(f"no {path}; give the folder of a training run")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    trained = {line["step"]: line for line in lines if "loss" in line}
    validated = {line["step"]: line["validation"] for line in lines if "validation" in line}
    losses: dict[int, Curve] = {}
    for step, line in sorted(trained.items()):
        steps, values = losses.setdefault(line["stage"], ([], []))
        steps.append(step)
        values.append(line["loss"])
    names = sorted({name for scores in validated.values() for name in scores})
    steps = sorted(validated)
    return losses, (steps, {name: [validated[step][name] for step in steps] for name in names})


if __name__ == "__main__":
    main(tyro.cli(Options))
