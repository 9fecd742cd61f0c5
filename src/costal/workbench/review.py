"""How well the labelling goes: figures from the raw events and predictions that the store keeps. Recomputable any time.

Only the control share gives unbiased figures: crops drawn at random, predicted before they were labelled, and learned
from only afterwards (prequential). Savings against random selection cannot be told from it; they come from simulation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from costal.agent.metrics import (
    Calibration,
    EffortFit,
    Hint,
    accuracy_interval,
    calibration,
    effort_fit,
    unlikely_to_help,
)
from costal.labels.derivation import NEVER_SHOWN, REASONS, Efforts, derive_all
from costal.labels.event_table import LABEL_KINDS, EventTable, Rows
from costal.labels.project import Project

CLASS = LABEL_KINDS.index("class")
AT_LEAST = ("not answered", "a gap beyond the idle limit", "skipped", "bad crop")
"""Why an effort is a lower bound, by the index of what the presentation came to."""
WINDOW = 50
"""Control labels that the learning curve looks back over: older ones tell of models that are gone."""
MOST_POINTS = 200
FEWEST_EFFORTS = 3
"""Below this many pairs, predicted and measured effort are not compared."""

Floats64 = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PresentationTable:
    """All P presentations in order: the ledger's rows, their efforts, and what each came to.

    `kind_P` indexes `LABEL_KINDS`; `class_id_P` is the class given, as it is meant today, 0 for none.
    """

    rows: Rows
    sources: Mapping[int, str]
    efforts: Efforts
    kind_P: Ints
    class_id_P: Ints

    def __len__(self) -> int:
        """Return P."""
        return len(self.rows)

    def state(self, row: int) -> tuple[str, str]:
        """Return whether a row's effort is usable, a lower bound ("at least") or excluded, and the reason."""
        if reason := REASONS[self.efforts.reason_P[row]]:
            return "excluded", reason
        if self.efforts.censored_P[row]:
            return "at least", AT_LEAST[self.kind_P[row]]
        return "usable", ""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The share of `count` control labels that were predicted right, with its 95 % interval; NaN without any."""

    share: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class ControlCurve:
    """The control labels in order: labels and expert minutes before each, whether predicted right, and how surely.

    `generation_M` is the number of the model version that was current in the query of each.
    """

    label_count_M: Ints
    minutes_M: Floats64
    correct_M: Flags
    confidence_M: Floats64
    generation_M: Ints

    def by_query(self) -> dict[int, Accuracy]:
        """Return the accuracy of the controls of each query, by the model version that was current then."""
        generations = np.unique(self.generation_M).tolist()
        return {each: accuracy_of(self.correct_M[self.generation_M == each]) for each in generations}


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Accuracy over the last `WINDOW` control labels (fewer at first), after so many labels and expert minutes."""

    label_count_S: Ints
    minutes_S: Floats64
    share_S: Floats64
    low_S: Floats64
    high_S: Floats64


@dataclass(frozen=True, slots=True)
class EffortPairs:
    """Efforts that were predicted before they were measured, in seconds, and which are of controls."""

    predicted_s_Q: Floats64
    measured_s_Q: Floats64
    control_Q: Flags


@dataclass(frozen=True, slots=True)
class Review:
    """The figures of a project. A fit is None below `FEWEST_EFFORTS` pairs, the calibration without control labels.

    `consistency` is the share of crops that were shown again, and got the same answer again.
    """

    label_counts: Mapping[int, int]
    curve: ControlCurve
    learning: LearningCurve
    accuracy: Accuracy
    recent: Accuracy
    calibration: Calibration | None
    pairs: EffortPairs
    control_effort: EffortFit | None
    chosen_effort: EffortFit | None
    efforts_s: Mapping[int, Floats64]
    minutes: float
    hint: Hint
    consistency: Accuracy
    table: PresentationTable = field(repr=False)

    def metrics(self) -> dict[str, float]:
        """Return what a model's card keeps; figures that are not there yet are left out."""
        values = {
            "expert minutes": self.minutes,
            "control labels": float(self.accuracy.count),
            "control accuracy": self.accuracy.share,
            "control accuracy, low": self.accuracy.low,
            "control accuracy, high": self.accuracy.high,
        }
        if self.control_effort is not None:
            values["control effort bias (s)"] = self.control_effort.bias
        return {name: round(figure, 6) for name, figure in values.items() if np.isfinite(figure)}


def review(project: Project, event_table: EventTable) -> Review:
    """Return the figures of a project from all that its store holds."""
    current, first = event_table.current(), event_table.first()
    class_ids = _meant(project, current[current["kind"] == CLASS]["class_id"])
    table = table_of(project, event_table)
    curve = control_curve(project, table, first["crop"], _meant(project, first["class_id"]))
    pairs, spread_Q = compared(table)
    fits = [_fit_of(pairs, spread_Q, which) for which in (pairs.control_Q, ~pairs.control_Q)]
    measured_P = table.efforts.measured_P & (table.kind_P == CLASS)
    active_s_P = table.efforts.active_s_P
    return Review(
        {int(each): int(count) for each, count in zip(*np.unique(class_ids, return_counts=True), strict=True) if each},
        curve,
        learning_curve(curve),
        accuracy_of(curve.correct_M),
        accuracy_of(curve.correct_M[-WINDOW:]),
        calibration(curve.confidence_M, curve.correct_M) if len(curve.correct_M) else None,
        pairs,
        fits[0],
        fits[1],
        {
            int(each): active_s_P[measured_P & (table.class_id_P == each)]
            for each in np.unique(table.class_id_P[measured_P])
        },
        float(active_s_P.sum()) / 60,
        unlikely_to_help(curve.correct_M),
        accuracy_of(same_again(table, event_table)),
        table,
    )


def table_of(project: Project, event_table: EventTable) -> PresentationTable:
    """Return all presentations of a ledger, their efforts by the project's idle limit."""
    ids = event_table.presentations["id"]
    given = event_table.labels[np.isin(event_table.labels["presentation"], ids)]
    row = np.searchsorted(ids, given["presentation"])
    kind_P, class_id_P = np.zeros((2, len(ids)), np.int64)
    kind_P[row], class_id_P[row] = given["kind"], _meant(project, given["class_id"])
    efforts = derive_all(event_table, round(project.idle_limit_s * 1e9))
    return PresentationTable(event_table.presentations, event_table.sources, efforts, kind_P, class_id_P)


def control_curve(project: Project, table: PresentationTable, crop_L: Ints, class_id_L: Ints) -> ControlCurve:
    """Return the control labels in order; each crop counts once, by what was predicted when it was first drawn.

    `crop_L` are the ids of the crops that were given a class alone, ascending, and `class_id_L` the first of these
    classes: a later one, which may follow what was seen of a model, does not change the figure.
    """
    rows = table.rows
    at_P = np.minimum(np.searchsorted(crop_L, rows["crop"]), max(len(crop_L) - 1, 0))
    crop_ids, class_ids = (np.append(each, 0) for each in (crop_L, class_id_L))  # so that there is a row at all
    truth_P = np.where(crop_ids[at_P] == rows["crop"], class_ids[at_P], 0)
    eligible = np.flatnonzero(rows["control"] & ~rows["prediction_shown"] & (rows["predicted"] > 0) & (truth_P > 0))
    _, first = np.unique(rows["crop"][eligible], return_index=True)
    control_M = eligible[np.sort(first)]
    is_label_P, active_s_P = table.kind_P == CLASS, table.efforts.active_s_P
    return ControlCurve(
        (np.cumsum(is_label_P) - is_label_P)[control_M],
        (np.cumsum(active_s_P) - active_s_P)[control_M] / 60,
        (_meant(project, rows["predicted"]) == truth_P)[control_M],
        rows["confidence"][control_M],
        rows["generation"][control_M],
    )


def accuracy_of(correct_M: Flags) -> Accuracy:
    """Return the accuracy of control labels, each predicted right or not."""
    right, count = int(correct_M.sum()), len(correct_M)
    if not count:
        return Accuracy(np.nan, np.nan, np.nan, 0)
    return Accuracy(right / count, *accuracy_interval(right, count), count)


def same_again(table: PresentationTable, event_table: EventTable) -> Flags:
    """Return whether crops that were shown again got the class again that they had: one of each such answer, in order.

    The answer before is the last class that was given to the crop alone. Answers that were taken back do not count;
    classes are compared as they are meant today, and an answer without a class is another one.
    """
    crop_P, count = table.rows["crop"], len(table)
    is_undone = np.isin(event_table.labels["id"], event_table.labels["undoes"])
    stands_P = np.isin(table.rows["id"], event_table.labels["presentation"][~is_undone])
    was_shown_P = table.efforts.reason_P != NEVER_SHOWN
    again = np.flatnonzero(stands_P & table.rows["repeated"])
    rows = np.flatnonzero(stands_P & was_shown_P & (table.kind_P == CLASS) & (table.class_id_P > 0))
    places = crop_P[rows] * count + rows  # by crop, then in order
    order = np.argsort(places)
    at = np.searchsorted(places[order], crop_P[again] * count + again) - 1
    again, at = again[at >= 0], at[at >= 0]
    before = rows[order][at]
    is_same = table.class_id_P[again] == table.class_id_P[before]
    same: Flags = is_same[crop_P[before] == crop_P[again]]
    return same


def learning_curve(curve: ControlCurve) -> LearningCurve:
    """Return the accuracy after every control label, of very many at `MOST_POINTS` of them."""
    count = len(curve.correct_M)
    at_S = np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).astype(np.int64))
    accuracies = [accuracy_of(curve.correct_M[max(at + 1 - WINDOW, 0) : at + 1]) for at in at_S]
    share, low, high = (np.array([getattr(each, name) for each in accuracies]) for name in ("share", "low", "high"))
    return LearningCurve(curve.label_count_M[at_S], curve.minutes_M[at_S], share, low, high)


def compared(table: PresentationTable) -> tuple[EffortPairs, Floats64]:
    """Return the pairs of learned costs and plain efforts, and the spread of log effort of each prediction."""
    rows, active_s_P = table.rows, table.efforts.active_s_P
    chosen = table.efforts.measured_P & (rows["cost_spread"] > 0)  # without a spread the cost was uniform
    return EffortPairs(rows["cost"][chosen], active_s_P[chosen], rows["control"][chosen]), rows["cost_spread"][chosen]


def _fit_of(pairs: EffortPairs, spread_Q: Floats64, which: Flags) -> EffortFit | None:
    if which.sum() < FEWEST_EFFORTS:
        return None
    return effort_fit(pairs.predicted_s_Q[which], pairs.measured_s_Q[which], spread_Q[which])


def _meant(project: Project, class_ids: Ints) -> Ints:
    """Return what stored class ids mean today, 0 for one that is not known."""
    stored, inverse = np.unique(class_ids, return_inverse=True)
    current_ids = [
        project_class.id if (project_class := project.class_of(int(each))) is not None else 0 for each in stored
    ]
    return np.array(current_ids, np.int64)[inverse]
