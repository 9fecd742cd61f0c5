"""Reads the folder of a run for playback: on another thread, round by round, also while it grows. No Qt."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from costal.errors import DatasetError
from costal.paper.archive import RUNS, arm_folder, read_round, read_rows, report_from, rounds_done, rows_by_run
from costal.paper.datasets import load_dataset
from costal.paper.experiment import RoundReport
from costal.paper.mosaic import to_images
from costal.paper.plan import Plan
from costal.paper.plan_file import load_plan
from costal.paper.run_lock import PLAN_FILE, kept_environments
from costal.paper.runner import run_names
from costal.paper.sources import Dataset
from costal.types import Query

Reports = tuple[RoundReport, ...]


@dataclass(frozen=True, slots=True)
class RoundPosition:
    """A round of an arm's repeat: the arm's place in the plan, the repeat, and the round's number."""

    arm: int = 0
    repeat: int = 0
    number: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """The content of a run's folder: its plan, and the reports of each arm's repeats, in the order of the plan."""

    folder: Path
    plan: Plan
    reports: tuple[Reports, ...]

    def of(self, arm: int, repeat: int) -> Reports:
        """Return the finished rounds of an arm's repeat."""
        place = RoundPosition(arm, repeat)
        return self.reports[self.places.index(place)] if place in self.places else ()

    @property
    def places(self) -> list[RoundPosition]:
        """Round 0 of each arm and repeat, in the order of `reports`; an arm may have fewer repeats than the plan."""
        arms = enumerate(self.plan.arms)
        return [RoundPosition(number, repeat) for number, arm in arms for repeat in range(self.plan.repeats_of(arm))]

    @property
    def done(self) -> int:
        """The number of finished rounds, over all arms and repeats."""
        return sum(map(len, self.reports))

    @property
    def total(self) -> int:
        """The number of rounds of the whole run."""
        return (self.plan.rounds + 1) * len(self.reports)

    def newest(self, before: "Run | None", here: RoundPosition) -> RoundPosition:
        """Return the last round of a repeat with new rounds since `before`; of the repeat of `here` if it has some."""
        counts = [len(reports) for reports in self.reports]
        earlier = [len(reports) for reports in before.reports] if before is not None else [0] * len(counts)
        grown = [place for place, now, then in zip(self.places, counts, earlier, strict=True) if now > then]
        under_way = [place for place in grown if len(self.of(place.arm, place.repeat)) <= self.plan.rounds]
        candidates = (under_way if before is None else grown) or grown or [here]
        round_now = next(
            (each for each in candidates if (each.arm, each.repeat) == (here.arm, here.repeat)), candidates[0]
        )
        return RoundPosition(round_now.arm, round_now.repeat, max(len(self.of(round_now.arm, round_now.repeat)) - 1, 0))


@dataclass(frozen=True, slots=True)
class RoundShown:
    """A round: images of its pool, indices of the query (best first), and labels; round 0 has no query."""

    images_N_H_W: NDArray[np.uint8]
    picked_n: NDArray[np.intp]
    words_n: tuple[str, ...]
    query: Query | None


def look(folder: Path, before: Run | None = None) -> Run:
    """Return the content of a run's folder now; `before` itself if nothing is new.

    If only ``rounds.csv`` was kept, its rounds are those of the run.

    Raises
    ------
    DatasetError
        If it is not the folder of a run, or is damaged.
    """
    if not (folder / PLAN_FILE).is_file():
        raise DatasetError(
            f"{folder} is not the folder of an experiment: it has no {PLAN_FILE}. Choose the --out folder "
            "of 'costal reproduce' or 'costal experiment'."
        )
    plan = load_plan(folder / PLAN_FILE)
    names = run_names(plan)
    known = before.reports if before is not None and before.plan == plan else ((),) * len(names)
    if (folder / RUNS).is_dir():
        reports = tuple(_reports(folder, *name, each) for name, each in zip(names, known, strict=True))
    else:
        reports = known if any(known) else _tabled(folder, names)
    if (
        before is not None
        and plan == before.plan
        and all(now is then for now, then in zip(reports, known, strict=True))
    ):
        return before
    return Run(folder, plan, reports)


def _tabled(folder: Path, names: list[tuple[str, int]]) -> tuple[Reports, ...]:
    rows = rows_by_run(folder / "rounds.csv")
    try:
        return tuple(tuple(map(report_from, rows.get((arm, str(repeat)), ()))) for arm, repeat in names)
    except (KeyError, ValueError) as error:
        raise DatasetError(f"{folder / 'rounds.csv'} cannot be read ({error}). Restore it from a copy.") from error


def _reports(folder: Path, arm: str, repeat: int, known: Reports) -> Reports:
    """Return the finished rounds of an arm's repeat, read again only if their number has changed."""
    if rounds_done(folder, arm, repeat) == len(known):
        return known
    try:
        return tuple(report_from(row) for row in read_rows(folder, [(arm, repeat)]))
    except (OSError, KeyError, TypeError, ValueError) as error:
        place = arm_folder(folder, arm, repeat)
        raise DatasetError(
            f"A round in {place} cannot be read ({error}). Delete this folder's rounds, and resume the run."
        ) from error


def crops_of(run: Run) -> Dataset:
    """Return the data set that a run was made with.

    Raises
    ------
    DatasetError
        If it is not on this machine, or is another one of the same name.
    """
    dataset, kept = load_dataset(run.plan.data), kept_environments(run.folder)
    if kept and kept[0].fingerprint.split()[:1] != dataset.fingerprint.split()[:1]:
        raise DatasetError(
            f"The crops of '{run.plan.data}' ({dataset.name}) on this machine differ from the crops of the run (MD5 "
            f"{dataset.fingerprint}; the run has {kept[0].fingerprint}). Restore the data of the run and open it again."
        )
    return dataset


def read_shown(run: Run, place: RoundPosition, dataset: Dataset) -> RoundShown:
    """Return a finished round.

    Raises
    ------
    DatasetError
        If it is missing or damaged.
    """
    kept = read_round(run.folder, run.plan.arms[place.arm].name, place.repeat, place.number)
    picked_n = np.arange(len(kept.pool_N)) if kept.query is None else kept.query.picked_n
    words_n = tuple(dataset.class_names[label] for label in kept.label_n)
    return RoundShown(to_images(dataset.take(kept.pool_N)[0]), picked_n, words_n, kept.query)
