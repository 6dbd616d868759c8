"""Freed memory stays with the process, so that the next frame finds it there."""

import ctypes
import os

# Of mallopt(3), in glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> bool:
    """Makes the C library keep what is freed, rather than give it back to the system.

    A compiled program takes its temporary memory anew at every call. At 480 rows that is some
    200 MB, which Linux would hand over page by page, zeroed, for every frame: a tenth of the
    time of a step on a CPU, and a sixth of a training step's. The process then keeps the most
    that it ever needed at once.

    For commands only, and before JAX starts its threads: a library must not change how its
    user's process allocates. Whoever uses the library for long work on a CPU may call it.

    Returns:
        Whether it could be done: with glibc it can, elsewhere nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None:
        return False
    # One arena: a block larger than another thread's arena would be asked of the system again.
    options = {M_ARENA_MAX: 1, M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1}  # -1 is the largest size
    return all([mallopt(option, value) == 1 for option, value in options.items()])
