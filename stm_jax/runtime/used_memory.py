"""How much memory was used, and what to do where there is too little."""

import contextlib
import sys
from collections.abc import Iterator

from stm_jax.errors import InputError


def process_peak() -> tuple[int, str]:
    """Returns the most memory used so far in bytes, 0 if that is not known, and whose it is.

    Of a device if they tell, else of the process.
    """
    import jax

    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    peaks = [each.get("peak_bytes_in_use", 0) for each in stats]
    return (max(peaks), "on a device") if max(peaks) else (resident_peak(), "of the process")


def resident_peak() -> int:
    """Returns the most memory that this process has had in bytes, 0 if that is not known."""
    try:
        import resource
    except ImportError:  # not on Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@contextlib.contextmanager
def explain_out_of_memory(rather: str = "") -> Iterator[None]:
    """Turns the device's running out of memory into an InputError that says what to do.

    Args:
        rather: What is to be tried first, such as "fewer --videos, or ".
    """
    import jax

    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise InputError(
            f"the device has too little memory for this: give {rather}a smaller --size or a larger"
            " --memorize-every, with --overwrite to start again"
        ) from error
