"""An experiment spread over processes and machines.

A task is some arms and repeats of the plan (see `runner.tasks`). Workers keep finished rounds in the run's folder
themselves and nothing travels back, so a task that starts again, here or elsewhere, continues from the files on disk.
"""

import functools
import hashlib
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from costal.paper.archive import arm_folder
from costal.paper.datasets import load_dataset
from costal.paper.plan import Plan
from costal.paper.runner import Task, fingerprint_of, progress_of, rounds_left, run_task, tasks
from costal.paper.sources import Dataset
from costal.spread.cluster import Tasks, run_on_workers
from costal.spread.workers import WorkerContext, admit, alone, look_for
from costal.types import Job, Progress


@dataclass(frozen=True, slots=True)
class _Experiment:
    """What a worker receives beside a task."""

    plan: Plan

    @property
    def name(self) -> str:
        return "experiment"

    def fingerprint(self) -> str:
        return fingerprint_of(self.plan, _dataset(self.plan.data, self.plan.labels, self.plan.edges))

    @property
    def needs(self) -> str:
        return self.plan.data


def run_spread(plan: Plan, folder: Path, where: str, fingerprint: str) -> Job[None]:
    """Run the rest of a plan on dask workers, which store each round in `folder`; yields progress in rounds.

    `where` is ``local:K`` for K processes on this machine, a scheduler's ``tcp://`` or ``tls://`` address, or the path
    of a scheduler file. Workers may come, go and be killed meanwhile. `fingerprint` is that of the plan's crops and
    weights here. Closed, the job stops the workers' tasks within seconds.

    Raises
    ------
    CostalError
        See `run_on_workers`; and what `run_task` raises.
    """
    folder = folder.absolute()
    left = {task: rounds_left(plan, task, folder) for task in tasks(plan)}
    if not any(left.values()):
        return

    def progress(left: dict[Task, int], message: str) -> Progress:
        return progress_of(plan, left, message)

    digest = hashlib.md5(repr((plan, folder)).encode(), usedforsecurity=False).hexdigest()
    spread = Tasks(
        f"{plan.name}-{digest}",
        _run,
        left,
        lambda task: rounds_left(plan, task, folder),
        progress,
        lambda task: task.name(plan),
        "a round",
        "Lower stack or pool_size, or run fewer workers on a machine.",
    )
    yield from run_on_workers(spread, _Experiment(plan), folder, where, fingerprint)


# on a worker


@functools.lru_cache(1)
def _dataset(choice: str, labels: str | None, edges: tuple[float, ...]) -> Dataset:
    return load_dataset(choice, labels, edges)


def _run(context: WorkerContext[_Experiment], task: Task) -> None:
    """Run the rest of a task on this worker, as long as it is needed."""
    worker, look = look_for()
    admit(context, worker)
    plan, (arm, repeat) = context.work.plan, task.runs[0]
    first = arm_folder(context.folder, plan.arms[arm].name, repeat)
    first.mkdir(parents=True, exist_ok=True)
    data = _dataset(plan.data, plan.labels, plan.edges)
    with alone(first / "task.lock", look), closing(run_task(plan, task, context.folder, data)) as job:
        for _ in job:
            look()
