"""What the section `reads` of speed.py times: reads of the memory, ours and PyTorch's."""

import dataclasses
import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from inference import Calls, Case, torch

from stm_jax.reads import Chunked, Dense, Slots, TopK
from stm_jax.reads.protocol import Answer, MemoryView, Read


@dataclasses.dataclass(frozen=True)
class Attention(Read):
    """`Dense` by JAX's attention, with all slots filled.

    It wants values as wide as keys, so values are cut into heads, and all heads have the same
    keys and queries.
    """

    implementation: Literal["xla", "cudnn"]

    def __call__(self, query_key, memory, expected=None, *, with_mass=False) -> Answer:
        """Arguments and result are those of `Read`; there is no mass."""
        channels = query_key.shape[-1]
        values = memory.values.reshape(1, -1, memory.values.shape[-1] // channels, channels)
        heads = values.shape[2]

        def for_all(keys: jax.Array) -> jax.Array:
            rows = keys.reshape(1, -1, 1, channels)
            return jnp.broadcast_to(rows, (1, rows.shape[1], heads, channels))

        read = jax.nn.dot_product_attention(
            for_all(query_key), for_all(memory.keys), values, implementation=self.implementation
        )
        return Answer(read.reshape(*query_key.shape[:2], -1))


K = 20
READS: dict[str, dict[str, Read]] = {
    "read": {
        "dense": Dense(),
        "chunked": Chunked(),
        "slots": Slots(),
        "attention": Attention("xla"),
    },
    f"read of the best {K}": {"top-k": TopK(K)},
}
"""Reads that answer alike, which take turns with PyTorch's; the first is the one compared with."""


def arrays_of(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns query key (h, w, key), memory keys and values (frames, h, w, channels), float32."""
    rows, columns = (-(-side // 16) for side in case.mask.shape)
    config, rng = case.config, np.random.default_rng(2)
    query_key = rng.standard_normal((rows, columns, config.key_channels), np.float32)
    frames = (case.memory_frames, rows, columns)
    keys = rng.standard_normal((*frames, config.key_channels), np.float32)
    values = rng.standard_normal((*frames, config.value_channels), np.float32)
    return query_key, keys, values


def read_calls(case: Case, kind: str) -> tuple[Calls, dict[str, str]]:
    """Returns the reads of one object, and what is known of the temporary memory of each.

    Args:
        case: Of one object.
        kind: A key of READS.
    """
    on_host = arrays_of(case)
    query_key, *arrays = (jnp.asarray(array, case.dtype) for array in on_host)
    memory = MemoryView(*arrays, filled=jnp.ones(case.memory_frames, bool))
    calls, temporary = {}, {}
    reads = dict(READS[kind])
    if kind == "read" and jax.default_backend() == "gpu" and case.dtype == "bfloat16":
        reads["cudnn"] = Attention("cudnn")  # which has no other numbers
    for name, read in reads.items():
        program: Any = jax.jit(read).lower(query_key, memory).compile()
        figures = program.memory_analysis()
        bytes_taken = None if figures is None else figures.temp_size_in_bytes
        temporary[name] = (
            "temporary memory unknown"
            if bytes_taken is None
            else f"temporary memory {bytes_taken / 2**20:.1f} MiB"
        )
        calls[name] = functools.partial(_wait_for, program, query_key, memory)
    on_cpu = jax.default_backend() == "cpu"
    if torch is not None and (on_cpu or torch.cuda.is_available()):
        calls["torch"] = _torch_read(
            on_host, case.dtype, "cpu" if on_cpu else "cuda", K if "top-k" in calls else None
        )
        temporary["torch"] = "temporary memory not told"
    return calls, temporary


def largest_difference(calls: Calls) -> float:
    """Returns how far any answer is from the first one."""
    answers = [call() for call in calls.values()]
    first, *others = (
        np.asarray(a if isinstance(a, jax.Array) else a.float().cpu(), np.float32).ravel()
        for a in answers
    )
    return max((float(np.abs(first - other).max()) for other in others), default=0.0)


def _wait_for(program: Any, query_key: jax.Array, memory: MemoryView) -> jax.Array:
    return jax.block_until_ready(program(query_key, memory).values)


def _torch_read(on_host: tuple[np.ndarray, ...], dtype: str, device: str, k: int | None) -> Any:
    """Matrix product, softmax, matrix product; with k the softmax is over the k best."""
    query, keys, values = (
        torch.as_tensor(array.reshape(-1, array.shape[-1])).to(device, getattr(torch, dtype))
        for array in on_host
    )

    def read() -> Any:
        found = (query @ keys.T) / keys.shape[1] ** 0.5
        if k is not None and k < found.shape[1]:
            best, where = found.topk(k, dim=1)
            weights = torch.zeros_like(found).scatter_(1, where, best.softmax(dim=1))
        else:
            weights = found.softmax(dim=1)
        answer = weights @ values
        if device == "cuda":
            torch.cuda.synchronize()
        return answer

    return torch.inference_mode()(read)
