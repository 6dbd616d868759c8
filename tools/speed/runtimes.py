"""How long a frame takes on a CPU, by what runs the network: a Markdown table.

    python tools/speed/runtimes.py
    python tools/speed/runtimes.py --network stm-r18 --objects 5

A frame is remembered and the next one segmented, with 6 frames in memory. All take turns. The
original is the twin in PyTorch; in bfloat16 it runs under autocast, as its users would run it.
Needs the extras torch, onnx and openvino, and jax2onnx.
"""

import dataclasses
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import onnxruntime
import torch
import tyro

from stm_jax.commands.shared.demo_clip import frames_with_masks
from stm_jax.config import STM_R18, STM_R50
from stm_jax.export.onnx import export_onnx
from stm_jax.export.programs import Sizes
from stm_jax.infer.openvino import OpenVino
from stm_jax.nn.model import Model, random_model
from tools.speed.inference import Case, load_twin, our_step, torch_calls
from tools.speed.turns import interleave, spread

SLOTS = 6
ORIGINAL = "PyTorch, bfloat16 by autocast"


@dataclasses.dataclass(frozen=True)
class Options:
    """What is timed."""

    network: Literal["stm-r18", "stm-r50"] = "stm-r50"
    """Its weights are of chance."""
    height: str = "480p"
    objects: int = 1
    rounds: int = 5


def main(options: Options) -> None:
    """Prints the table."""
    config = {"stm-r18": STM_R18, "stm-r50": STM_R50}[options.network]
    model = random_model(config)
    case = Case(config, options.height, options.objects, SLOTS, "float32")
    rounded = dataclasses.replace(case, dtype="bfloat16")  # as the commands have it
    examples = tuple(frames_with_masks().values())
    twin = load_twin(model, "float32")
    plain = torch_calls(case, twin)["step"]

    def autocast() -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return plain()

    calls = {
        "PyTorch, float32": plain,
        ORIGINAL: autocast,
        "this library, float32": our_step(case, model),
        "OpenVINO, float32": our_step(case, model, OpenVino(model, "float32")),
        "OpenVINO, bfloat16": our_step(rounded, model, OpenVino(model, "bfloat16")),
        "OpenVINO, int8": our_step(rounded, model, OpenVino(model, "int8", examples)),
    }
    with tempfile.TemporaryDirectory() as folder:
        calls["ONNX graphs, onnxruntime, float32"] = onnx_step(case, model, pathlib.Path(folder))
        seconds = interleave(calls, options.rounds)
    print(f"{config.name}, {case}, {options.rounds} rounds, medians and ranges\n")
    print("| what runs it | a frame, s | CPU seconds | times the original's speed in bfloat16 |")
    print("| --- | --- | --- | --- |")
    for name, (clock, cpu) in seconds.items():
        times = spread(seconds[ORIGINAL][0] / clock, ".2f")
        print(f"| {name} | {spread(clock, '.2f')} | {spread(cpu, '.2f')} | {times} |")


def onnx_step(case: Case, model: Model, folder: pathlib.Path) -> Callable[[], np.ndarray]:
    """Returns a step of the exported graphs; frames have the next size of whole strides."""
    height, width = (-(-side // 16) * 16 for side in case.frame.shape[:2])
    frame = np.resize(case.frame, (height, width, 3))
    masks = np.resize(case.masks, (case.objects, height, width))
    export_onnx(model, folder, Sizes((height, width), case.objects, SLOTS))
    memorize, segment = (
        onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in ("memorize", "segment")
    )
    keys, values = case.memory
    memory = {"keys": keys, "values": values, "filled": np.ones(keys.shape[:2], bool)}

    def step() -> np.ndarray:
        key, value = memorize.run(None, {"frame": frame, "masks": masks})
        memory["keys"][:, 0], memory["values"][:, 0] = key, value
        return np.argmax(np.asarray(segment.run(None, {"frame": frame, **memory})[0]), axis=0)

    return step


if __name__ == "__main__":
    main(tyro.cli(Options))
