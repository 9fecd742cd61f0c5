"""Where the networks run: CUDA, MPS or CPU, chosen at run time, with a way on when a GPU's memory is full."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from costal.types import Job

R = TypeVar("R")
CPU_BATCH = 32


def choose_device(wanted: str = "auto") -> str:
    """Return ``"cuda"``, ``"mps"`` or ``"cpu"``: the one wanted, or with ``"auto"`` the fastest one present."""
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def describe_device(device: str) -> str:
    """Return the device's name for the screen, such as ``cuda (NVIDIA RTX A4000)``."""
    if device.startswith("cuda"):
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return device


@dataclass(frozen=True, slots=True)
class Footing:
    """A device and a batch size that work there, and what was given up to get there."""

    device: str
    batch: int
    note: str = ""


def on_smaller_footing(footing: Footing) -> Footing:
    """Return the next footing after a full GPU: half the batch, and from a batch of one on, the CPU."""
    if footing.batch > 1:
        batch = footing.batch // 2
        return Footing(footing.device, batch, f"The GPU's memory was full: went on with batches of {batch} crops.")
    return Footing("cpu", CPU_BATCH, "The GPU's memory was full even for one crop: went on with the CPU.")


def with_room(footing: Footing, attempt: Callable[[Footing], Job[R]]) -> Job[tuple[R, Footing]]:
    """Return the result of ``attempt(footing)`` and the footing it worked on.

    While a GPU's memory is full the attempt is made again on the next smaller footing.
    """
    while True:
        try:
            return (yield from attempt(footing)), footing
        except torch.OutOfMemoryError:
            if footing.device == "cpu":
                raise
            footing = on_smaller_footing(footing)
        # Only here, after the exception and the tensors that its traceback holds, is there anything to give back.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
