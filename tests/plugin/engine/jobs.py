"""Jobs that a test can watch. The engine process imports this module, so it is a light one."""

import time
from collections.abc import Generator
from pathlib import Path

import numpy as np

from costal.types import Progress


def counting_job(steps: int, pause_s: float) -> Generator[Progress, None, int]:
    """Count up, slowly enough to be cancelled."""
    for step in range(steps):
        yield Progress(step, steps, "counting")
        time.sleep(pause_s)
    return steps


def summing_job(array: np.ndarray) -> Generator[Progress, None, np.ndarray]:
    """Return the array doubled: large arrays travel by file, both ways."""
    yield Progress(0, 1, "doubling")
    return array * 2


def refusing_job() -> Generator[Progress, None, None]:
    """Fail as a border check does."""
    from costal.errors import AgentError

    yield Progress(0, 1, "about to refuse")
    raise AgentError("The committee is on holiday. Come back tomorrow.")


def broken_job() -> Generator[Progress, None, None]:
    """Fail as a bug does."""
    yield Progress(0, 1, "about to break")
    raise ZeroDivisionError("nobody expected this")


def deaf_job() -> Generator[Progress, None, None]:
    """Never come back to a yield, so that a polite cancel is not heard."""
    yield Progress(0, 1, "deaf")
    time.sleep(60)


def dying_job(marker: str, deaths: int) -> Generator[Progress, None, str]:
    """Kill its own process the first `deaths` times; the marker file counts them."""
    import os
    import signal

    yield Progress(0, 1, "dying")
    path = Path(marker)
    died = len(path.read_text()) if path.exists() else 0
    if died < deaths:
        path.write_text("x" * (died + 1))
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        time.sleep(5)
    return "survived"


def standing_job() -> Generator[Progress, None, tuple[int, int]]:
    """Return the threads of torch, and the niceness of the thread that runs this."""
    import os
    import threading

    import torch

    yield Progress(0, 1, "looking")
    nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) if hasattr(os, "getpriority") else 0
    return torch.get_num_threads(), nice
