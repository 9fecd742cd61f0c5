"""Runs a job on one thread of low priority, and leaves the engine process as it was. No Qt here."""

import os
import sys
import threading
from collections.abc import Callable

LOWEST_NICE = 15
"""More than the 5 of the engine: the window and other programs come first."""


def quietly(run: Callable[[], None]) -> None:
    """Run a function on a thread of low priority with one thread of torch, and wait for it.

    Some systems do not let a priority be raised again; therefore the thread ends with the function.
    """
    thread = threading.Thread(target=lambda: _alone(run), name="quiet")
    thread.start()
    thread.join()


def _alone(run: Callable[[], None]) -> None:
    from costal.agent.devices import on_threads

    lower_this_thread()
    with on_threads(1):
        run()


def lower_this_thread() -> None:
    """Give the running thread a low priority, if the system has priorities of threads."""
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        kernel.GetCurrentThread.restype = ctypes.c_void_p
        kernel.SetThreadPriority.argtypes = [ctypes.c_void_p, ctypes.c_int]
        kernel.SetThreadPriority(kernel.GetCurrentThread(), -2)  # THREAD_PRIORITY_LOWEST
    elif sys.platform == "linux":  # on Linux each thread has its own niceness
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_NICE)
