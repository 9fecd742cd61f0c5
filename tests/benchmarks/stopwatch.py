"""What a piece of work takes: CPU seconds where the CPU does it, seconds on the clock where a GPU does."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds of all threads of this process, and seconds on the clock."""

    cpu_s: float
    wall_s: float

    def on(self, device: str) -> float:
        """Return what counts on a device: on a CPU others have their share of the seconds on the clock."""
        return self.cpu_s if device == "cpu" else self.wall_s


def unit_on(device: str) -> str:
    """Return the unit of `Spent.on` a device."""
    return "CPU s" if device == "cpu" else "s"


def timed(work: Callable[[], Outcome], device: str) -> tuple[Outcome, Spent]:
    """Return what some work on a device comes to, and what it took until the device had finished it."""
    _wait_for(device)
    wall, cpu = time.perf_counter(), time.process_time()
    outcome = work()
    _wait_for(device)
    return outcome, Spent(time.process_time() - cpu, time.perf_counter() - wall)


def _wait_for(device: str) -> None:
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device == "mps":
        torch.mps.synchronize()
