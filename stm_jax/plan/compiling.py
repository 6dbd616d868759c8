"""Compiling a program for devices that are not here.

A child process does it, for JAX looks at its environment once: `python -m stm_jax.plan.compiling`
takes a target and a program, pickled, and writes the compiled text and what is known of it.
"""

import dataclasses
import functools
import importlib.util
import json
import os
import pathlib
import pickle
import re
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import jax
import numpy as np
from jax.experimental import topologies

from stm_jax.errors import InputError
from stm_jax.files import write_whole
from stm_jax.json_files import load_json
from stm_jax.plan.programs import Program, call_of
from stm_jax.plan.targets import Target

TEXT, FACTS = "compiled.txt", "facts.json"

H100_DEVICE = """
gpu_device_info {
  cuda_compute_capability { major: 9 }
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472
  threads_per_core_limit: 2048
  registers_per_block_limit: 65536
  registers_per_core_limit: 65536
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  clock_rate_ghz: 1.98
  memory_bandwidth: 3350000000000
  l2_cache_size: 52428800
  device_memory_size: 85899345920
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 12 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
"""What XLA's GPU compiler asks of a device, as a text proto; from NVIDIA's data sheet."""


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A compiled program.

    Attributes:
        text: Its instructions, optimised, in order.
        seconds: How long compiling took.
        lowering_seconds: How long tracing and lowering took before.
        arguments: Bytes that it is given, on each device.
        outputs: Bytes that it returns ...
        aliased: ... of which so many lie where arguments lay.
        temporary: Bytes that it needs meanwhile.
        xla_bytes: What XLA says it accesses, on the chip included; None where it does not say.
    """

    text: str
    seconds: float
    lowering_seconds: float
    arguments: int
    outputs: int
    aliased: int
    temporary: int
    xla_bytes: float | None

    @property
    def memory(self) -> int:
        """Bytes of main memory that it needs on each device."""
        return self.arguments + self.outputs - self.aliased + self.temporary


def compiled_for(target: Target, program: Program, folder: pathlib.Path | None = None) -> Compiled:
    """Compiles a program for a target, in a process of its own.

    Args:
        target: What for.
        program: What.
        folder: Where text and facts are kept; what is there is read instead of compiling.

    Raises:
        InputError: What compiles for the target is not installed, or it cannot compile it.
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            return compiled_for(target, program, pathlib.Path(temporary))
    if not (folder / FACTS).is_file():
        check_installed(target)
        folder.mkdir(parents=True, exist_ok=True)
        _in_child("compile", target, program, folder, _environment(target))
    text = (folder / TEXT).read_bytes().decode("utf-8")
    return Compiled(text=text, **load_json(folder / FACTS))


def measured_seconds(target: Target, program: Program) -> float | None:
    """Returns how long a call takes on devices of the target's kind, or None if none are here.

    The median of ten calls, one after the other, once it is compiled.
    """
    kind, number = _devices_here()
    if kind != target.chip.device_kind or number < target.chips:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        _in_child("measure", target, program, path, {})
        return load_json(path / FACTS)


@functools.cache
def _devices_here() -> tuple[str, int]:
    """Returns the kind and the number of this machine's devices; none if they cannot be had.

    A process of its own looks, which lets go of them again: a TPU has room for one process.
    """
    ask = "import jax; found = jax.devices(); print(); print(found[0].device_kind, len(found))"
    answer = subprocess.run(
        [sys.executable, "-c", ask], capture_output=True, text=True, check=False
    )
    if answer.returncode:
        return "", 0
    kind, _, number = answer.stdout.rstrip().rpartition("\n")[2].rpartition(" ")
    return kind, int(number)


def check_installed(target: Target) -> None:
    """Refuses a target for which nothing here compiles.

    Raises:
        InputError: It is so.
    """
    wanted = {"tpu": "libtpu", "cuda": "jax_cuda13_plugin"}.get(target.chip.platform)
    if wanted is not None and importlib.util.find_spec(wanted) is None:
        raise InputError(
            f"{target.name}: {wanted} compiles for it and is not here; pip install"
            f" 'stm_jax[plan-{target.chip.platform}]'"
        )


def _in_child(
    what: str, target: Target, program: Program, folder: pathlib.Path, environment: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stm_jax.plan.compiling", what, str(folder)],
        input=pickle.dumps((target, program)),
        env=os.environ | environment,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        said = re.findall(r"^[\w.]*Error: .*", done.stderr.decode(errors="replace"), re.MULTILINE)
        raise InputError(f"{target.name}: {said[-1] if said else 'the compiler ended in silence'}")


def _environment(target: Target) -> dict[str, str]:
    """Returns what must be set before JAX starts, so that it looks for no device."""
    if target.chip.platform == "cpu":
        return {"JAX_PLATFORMS": "cpu"}
    if target.chip.platform == "cuda":
        return {
            "JAX_PLATFORMS": "cpu",
            "CUDA_VISIBLE_DEVICES": "-1",
            # Nothing can be timed, and Triton has no good choice without that.
            "XLA_FLAGS": "--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false",
        }
    return {
        "JAX_PLATFORMS": "cpu",
        "TPU_SKIP_MDS_QUERY": "1",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        "TPU_ACCELERATOR_TYPE": target.name.replace("v5e", "v5litepod"),
        "TPU_WORKER_HOSTNAMES": "localhost",
        "TPU_WORKER_ID": "0",
    }


def _devices_elsewhere(target: Target) -> list[Any]:
    if target.chip.platform == "cpu":
        return jax.devices("cpu")
    if target.chip.platform == "cuda":
        topology = topologies.get_topology_desc(
            platform="cuda",
            topology_name="",
            topology=f"1x1x{target.chips}",
            target_config=H100_DEVICE,
        )
        return list(topology.devices)
    # A slice of less than a host has no name that all generations know.
    whole = target.chips >= 4
    axes = target.axes if whole else (2, 2, 1)[: len(target.axes)]
    topology = topologies.get_topology_desc(
        platform="tpu", topology_name=f"{target.chip.name}:{'x'.join(map(str, axes))}"
    )
    return list(topology.devices)[: target.chips]


def _compile(target: Target, program: Program, folder: pathlib.Path) -> None:
    begun = time.perf_counter()
    call = call_of(program, _devices_elsewhere(target))
    lowered = call.function.lower(*call.constants, *call.arguments)
    lowered_at = time.perf_counter()
    compiled = lowered.compile()
    ended = time.perf_counter()
    memory = compiled.memory_analysis()
    facts = {
        "seconds": ended - lowered_at,
        "lowering_seconds": lowered_at - begun,
        "arguments": memory.argument_size_in_bytes,
        "outputs": memory.output_size_in_bytes,
        "aliased": memory.alias_size_in_bytes,
        "temporary": memory.temp_size_in_bytes,
        "xla_bytes": (compiled.cost_analysis() or {}).get("bytes accessed"),
    }
    write_whole(folder / TEXT, compiled.as_text().encode())
    write_whole(folder / FACTS, json.dumps(facts, indent=1).encode())


def _measure(target: Target, program: Program, folder: pathlib.Path) -> None:
    call = call_of(program, jax.devices()[: target.chips])
    arguments = jax.tree.map(
        lambda leaf: jax.device_put(np.zeros(leaf.shape, leaf.dtype), leaf.sharding),
        list(call.arguments),
    )
    times = []
    for _ in range(12):
        begun = time.perf_counter()
        results = jax.block_until_ready(call.function(*call.constants, *arguments))
        times.append(time.perf_counter() - begun)
        arguments[call.state] = results[0]
    write_whole(folder / FACTS, json.dumps(statistics.median(times[2:])).encode())


def main(what: str, folder: str) -> None:
    """Compiles, or measures, what comes on standard input; writes what it finds into a folder."""
    target, program = pickle.load(sys.stdin.buffer)
    {"compile": _compile, "measure": _measure}[what](target, program, pathlib.Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
