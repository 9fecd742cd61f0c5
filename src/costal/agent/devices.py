"""Where the networks run: CUDA, MPS or CPU, chosen at run time, with a way on when a GPU's memory is full."""

import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from costal.agent.networks import Network, trunk_at_work
from costal.errors import AgentError
from costal.types import Floats, Job, Precision, Progress

R = TypeVar("R")
CPU_BATCH = 32
"""Crops whose feature maps stay in a CPU's cache."""
GPU_BATCH_PIXELS = 8192 * 28 * 28


def choose_device(wanted: str = "auto") -> str:
    """Return ``"cuda"``, ``"mps"`` or ``"cpu"``: the one wanted, or with ``"auto"`` the fastest one present."""
    if wanted != "auto":
        present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
        if not present.get(wanted.split(":")[0], False):
            raise AgentError(f"This machine has no device '{wanted}'. Choose auto, or one of {_present(present)}.")
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _present(devices: dict[str, bool]) -> str:
    return ", ".join(name for name, is_here in devices.items() if is_here)


def unused_gpu() -> str:
    """Return a sentence when this machine has an NVIDIA GPU that the installed torch cannot use, else nothing."""
    if torch.cuda.is_available() or torch.version.cuda is not None or shutil.which("nvidia-smi") is None:
        return ""
    return "This machine has an NVIDIA GPU, but its torch has no CUDA: see 'A GPU' in docs/installing.md."


def describe_device(device: str) -> str:
    """Return the device's name for the screen, such as ``cuda (NVIDIA RTX A4000)``."""
    if device.startswith("cuda"):
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return device


def fast_dtype(device: str) -> torch.dtype:
    """Return the precision in which a device asks a network fastest without a change to who is asked.

    bfloat16 where the device multiplies in it, else float32. The ranking of crops stays what float64 gives (Spearman
    0.999 and better, measured by ``python -m tests.benchmarks committee``).
    """
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    is_fast = device == "cpu" and _cpu_multiplies_bfloat16()
    return torch.bfloat16 if is_fast else torch.float32


def precision_of(device: str) -> Precision:
    """Return the precision in which a frozen backbone computes on a device (see `fast_dtype`)."""
    return "bfloat16" if fast_dtype(device) is torch.bfloat16 else "float32"


def _cpu_multiplies_bfloat16() -> bool:
    # torch has no public question for this; without an answer float32 is right everywhere.
    checks = (getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile"))
    return any(bool(each()) for each in checks if each is not None)


def prepare_for_inference(network: Network, device: str) -> None:
    """Move a network to a device to be asked there, its trunk in the precision and layout that serve it best."""
    network.to(device)
    trunk_at_work(network.trunk, device, fast_dtype(device))


def to_device(array: Floats, device: str) -> torch.Tensor:
    """Return an array as a tensor on a device; copied to a GPU from pinned memory, while the program goes on."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.pin_memory().to(device, non_blocking=True) if device.startswith("cuda") else tensor.to(device)


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Let torch compute on so many threads, then on as many as before; floating-point sums depend on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True, slots=True)
class BatchSetup:
    """A device and a batch size that work there, and what was given up to get there."""

    device: str
    batch: int
    note: str = ""


def first_batch_setup(device: str, count: int, input_shape: tuple[int, ...], cpu_batch: int) -> BatchSetup:
    """Return what work on so many inputs of a shape begins with: so many at once on a CPU, or what fills a GPU."""
    if device == "cpu":
        return BatchSetup(device, cpu_batch)
    return BatchSetup(device, max(1, min(count, GPU_BATCH_PIXELS // math.prod(input_shape[-2:]))))


def with_smaller_batch(batch_setup: BatchSetup) -> BatchSetup:
    """Return the next footing after a full GPU: half the batch, and from a batch of one on, the CPU."""
    if batch_setup.batch > 1:
        batch = batch_setup.batch // 2
        return BatchSetup(
            batch_setup.device, batch, f"The GPU's memory was full: continued with batches of {batch} crops."
        )
    return BatchSetup("cpu", CPU_BATCH, "The GPU's memory was full even for one crop: continued on the CPU.")


def with_room(batch_setup: BatchSetup, attempt: Callable[[BatchSetup], Job[R]]) -> Job[tuple[R, BatchSetup]]:
    """Return the result of ``attempt(footing)`` and the footing it worked on.

    While a GPU's memory is full the attempt is made again on the next smaller footing.
    """
    while True:
        try:
            return (yield from attempt(batch_setup)), batch_setup
        except RuntimeError as error:
            # CUDA has an exception of its own for this (a RuntimeError); MPS has only the words.
            is_full = isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error)
            if batch_setup.device == "cpu" or not is_full:
                raise
            batch_setup = with_smaller_batch(batch_setup)
        # Only here, after the exception and the tensors that its traceback holds, is there anything to give back.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def in_batches(
    crops_N_C_H_W: Floats,
    batch_setup: BatchSetup,
    compute: Callable[[Floats, BatchSetup], tuple[torch.Tensor, ...]],
    message: str,
) -> Job[tuple[list[Floats], BatchSetup]]:
    """Return each tensor that ``compute(batch, footing)`` gives, of all batches, and the footing that they ended on.

    A GPU is not waited for between batches.
    """
    outcomes: list[tuple[torch.Tensor, ...]] = []
    start = 0
    while start < len(crops_N_C_H_W):

        def attempt(there: BatchSetup, start: int = start) -> Job[tuple[tuple[torch.Tensor, ...], int]]:
            yield Progress(start, len(crops_N_C_H_W), message)
            stop = start + there.batch
            if there.device == "cpu" and there.batch > 1 and stop == len(crops_N_C_H_W) - 1:
                stop += 1  # products for a single crop are summed in another order
            batch = crops_N_C_H_W[start:stop]
            return compute(batch, there), len(batch)

        (outcome, count), batch_setup = yield from with_room(batch_setup, attempt)
        outcomes.append(outcome)
        start += count
    return [
        np.concatenate([each.cpu().numpy() for each in column]) for column in zip(*outcomes, strict=True)
    ], batch_setup
