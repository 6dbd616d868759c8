"""What a process frees, it finds again: in a process of its own, for it cannot be undone."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource
import threading

import numpy as np

from stm_jax.runtime.freed_memory import keep_freed_memory


def new_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(100_000_000, np.uint8).fill(1)
    found.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)


found = []
new_pages()
keep_freed_memory()
new_pages()
new_pages()
thread = threading.Thread(target=new_pages)
thread.start()
thread.join()
print(*found)
"""


def test_what_was_freed_is_used_again():
    if not sys.platform.startswith("linux"):
        pytest.skip("only glibc keeps memory when told to")
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    fresh, first, again, in_thread = map(int, done.stdout.split())
    assert fresh > 20 and first > 20, "the system hands out pages"
    assert again <= 5 and in_thread <= 5
