"""An experiment run from the terminal, with its progress, its time left and its results."""

import time
from dataclasses import replace
from pathlib import Path

import typer

from costal.cli.output import tell
from costal.cli.progress import ProgressBar
from costal.cli.terminal import warn_of_scheduler
from costal.paper.archive import write_tables
from costal.paper.datasets import load_dataset
from costal.paper.forecast import forecast_left, measure_pace
from costal.paper.plan import Plan
from costal.paper.results import write_results
from costal.paper.run_lock import run_lock
from costal.paper.runner import fingerprint_of, progress_of, require_enough, rounds_left, run_names, run_task, tasks
from costal.paper.sources import Dataset
from costal.types import Job

LONG_ROUNDS = 100
"""If this many rounds are left, an estimate of their time is printed first."""
TABLES_EVERY_S = 60.0


def run_experiment(plan: Plan, out: Path, dask: str | None, resume: bool, as_json: bool = False) -> None:
    """Run the rest of a plan in `out`, and write its tables, pages and figures, also when it is stopped."""
    warn_of_scheduler(dask)
    dataset = load_dataset(plan.data, plan.labels, plan.edges)
    require_enough(plan, dataset)
    is_stopped = False
    with run_lock(out, plan, dataset, resume):
        try:
            _say_how_long(plan, out, dataset, dask)
            with ProgressBar() as bar:
                bar.drain(_rounds(plan, out, dataset, dask))
        except KeyboardInterrupt:
            is_stopped = True
        finally:
            written = write_results(out, plan, dataset.effort_unit)
    lines = [*written.headlines, f"Wrote {', '.join(written.files)} to {out}"]
    lines += ["Stopped: the same command continues from here."] if is_stopped else []
    tell("\n".join(lines), {"out": out, "headlines": written.headlines, "stopped": is_stopped}, as_json)
    if is_stopped:
        raise typer.Exit(130)


def _say_how_long(plan: Plan, out: Path, dataset: Dataset, dask: str | None) -> None:
    """Print an estimate of the time of a long run here, from one training that is measured now."""
    left = {task: rounds_left(plan, task, out) for task in tasks(plan)}
    if sum(left.values()) < LONG_ROUNDS:
        return
    with ProgressBar() as bar:
        pace, test_crops = bar.drain(measure_pace(plan, dataset), "Measuring")
    hours = forecast_left(plan, left, pace, test_crops) / 3600
    runs = sum(len(task.runs) for task, rounds in left.items() if rounds)
    spread = "" if dask is None else ", divided by the number of processes"
    typer.echo(
        f"{runs} of {plan.run_count} runs are left. A training takes {pace.train_s:.1f} s here, so the rest takes "
        f"about {f'{hours:.1f} h' if hours >= 2 else f'{60 * hours:.0f} min'} in one process{spread}. You can stop at "
        "any time; the same command continues.",
        err=True,
    )


def _rounds(plan: Plan, out: Path, dataset: Dataset, dask: str | None) -> Job[None]:
    """Run the rest, and report the time left; the tables are kept current, to be looked at and copied meanwhile."""
    began = written = time.monotonic()
    before = None
    for each in _one_by_one(plan, out, dataset) if dask is None else _spread(plan, out, dataset, dask):
        if time.monotonic() - written >= TABLES_EVERY_S:
            write_tables(out, run_names(plan))
            written = time.monotonic()
        before = each.done if before is None else before
        left = _time_left(time.monotonic() - began, each.done - before, each.total - each.done)
        yield replace(each, message=each.message + left)


def _spread(plan: Plan, out: Path, dataset: Dataset, dask: str) -> Job[None]:
    from costal.spread.experiments import run_spread

    return run_spread(plan, out, dask, fingerprint_of(plan, dataset))


def _one_by_one(plan: Plan, out: Path, dataset: Dataset) -> Job[None]:
    """Run a plan's tasks one after another; yields progress in rounds of all of them."""
    left = {task: rounds_left(plan, task, out) for task in tasks(plan)}
    for task in [each for each, rounds in left.items() if rounds]:
        for each in run_task(plan, task, out, dataset):
            left[task] = each.total - each.done
            yield progress_of(plan, left, each.message)
        left[task] = 0


def _time_left(spent_s: float, done: int, left: int) -> str:
    """Return how long the rounds that are left will take, judged by those done."""
    if done < 2:
        return ""
    minutes = spent_s / done * left / 60
    return f", {minutes:.0f} min left" if minutes < 120 else f", {minutes / 60:.1f} h left"
