"""A small experiment on few digits; as a script, one run of it under global generators, and in an order, of choice.

``python tests/faults/small_experiment.py FOLDER SEED`` runs it in `FOLDER`, its tasks one after another, or with an odd
seed side by side and the last one first, and writes how many seconds that took.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from costal.paper.archive import write_tables
from costal.paper.datasets import SYNTHETIC_TRAIN, synthetic_dataset
from costal.paper.plan import Arm, Experiment, Plan
from costal.paper.run_lock import run_lock
from costal.paper.runner import run_names, run_task, tasks
from costal.paper.sources import Dataset
from costal.types import Training, finish

TESTED = 40
EXPERIMENT = Experiment(pool_size=30, n=4, passes=3, device="cpu", training=Training(min_steps=5, epochs=0))
PLAN = Plan(
    "small",
    "synthetic",
    (
        Arm("learned", acquisition="std", beta=0.3, members=2),
        Arm("ties", acquisition="std", alpha=0.0),
        Arm("random", acquisition="random"),
    ),
    EXPERIMENT,
    rounds=3,
    repeats=2,
    committee_every=2,
)
LIMIT = 698.0
"""Of cost: some runs of the plan come to it in round 2, others in round 3."""
STOPPING = replace(PLAN, name="stopping", experiment=replace(EXPERIMENT, stop_cost=LIMIT), recalls=True, stack=2)


def few_digits() -> Dataset:
    """Return synthetic digits, of which few are tested."""
    whole = synthetic_dataset()
    return replace(whole, test=lambda: whole.take(np.arange(SYNTHETIC_TRAIN, SYNTHETIC_TRAIN + TESTED)))


def files_of(folder: Path) -> dict[str, bytes]:
    """Return what must be the same in equal runs, by path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
        and path.suffix not in (".new", ".lock")
        and path.name not in ("timings.csv", "environment.json", "writer.json")
    }


def run(folder: Path, plan: Plan = PLAN, dataset: Dataset | None = None, together: bool = False) -> None:
    """Run what is left of a plan, its tasks one after another, or `together` in turn and the last one first."""
    dataset = few_digits() if dataset is None else dataset
    with run_lock(folder, plan, dataset), one_thread():
        jobs = [run_task(plan, task, folder, dataset) for task in tasks(plan)]
        if together:
            in_turn = jobs[::-1]
            while in_turn:
                in_turn = [job for job in in_turn if next(job, None) is not None]
        else:
            for job in jobs:
                finish(job)
        write_tables(folder, run_names(plan))


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread: a task that ends gives back what it found, and another may still be at work."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def set_global_generators(seed: int) -> None:
    """Set the generators that every library shares, and which no result may depend on."""
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def run_until(folder: Path, write: int, plan: Plan = PLAN) -> None:
    """Run what is left, and be killed just before so many files were opened for writing or renamed, if there are."""
    left = write

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event == "os.rename" or (event == "open" and str(arguments[1])[:1] in ("w", "a")):
            left -= str(folder) in str(arguments[0])
            if left == 0:
                os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

    if write:
        sys.addaudithook(count)
    run(folder, plan)


if __name__ == "__main__":
    place, chosen = Path(sys.argv[1]), int(sys.argv[2])
    set_global_generators(chosen)
    began = time.perf_counter()
    run(place, together=bool(chosen % 2))
    print(time.perf_counter() - began)
