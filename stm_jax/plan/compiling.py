"""Compiling a program for devices that are not here.

A child process does it, for JAX looks at its environment once: `python -m stm_jax.plan.compiling`
takes a target and a program, pickled, and writes the compiled text and what is known of it.
"""

import dataclasses
import json
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import time
from typing import Any

from stm_jax.errors import InputError
from stm_jax.plan.programs import Program, lowered
from stm_jax.plan.targets import H100, Target

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
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "stm_jax.plan.compiling", str(folder)],
            input=pickle.dumps((target, program)),
            env=os.environ | _environment(target),
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise InputError(_why(target, done.stderr.decode(errors="replace")))
    facts = json.loads((folder / FACTS).read_text())
    return Compiled(text=(folder / TEXT).read_text(), **facts)


def _environment(target: Target) -> dict[str, str]:
    """Returns what must be set before JAX starts, so that it looks for no device."""
    if target.chip.platform == "cuda":
        return {
            "JAX_PLATFORMS": "cpu",
            "CUDA_VISIBLE_DEVICES": "-1",
            "XLA_FLAGS": "--xla_gpu_autotune_level=0",  # nothing can be timed
        }
    name = f"v5litepod-{target.chips}" if target.chip.name == "v5e" else target.name
    return {
        "JAX_PLATFORMS": "cpu",
        "TPU_SKIP_MDS_QUERY": "1",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        "TPU_ACCELERATOR_TYPE": name,
        "TPU_WORKER_HOSTNAMES": "localhost",
        "TPU_WORKER_ID": "0",
    }


def _why(target: Target, said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    return f"{target.name}: {lines[-1] if lines else 'compiling ended without a word'}"


def _devices(target: Target) -> list[Any]:
    from jax.experimental import topologies

    if target.chip is H100:
        topology = topologies.get_topology_desc(
            platform="cuda",
            topology_name="",
            topology=f"1x1x{target.chips}",
            target_config=H100_DEVICE,
        )
    else:
        axes = "x".join(map(str, target.axes))
        more = {"chips_per_host_bounds": (1, 1, 1)} if target.chips == 1 else {}
        topology = topologies.get_topology_desc(
            platform="tpu", topology_name=f"{target.chip.name}:{axes}", **more
        )
    return list(topology.devices)


def main(folder: pathlib.Path) -> None:
    """Compiles what comes on standard input into a folder."""
    target, program = pickle.load(sys.stdin.buffer)
    begun = time.perf_counter()
    before = lowered(program, _devices(target))
    lowered_at = time.perf_counter()
    compiled = before.compile()
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
    (folder / TEXT).write_text(compiled.as_text())
    (folder / FACTS).write_text(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
