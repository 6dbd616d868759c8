"""The accelerators that a plan can be made for, with the rates that their makers publish."""

import dataclasses
import math
import re
from typing import Literal

from stm_jax.errors import InputError

GB = 10**9
MIB = 2**20


@dataclasses.dataclass(frozen=True)
class Chip:
    """One device, as its maker's page describes it.

    Attributes:
        name: As in a target's name.
        platform: What compiles for it.
        matrix_rate: Of bfloat16 products with sums in float32, FLOP a second, dense.
        memory: Of its main memory, bytes.
        memory_bandwidth: Of its main memory, bytes a second.
        matrix_side: Channels that its matrix unit takes at once: others are padded to that.
        clock: Cycles a second, from the published rate and the units' size.
        links: How many links lead to its neighbours, or to the switch.
        link_bandwidth: Of each of them in each direction, bytes a second.
        whole_ring: From how many chips along an axis on its ends are joined; None where all links
            lead to a switch.
        device_kind: How JAX names it.
        source: Where the numbers are from.
    """

    name: str
    platform: Literal["tpu", "cuda", "cpu"]
    matrix_rate: float
    memory: float
    memory_bandwidth: float
    matrix_side: int
    clock: float
    links: int
    link_bandwidth: float
    whole_ring: int | None
    device_kind: str
    source: str


V5E = Chip(
    name="v5e",
    platform="tpu",
    matrix_rate=197e12,
    memory=16 * GB,
    memory_bandwidth=819e9,
    matrix_side=128,
    clock=1.5e9,
    links=4,
    link_bandwidth=50e9,
    whole_ring=16,
    device_kind="TPU v5 lite",
    source="docs.cloud.google.com/tpu/docs/v5e",
)
V5P = Chip(
    name="v5p",
    platform="tpu",
    matrix_rate=459e12,
    memory=95 * GB,
    memory_bandwidth=2765e9,
    matrix_side=128,
    clock=1.75e9,
    links=6,
    link_bandwidth=100e9,
    whole_ring=4,
    device_kind="TPU v5",
    source="docs.cloud.google.com/tpu/docs/v5p",
)
V6E = Chip(
    name="v6e",
    platform="tpu",
    matrix_rate=918e12,
    memory=32 * GB,
    memory_bandwidth=1638e9,
    matrix_side=256,
    clock=1.75e9,
    links=4,
    link_bandwidth=100e9,
    whole_ring=16,
    device_kind="TPU v6 lite",
    source="docs.cloud.google.com/tpu/docs/v6e",
)
H100 = Chip(
    name="h100",
    platform="cuda",
    matrix_rate=989e12,
    memory=80 * GB,
    memory_bandwidth=3350e9,
    matrix_side=16,
    clock=1.83e9,
    links=18,
    link_bandwidth=25e9,
    whole_ring=None,
    device_kind="NVIDIA H100 80GB HBM3",
    source="nvidia.com/en-us/data-center/h100 (SXM, without sparsity)",
)
CPU = Chip(
    name="cpu",
    platform="cpu",
    matrix_rate=math.nan,
    memory=math.nan,
    memory_bandwidth=math.nan,
    matrix_side=1,
    clock=math.nan,
    links=0,
    link_bandwidth=math.nan,
    whole_ring=None,
    device_kind="cpu",
    source="none: for the compile time alone, and what is measured",
)
CHIPS = (V5E, V5P, V6E, H100)


@dataclasses.dataclass(frozen=True)
class Target:
    """So many chips, connected as their maker connects them.

    Attributes:
        name: As it was given, such as "v5e-8".
        chip: Of which kind all are.
        axes: How many chips lie along each axis of the network between them.
    """

    name: str
    chip: Chip
    axes: tuple[int, ...]

    @property
    def chips(self) -> int:
        """How many there are."""
        return math.prod(self.axes)


def target_of(name: str) -> Target:
    """Returns the target of a name: as Google names slices of TPU, `h100x8`, or `cpu`.

    `v5e-8` and `v6e-8` are eight chips; `v5p-8` is four, for Google counts its cores, two a chip.
    GPUs are those of one machine, eight at most.

    Raises:
        InputError: There is no such target.
    """
    if name == CPU.name:
        return Target(name, CPU, (1,))
    found = re.fullmatch(r"(v5e|v5p|v6e)-(\d{1,4})|(h100)x(\d)", name)
    if found is not None:
        chip = next(each for each in CHIPS if each.name == (found[1] or found[3]))
        count = int(found[2] or found[4]) // (2 if chip is V5P else 1)
        axes = _axes_of(chip, count)
        if axes is not None and (chip is not V5P or 2 * count == int(found[2])):
            return Target(name, chip, axes)
    raise InputError(
        f"no target {name}: give v5e-N or v6e-N with N a power of 2 from 1 to 256, v5p-N with N"
        " from 8 to 2048, h100xN with N from 1 to 8, or cpu"
    )


def _axes_of(chip: Chip, count: int) -> tuple[int, ...] | None:
    """Returns the slice of so many chips that is nearest to a square or a cube."""
    if chip.platform == "cuda":
        return (count,) if 1 <= count <= 8 else None
    dimensions, least, most = (3, 4, 1024) if chip is V5P else (2, 1, 256)
    if not least <= count <= most or count & (count - 1):
        return None
    twos = count.bit_length() - 1
    # As even as can be, the larger sides last; but v5p's slices are longer than high: 2x2x1.
    shares = [(twos + axis) // dimensions for axis in range(dimensions)]
    if chip is V5P and count == 4:
        return (2, 2, 1)
    return tuple(2**share for share in shares)


def sizes_of(chip: Chip) -> tuple[Target, ...]:
    """Returns the slices of a chip from one to 256, or as many as a machine has."""
    counts = {"cpu": (1,), "cuda": (1, 2, 4, 8)}.get(chip.platform, (1, 4, 8, 16, 64, 256))
    found = []
    for count in counts:
        axes = _axes_of(chip, count) or (count,)
        name = {"cpu": "cpu", "cuda": f"{chip.name}x{count}"}.get(chip.platform)
        found.append(Target(name or f"{chip.name}, {count} chips", chip, axes))
    return tuple(found)
