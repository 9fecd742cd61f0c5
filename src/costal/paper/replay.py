"""What other settings would have saved on a project's own labels and seconds, measured by a replay."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import stats

from costal.errors import DatasetError
from costal.labels.project import Choices
from costal.labels.project_file import load_project
from costal.paper.archive import read_rows, write_tables
from costal.paper.evidence import Estimate, Saving, savings
from costal.paper.own_project import load_own_project
from costal.paper.plan import RANDOM_ARM, Arm, Experiment, Plan
from costal.paper.replay_table import ReplayTable
from costal.paper.runner import progress_of, rounds_left, run_names, run_task, tasks
from costal.paper.sources import PER_CLASS_AT_START, Dataset
from costal.paper.splits import TEST_SHARE
from costal.types import AcquisitionName, Job, Training

FEWEST_LABELS, SHARE, ROUNDS, REPEATS = 100, 0.5, 4, 5
"""A replay needs this many labels with an effort; it queries half of those not for tests, in this many rounds."""
THREADS = 2
NO_COST = 0.0
OWN = "your settings"


@dataclass(frozen=True, slots=True)
class Replayed:
    """The arms compared with random selection, the project's own settings first, and how they were measured."""

    savings: tuple[Saving, ...]
    labels: int
    seconds: float
    repeats: int
    notes: tuple[str, ...]

    @property
    def about(self) -> str:
        """The basis of the figures."""
        return (
            f"{self.repeats} repeats on {self.labels} labels; random selection takes about {self.seconds:.0f} s of "
            "labelling in each. In brackets: 95 % intervals, wider because the repeats share labels. The cost ratio is "
            "the time that a setting needs for the accuracy of random selection, divided by the time that random "
            "selection needs; never: the setting did not reach that accuracy."
        )

    @property
    def verdict(self) -> str:
        """What the project's own settings saved, in a sentence."""
        return sentence(self.savings[0])


def sentence(saving: Saving) -> str:
    """Return what an arm saves, as a sentence that claims no more than its intervals.

    Less or more time is claimed only if time and accuracy agree.
    """
    ratio, gain = saving.ratio, saving.mean_difference
    name = OWN.capitalize() if saving.arm.name == OWN else saving.arm.name
    points = f"{100 * gain.value:+.1f} points of accuracy at equal time [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
    if np.isfinite(ratio.value) and ratio.high < 1 and gain.low > 0:
        return (
            f"{name}: {1 - ratio.value:.0%} less time at equal accuracy, by its interval at least "
            f"{1 - ratio.high:.0%}; {points}."
        )
    if ratio.low > 1 and gain.high < 0:
        return f"{name}: more time than random selection; {points}."
    if gain.low > 0:
        return f"{name}: better than random selection; {points}."
    return f"{name}: no clear difference from random selection on these labels; {points}."


def for_other_labels(saving: Saving) -> Saving:
    """Return an arm's saving with intervals for other labels of the same kind.

    Repeats divide the same labels again and again, so a bootstrap over them is too narrow. It is widened to the
    corrected resampled t-interval; a ratio's in its logarithm. Source: Nadeau and Bengio, Machine Learning 52 (2003).
    """
    count = len(saving.repeats)
    if count < 2:
        return saving
    bootstrap = stats.norm.ppf(0.975) * np.sqrt((count - 1) / count**2)
    factor = float(stats.t.ppf(0.975, count - 1) * np.sqrt(1 / count + TEST_SHARE / (1 - TEST_SHARE)) / bootstrap)
    ratio = saving.ratio
    if 0 < ratio.value < np.inf:
        ratio = Estimate(
            ratio.value,
            ratio.value * (ratio.low / ratio.value) ** factor,
            ratio.value * (ratio.high / ratio.value) ** factor,
        )
    return replace(
        saving,
        ratio=ratio,
        difference_S=tuple(_widened(each, factor) for each in saving.difference_S),
        mean_difference=_widened(saving.mean_difference, factor),
        lowest_recall=_widened(saving.lowest_recall, factor),
        recall_difference=_widened(saving.recall_difference, factor),
    )


def _widened(estimate: Estimate, factor: float) -> Estimate:
    value = estimate.value
    return Estimate(value, value + factor * (estimate.low - value), value + factor * (estimate.high - value))


def arms_of(
    choices: Choices, betas: Sequence[float], acquisitions: Sequence[AcquisitionName], backbones: Sequence[str]
) -> tuple[Arm, ...]:
    """Return random selection, the project's own settings, and each requested change of one of them.

    Without a request: the same without cost, or with β = 0.3 if the project has none.
    """
    own = Arm(
        OWN,
        acquisition=choices.acquisition,
        alpha=choices.alpha,
        beta=choices.beta,
        rule=choices.rule,
        backbone=choices.backbone,
    )
    others = [replace(own, name=f"β = {beta:g}", beta=beta) for beta in betas if beta != own.beta]
    others += [replace(own, name=each, acquisition=each) for each in acquisitions if each != own.acquisition]
    others += [replace(own, name=each, backbone=each) for each in backbones if each != own.backbone]
    if not (betas or acquisitions or backbones):
        beta = NO_COST if own.beta else 0.3
        others = [replace(own, name=f"β = {beta:g}", beta=beta)]
    return (replace(RANDOM_ARM, backbone=choices.backbone), own, *dict.fromkeys(others))


def replay(
    folder: Path,
    betas: Sequence[float] = (),
    acquisitions: Sequence[AcquisitionName] = (),
    backbones: Sequence[str] = (),
    repeats: int = REPEATS,
    device: str = "auto",
) -> Job[Replayed]:
    """Return what settings would have saved on a project's labels; yields progress in rounds.

    In each repeat another quarter of each class is kept for tests, and the others are offered as if they had no label:
    an arm pays the measured effort of each; a censored effort counts with its known time. `SHARE` of them are queried.

    Raises
    ------
    DatasetError
        When there are too few labels with an effort, with their number.
    CostalError
        When the project cannot be read.
    """
    project = load_project(folder)
    dataset = _own_labels(folder)
    total = dataset.train_size + len(dataset.test()[1])
    if total < FEWEST_LABELS:
        raise DatasetError(
            f"{project.name} has {total} labels with a measured effort, but a replay needs {FEWEST_LABELS}: with fewer "
            "its result is chance. Label some more."
        )
    training = replace(project.agent_settings().training, augment=False)
    plan = _plan(dataset, arms_of(project.choices, betas, acquisitions, backbones), repeats, device, training)
    with tempfile.TemporaryDirectory() as place:
        yield from _run(plan, dataset, Path(place))
        return _found(plan, dataset, Path(place), total)


def replay_table(folder: Path) -> Job[ReplayTable]:
    """Return the replay of a project beside its usual alternative, as the window shows it (see `replay`)."""
    outcome = yield from replay(folder)
    rows = tuple(
        (
            each.arm.name,
            f"{each.ratio:.2f}",
            f"{each.lowest_recall.value:.2f} ({each.recall_difference:+.2f})",
        )
        for each in outcome.savings
    )
    return ReplayTable(rows, tuple(map(sentence, outcome.savings)), (outcome.about, *outcome.notes))


def _own_labels(folder: Path) -> Dataset:
    is_rgb = load_project(folder).intake.rgb

    def split(repeat: int) -> Dataset:
        dataset = load_own_project(folder, repeat, with_censored=True)
        return replace(dataset, split=split, is_rgb=is_rgb and dataset.crop_shape[0] == 3)

    return split(0)


def _plan(dataset: Dataset, arms: tuple[Arm, ...], repeats: int, device: str, training: Training) -> Plan:
    start = PER_CLASS_AT_START * len(dataset.class_names)
    n = max(1, int(SHARE * dataset.train_size - start) // ROUNDS)
    pool_size = dataset.train_size - start - (ROUNDS - 1) * n
    experiment = Experiment(pool_size=pool_size, n=n, device=device, pools="redraw", training=training)
    return Plan(
        "replay",
        arms=arms,
        experiment=experiment,
        rounds=ROUNDS,
        repeats=repeats,
        stack=repeats * len(arms),
        threads=THREADS,
        recalls=True,
    )


def _run(plan: Plan, dataset: Dataset, place: Path) -> Job[None]:
    left = {task: rounds_left(plan, task, place) for task in tasks(plan)}
    for task in tasks(plan):
        for each in run_task(plan, task, place, dataset):
            left[task] = each.total - each.done
            yield progress_of(plan, left, "Replaying the labels")
        left[task] = 0


def _savings(plan: Plan, place: Path) -> tuple[Saving, ...]:
    import pandas as pd

    write_tables(place, run_names(plan))
    return tuple(savings(pd.read_csv(place / "rounds.csv"), plan, plan.arms[0]))


def _found(plan: Plan, dataset: Dataset, place: Path, total: int) -> Replayed:
    measured = tuple(map(for_other_labels, _savings(plan, place)))
    spent = [float(str(row["total_cost"])) for row in read_rows(place, run_names(plan)[: plan.repeats])]
    return Replayed(measured, total, max(spent), plan.repeats, dataset.notes[1:])
