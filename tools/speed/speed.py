"""Measures speed and memory of inference, and of the same network in PyTorch beside it.

    python tools/speed/speed.py --config stm-r50 --sizes 240p 480p --objects 1 5 --memory-frames 5

Contestants take turns, round after round, so that a busy machine slows all alike. Printed is
the median over the rounds with [least, most], of the time on the clock and of the seconds that
all threads together spent on the CPU, which other programs disturb less. A ratio is taken within
each round.

`memorize` turns one frame and the masks of all objects into keys and values. `segment` turns
one frame and the given memory frames into probabilities. `step` is `Segmenter.step`: from the
bytes of one frame to its ids, with both of the above and the writing of the memory in between.

GFLOP counts a multiplication and an addition as two, in this project's own program as it is
written, by XLA's cost analysis before optimisation. GFLOP/s are of that count for both, so they
are speeds of the same useful work. PyTorch runs stm_jax/weights/torch_twin.py eagerly, in
channels-last layout and with the skips computed once a frame; as "original" it keeps PyTorch's
default layout and computes the skips for each object, as the original implementation does. Its
threads wait without spinning (OMP_WAIT_POLICY=PASSIVE), or it would fall behind many times where
others use the CPU. Weights are random. MiB is what a call takes beyond what is held before it
(weights and memory frames).

    python tools/speed/speed.py --sections reads --sizes 480p --memory-frames 1 5 20 100

times the read of one object's memory alone: dense, in chunks, slot by slot as inference reads, and
PyTorch's matrix product, softmax, matrix product. Temporary memory is that of the compiled program,
by XLA's own figures.

    python tools/speed/speed.py --sections training --objects 1

times a training step, from the bytes of a clip to new weights: see training.py beside this.

On a GPU, `--contestants torch original compiled` has PyTorch's programs by `torch.compile` too.
`--numbers float32` multiplies exactly there, `tf32` as JAX and PyTorch do if they are told to be
quick, and of bfloat16 the share of the rate that the GPU's maker publishes is printed.
"""

import contextlib
import ctypes
import dataclasses
import gc
import itertools
import logging
import os
import pathlib
from collections.abc import Callable
from typing import Any, Literal

# All three are heard only before JAX and PyTorch are imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the two share an accelerator
with contextlib.suppress(OSError, AttributeError):  # not glibc
    # One arena for all threads: malloc_trim, before a peak is taken, returns no other's memory.
    ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX := -8, 1)

import jax
import numpy as np
import tyro
from inference import (
    Case,
    compiled,
    count_gflop,
    load_twin,
    multiply_as,
    our_calls,
    our_step,
    torch,
    torch_calls,
)
from reads import READS, largest_difference, read_calls
from training import clips_of, compare_training
from turns import interleave, rate, ratio, status_kib, times

from stm_jax import Model
from stm_jax.config import PRESETS, STM_R18, STM_R50
from stm_jax.nn.model import random_model
from stm_jax.runtime.compile_watch import watch_compilation
from stm_jax.runtime.freed_memory import keep_freed_memory


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured, and how often."""

    config: Literal["stm-r50", "stm-r18", "tiny"] = "stm-r50"
    sizes: tuple[str, ...] = ("240p", "480p")
    """Heights; widths are in DAVIS's ratio of 854 to 480."""
    objects: tuple[int, ...] = (1, 5)
    memory_frames: tuple[int, ...] = (5,)
    numbers: Literal["float32", "tf32", "bfloat16"] = "float32"
    """What convolutions and memory are computed in; TF32 is float32 quickly, on a GPU."""
    contestants: tuple[Literal["torch", "original", "compiled"], ...] = ("torch", "original")
    """What stands beside ours; training has "torch" in both layouts instead of "original"."""
    rounds: int = 7
    sections: tuple[Literal["network", "objects", "presets", "reads", "training"], ...] = (
        "network",
        "objects",
    )
    training_size: int = 256
    """Side of the clips that training is measured on, in pixels."""
    training_clips: int = 1
    """Clips a step; PyTorch's network takes one after the other."""

    @property
    def dtype(self) -> str:
        """Of the arrays."""
        return "bfloat16" if self.numbers == "bfloat16" else "float32"


def compare_network(options: Options, model: Model) -> None:
    """Times memorize, segment and step, ours and PyTorch's."""
    twin = load_twin(model, options.dtype)
    for size, count, frames in itertools.product(
        options.sizes, options.objects, options.memory_frames
    ):
        case = Case(model.config, size, count, frames, options.dtype)
        print(f"\n{case}", flush=True)
        contestants = {"ours": our_calls(case, model)}
        others = options.contestants if twin is not None else ()
        if "torch" in others:
            contestants["torch"] = torch_calls(case, twin)
        if "original" in others:
            contestants["original"] = torch_calls(case, twin, as_original=True)
        if "compiled" in others:
            contestants["compiled"] = torch_calls(case, compiled(twin))
        for name, gflop in count_gflop(case, model).items():
            calls = {who: calls[name] for who, calls in contestants.items()}
            with watch_compilation() as first:
                for call in calls.values():
                    call()
            memory = {who: peak_memory(call, who) for who, call in calls.items()}
            with watch_compilation() as late:
                seconds = interleave(calls, options.rounds)
            print(
                f"  {name}: {gflop:.1f} GFLOP; {first.programs} programs compiled in "
                f"{first.seconds:.1f} s, {late.programs} while measured"
            )
            for who, each in seconds.items():
                print(
                    f"    {who:8} {times(each)}, {np.median(1 / each[0]):.2f} frames/s, "
                    f"{rate(gflop / each[0], options.dtype)}, {memory[who]}"
                )
            for who in [who for who in seconds if who != "ours"]:
                told = ratio(seconds[who], seconds["ours"])
                print(f"    time({who}) / time(ours): {told}", flush=True)
        for who in list(contestants)[1:]:
            ours, theirs = (contestants[each]["segment"]() for each in ("ours", who))
            difference = np.abs(np.asarray(ours) - theirs.float().cpu().numpy()).max()
            print(f"  the probabilities of {who} differ from ours by at most {difference:.1e}")


def compare_objects(options: Options, model: Model) -> None:
    """Times a step with five objects against a step with one, at 480p."""
    frames = options.memory_frames[0]
    cases = [Case(model.config, "480p", count, frames, options.dtype) for count in (1, 5)]
    calls = {str(case): our_step(case, model) for case in cases}
    seconds = interleave(calls, options.rounds)
    print()
    for case, each in seconds.items():
        print(f"{case}: step {times(each)}")
    one, five = seconds.values()
    print(f"time(5) / time(1): {ratio(five, one)} (wanted of stm-r50: at most 3.4)")


def compare_presets(options: Options, model: Model) -> None:
    """Times a step of the other of `stm-r50` and `stm-r18` against the given one."""
    others = [config for config in (STM_R50, STM_R18) if config != model.config]
    models = {model.config.name: model} | {config.name: random_model(config) for config in others}
    for size, frames in itertools.product(options.sizes, options.memory_frames):
        calls = {
            name: our_step(Case(one.config, size, 1, frames, options.dtype), one)
            for name, one in models.items()
        }
        seconds = interleave(calls, options.rounds)
        print(f"\n{size}, memory frames {frames}: step")
        for name, each in seconds.items():
            told = ratio(seconds[model.config.name], each)
            print(
                f"  {name}: {times(each)}, {np.median(1 / each[0]):.2f} frames/s; "
                f"time({model.config.name}) / time: {told}",
                flush=True,
            )


def compare_reads(options: Options, model: Model) -> None:
    """Times ways to read one object's memory, and PyTorch's beside them."""
    for size, frames, kind in itertools.product(options.sizes, options.memory_frames, READS):
        case = Case(model.config, size, 1, frames, options.dtype)
        calls, temporary = read_calls(case, kind)
        difference = largest_difference(calls)
        memory = {who: peak_memory(call, who) for who, call in calls.items()}
        seconds = interleave(calls, options.rounds)
        print(f"\n{case}: {kind}")
        for who, each in seconds.items():
            print(f"  {who:7} {times(each)}, {temporary[who]}, {memory[who]}")
        for who in [who for who in seconds if who != "torch"] if "torch" in seconds else []:
            print(f"  time(torch) / time({who}): {ratio(seconds['torch'], seconds[who])}")
        print(f"  they differ from {next(iter(calls))} by at most {difference:.1e}", flush=True)


def compare_steps(options: Options, model: Model) -> None:
    """Times a training step, ours and PyTorch's."""
    others = tuple(who for who in options.contestants if who != "original")
    for objects in options.objects:
        clip = clips_of(options.training_size, objects, options.training_clips)
        compare_training(clip, objects, options.dtype, options.rounds, model, others)


# A section is a function of the options and the model that prints what it measures.
SECTIONS = {
    "network": compare_network,
    "objects": compare_objects,
    "presets": compare_presets,
    "reads": compare_reads,
    "training": compare_steps,
}


def peak_memory(call: Callable[[], Any], who: str) -> str:
    """Returns what a call takes beyond what is held before it, where the system tells."""
    if jax.default_backend() == "cpu":
        try:
            gc.collect()
            ctypes.CDLL("libc.so.6").malloc_trim(0)
            pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
            held = status_kib("VmHWM")
            call()
            return f"{(status_kib('VmHWM') - held) / 2**10:.0f} MiB"
        except (OSError, AttributeError):  # not Linux, or not glibc
            return "memory unknown"
    if who in ("torch", "original", "compiled"):
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        call()
        return f"{(torch.cuda.max_memory_allocated() - held) / 2**20:.0f} MiB"
    peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    # JAX cannot begin its peak anew.
    return "memory unknown" if peak is None else f"{peak / 2**20:.0f} MiB in all, so far"


def main(options: Options) -> None:
    """Runs the sections one after the other."""
    if options.numbers == "tf32" and jax.default_backend() != "gpu":
        raise SystemExit("--numbers tf32: only GPUs have it")
    multiply_as(options.numbers)
    keep_freed_memory()
    logging.getLogger("stm_jax").setLevel(logging.ERROR)  # the memory is full: on purpose
    threads = f", torch {torch.__version__} of {torch.get_num_threads()} threads" if torch else ""
    print(
        f"{options.config} {options.numbers} on {jax.devices()[0].device_kind}, {os.cpu_count()} "
        f"CPU cores, jax {jax.__version__}{threads}; {options.rounds} rounds"
    )
    model = random_model(next(config for config in PRESETS if config.name == options.config))
    # Less sure of itself: at a probability of 1 PyTorch's float32 loses the digits of 1 - p.
    predict = model.variables["params"]["decoder"]["predict"]["conv"]
    predict["kernel"] = 0.05 * predict["kernel"]
    for section in options.sections:
        SECTIONS[section](options, model)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
