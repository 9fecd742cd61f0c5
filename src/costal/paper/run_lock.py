"""An experiment's folder claimed by one process, for one plan, on one set of crops."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from costal.errors import DatasetError
from costal.files import remove_leftovers, write_atomically
from costal.labels.lock import ProjectLock
from costal.paper.archive import restore
from costal.paper.environment import Environment, environment
from costal.paper.plan import Plan
from costal.paper.plan_file import differences, dump_plan, load_plan
from costal.paper.runner import fingerprint_of, rounds_left, run_names, tasks
from costal.paper.sources import Dataset

PLAN_FILE, ENVIRONMENT_FILE = "experiment.toml", "environment.json"


@contextmanager
def run_lock(folder: Path, plan: Plan, dataset: Dataset, resume: bool = True) -> Iterator[None]:
    """Lock a folder for a new or resumed plan; the plan and each environment that it is run in are written into it.

    Raises
    ------
    DatasetError
        When another process works in it; when it holds a run that is not to be resumed, or of another plan or other
        crops, with the difference; when it holds something else.
    ProjectError
        When it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"{folder} cannot be made: {error.strerror}. Choose another folder with --out.") from error
    lock = ProjectLock(folder)
    holder = lock.acquire()
    if holder is not None:
        raise DatasetError(f"{folder} is in use by {holder}. Wait until it ends, or choose another folder with --out.")
    try:
        for name in (ENVIRONMENT_FILE, PLAN_FILE):
            remove_leftovers(folder, name)
        here = environment(plan.experiment.device, fingerprint_of(plan, dataset))
        _take(folder, plan, here, resume)
        remove_leftovers(folder, "**/*")
        arms = {arm.name: arm for arm in plan.arms}
        restore(
            folder, run_names(plan), plan.rounds + 1, lambda name, total_cost: plan.is_spent(arms[name], total_cost)
        )
        if any(rounds_left(plan, task, folder) for task in tasks(plan)):
            _record(folder, here)
        yield
    finally:
        lock.release()


def _take(folder: Path, plan: Plan, here: Environment, resume: bool) -> None:
    if (folder / PLAN_FILE).exists():
        if not resume:
            raise DatasetError(f"{folder} holds a run already. Resume it, or choose another folder with --out.")
        changed = differences(load_plan(folder / PLAN_FILE), plan)
        if changed:
            raise DatasetError(
                f"{folder} holds a run of another configuration ({'; '.join(changed)}). Use the same one, or choose "
                "another folder with --out."
            )
        kept = kept_environments(folder)
        if not kept or kept[0].fingerprint == here.fingerprint:
            return
        raise DatasetError(
            f"{folder} holds a run on other crops or other weights ({kept[0].fingerprint}, here {here.fingerprint}). "
            "Use the same ones, or choose another folder with --out."
        )
    foreign = [path.name for path in folder.iterdir() if path.suffix not in (".lock", ".json")]
    if foreign:
        raise DatasetError(f"{folder} holds other files ({min(foreign)}). Choose an empty folder with --out.")
    write_atomically(folder / ENVIRONMENT_FILE, json.dumps(asdict(here), indent=1).encode())
    write_atomically(folder / PLAN_FILE, dump_plan(plan).encode())


def _record(folder: Path, here: Environment) -> None:
    """Add an environment to those that a run was made in, unless it is one of them; another may round differently."""
    kept = kept_environments(folder)
    if kept and here not in kept:
        content = {**asdict(kept[0]), "continued": [asdict(each) for each in (*kept[1:], here)]}
        write_atomically(folder / ENVIRONMENT_FILE, json.dumps(content, indent=1).encode())


def kept_environments(folder: Path) -> tuple[Environment, ...]:
    """Return the environments that a run was made in, the first one first; none if they cannot be read."""
    try:
        begun = json.loads((folder / ENVIRONMENT_FILE).read_text("utf-8"))
        continued = begun.pop("continued", [])
        return tuple(Environment(**each) for each in (begun, *continued))
    except (OSError, ValueError, TypeError, AttributeError):
        return ()
