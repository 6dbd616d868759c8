"""Processes that this program starts: they end with it, and it alone hears the terminal."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading

PR_SET_PDEATHSIG = 1  # of Linux's <sys/prctl.h>


def end_with_parent(*_: object) -> None:
    """Has this process killed as soon as its parent is no more, whatever it is doing.

    For the beginning of a child. Ctrl-C in a terminal goes to the parent only, which ends its
    children in order: so none of them prints a traceback of its own.
    """
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent.pid:  # it has ended in the meantime
            os._exit(1)
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def cores() -> int:
    """Returns how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
