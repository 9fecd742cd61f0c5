"""The sentences and pictures that the dashboard shows for an overview, as values. No Qt."""

from dataclasses import dataclass
from datetime import datetime
from math import isfinite

import numpy as np

from costal.agent.metrics import Calibration, EffortFit, accuracy_interval
from costal.labels.models import ModelVersion
from costal.labels.project import LabelClass, Project
from costal.numerals import counted
from costal.workbench.assessing import FEWEST_LABELS
from costal.workbench.overview import Overview
from costal.workbench.review import WINDOW, Accuracy, EffortPairs, Review
from napari_costal.dashboard.figures import (
    CONTROL,
    AccuracyPicture,
    CalibrationPicture,
    ClassesPicture,
    ClassRow,
    ConfusionPicture,
    EffortPicture,
)
from napari_costal.ui.figures import Colours, Floats64, Picture

NO_PROJECT = "No project is open in <i>Label crops</i>. Open one there, or choose a folder here."
TITLES = (
    "Accuracy in cross-validation",
    "Accuracy on control labels",
    "Predicted and measured effort",
    "Classes",
    "Calibration",
)
VERSION_HEADS = ("model", "saved", "labels", "accuracy then", "controls", "bias (s)", "")
NOT_RANDOM_HERE = (
    "Crops that the model chose are not a random sample and are mostly harder, so this accuracy tends to be lower than "
    "the accuracy over all crops."
)
MOST_DOTS = 1500
MOST_IN_STRIP = 150
MOST_QUERIES = 8
"""So many of the newest queries are listed with their controls."""
NO_EFFORTS: Floats64 = np.zeros(0)


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a card: a sentence, and a picture with its minimal height if there is something to draw."""

    text: str
    picture: Picture | None = None
    height: int = 0


def contents(overview: Overview, colours: Colours) -> tuple[Content, ...]:
    """Return the contents of the cards of `TITLES`."""
    review, project = overview.review, overview.project
    return (
        assessment_content(overview),
        accuracy_content(review, project),
        effort_content(review, colours),
        classes_content(review, project),
        calibration_content(review, project),
    )


def assessment_content(overview: Overview) -> Content:
    """Return the result of cross-validation and of the controls, or why there is none yet."""
    kept, project = overview.kept, overview.project
    if kept is None:
        return Content(f"Not yet. It is computed after a training with at least {FEWEST_LABELS} labels.")
    assessment = kept.assessment
    if assessment.reason:
        return Content(f"Not yet. {assessment.reason}")
    old = " <b>Outdated</b>: labels or settings have changed since." * kept.is_outdated
    where = "whole frames" if assessment.left_out_by == "frames" else "parts of frames"
    share = f"<b>{assessment.share:.0%}</b> ({assessment.low:.0%} to {assessment.high:.0%})"
    labels = f"{counted(assessment.count, 'label')} of {counted(assessment.frames, 'frame')}"
    lines = [
        f"Models predicted {share} of {labels} correctly. Each model was tested on {where} that its training left "
        f"out.{old}",
        f"{NOT_RANDOM_HERE} {controls_text(overview.review)}",
        f"Expected calibration error {assessment.raw_error:.2f}; {assessment.calibration_error:.2f} if probabilities "
        f"were rescaled with temperature {assessment.temperature:.2f}. Exported probabilities are not rescaled.",
        *(each.sentence for each in (assessment.forecast, overview.came) if each is not None),
    ]
    names = [each.name for each in project.offered]
    picture = None
    if assessment.class_ids == tuple(each.id for each in project.offered):
        picture = ConfusionPicture(names, np.array(assessment.confusion_K_K))
    return Content("<br>".join(lines), picture, 90 + 26 * len(names))


def controls_text(review: Review) -> str:
    """Return the accuracy on the controls, and how they were chosen."""
    if not review.accuracy.count:
        return "There are no control labels yet to compare with."
    return (
        f"Controls: {_share(review.accuracy)} of {review.accuracy.count:,}. They were drawn at random "
        "from unlabelled crops, and a model predicted each one before you labelled it."
    )


def look_again_text(overview: Overview) -> str:
    """Return the text of the button that opens the labels to look at again, "" if there are none."""
    doubts = overview.kept.assessment.doubts if overview.kept is not None else ()
    return f"Look at {counted(len(doubts), 'label')} again …" if doubts else ""


def accuracy_content(review: Review, project: Project) -> Content:
    """Return the accuracy on control labels, or why there is none."""
    if not review.accuracy.count:
        return Content("<br>".join(filter(None, (no_controls_text(project), consistency_text(review)))))
    text = f"{_share(review.recent)} of the last {review.recent.count} control labels were predicted correctly"
    if review.accuracy.count > review.recent.count:
        text += f"; {_share(review.accuracy)} of all {review.accuracy.count:,}"
    how = _small(f"Each point: accuracy over the last {WINDOW} control labels, fewer at first. Band: 95% interval.")
    text += f".<br>{by_query_text(review)}"
    if consistent := consistency_text(review):
        text += f"<br>{consistent}"
    curve = review.learning
    picture = AccuracyPicture(curve.label_count_S, curve.minutes_S, curve.share_S, curve.low_S, curve.high_S)
    return Content(f"{text}<br>{how}", picture, 180)


def by_query_text(review: Review) -> str:
    """Return how many controls of each of the newest queries were predicted right, by model version."""
    queries = list(review.curve.by_query().items())
    counts = [f"model {number}: {round(each.share * each.count)} of {each.count}" for number, each in queries]
    newest = "the newest " * (len(counts) > MOST_QUERIES)
    return f"Correctly predicted controls in {newest}queries, listed by model: {', '.join(counts[-MOST_QUERIES:])}."


def consistency_text(review: Review) -> str:
    """Return how often crops that were shown again got the same answer, "" if none was shown again."""
    if not review.consistency.count:
        return ""
    count = f"{review.consistency.count:,} crop" + "s" * (review.consistency.count != 1)

    return (
        f"{count} came a second time without notice. You gave the same answer to {_share(review.consistency)}. The "
        "measured accuracy cannot be higher than this share."
    )


def no_controls_text(project: Project) -> str:
    """Return why there are no control labels yet, and when there will be."""
    share = project.choices.control_share
    if not share:
        return (
            "There are no control labels, because the control share is 0. Raise it in <i>Label crops</i>: only crops "
            "drawn at random show how good the model is."
        )
    return (
        f"No control labels yet. Once there is a model, about {share:.0%} of a query is drawn at random and predicted "
        "before it is labelled; only these crops show how good the model is."
    )


def effort_content(review: Review, colours: Colours) -> Content:
    """Return how well predicted effort fits measured effort, or why this is unknown."""
    pairs = review.pairs
    if not len(pairs.measured_s_Q):
        return Content("No effort was predicted yet. The cost model learns as soon as enough efforts are measured.")
    controls = int(pairs.control_Q.sum())
    rows = (
        ["", *map(_small, ("crops", "rank corr.", "bias (95%)", "skill"))],
        _fit_cells("control", CONTROL, review.control_effort, controls),
        _fit_cells("chosen", colours.line, review.chosen_effort, len(pairs.control_Q) - controls),
    )
    table = "".join("<tr>" + "".join(f"<td align='right'>{cell}&nbsp;</td>" for cell in row) + "</tr>" for row in rows)
    note = _small(
        "Bias: predicted minus measured. Skill: reduction of the error, compared with a constant guess. Only the "
        "controls, drawn at random, represent all crops."
    )
    picture = EffortPicture(_newest(pairs, ~pairs.control_Q), _newest(pairs, pairs.control_Q))
    return Content(f"<table width='100%'>{table}</table>{note}", picture, 230)


def _newest(pairs: EffortPairs, which: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Floats64:
    return np.stack([pairs.predicted_s_Q[which], pairs.measured_s_Q[which]])[:, -MOST_DOTS:]


def _fit_cells(name: str, colour: str, fit: EffortFit | None, count: int) -> list[str]:
    head = [f"<font color='{colour}'>●</font> {name}", f"{count:,}"]
    if fit is None:
        return [*head, "", "too few" if count else "none", ""]
    bias = f"{fit.bias:+.1f} s ({fit.bias_low:+.1f} to {fit.bias_high:+.1f})"
    return [*head, _figure(fit.rank_correlation, ".2f"), bias, _figure(fit.skill, "+.0%")]


def classes_content(review: Review, project: Project) -> Content:
    """Return the offered classes, and others that have labels or efforts."""

    def is_drawn(each: LabelClass) -> bool:
        return each.is_offered or each.id in review.label_counts or each.id in review.efforts_s

    rows = [
        _class_row(each, review.label_counts.get(each.id, 0), review.efforts_s.get(each.id, NO_EFFORTS))
        for each in project.classes
        if is_drawn(each)
    ]
    if not any(row.labels or len(row.efforts_s) for row in rows):
        return Content("No crop has a class yet.")
    text = (
        "Left: current labels. Right: efforts measured in full. Ring: median. Line: quartiles. Dots: the newest "
        f"{MOST_IN_STRIP} efforts."
    )
    return Content(_small(text), ClassesPicture(rows), 60 + 27 * len(rows))


def _class_row(each: LabelClass, labels: int, efforts_s: Floats64) -> ClassRow:
    quartiles_s = np.percentile(efforts_s, (25, 50, 75)) if len(efforts_s) else NO_EFFORTS
    return ClassRow(each.name, each.colour, labels, quartiles_s, efforts_s[-MOST_IN_STRIP:])


def calibration_content(review: Review, project: Project) -> Content:
    """Return the accuracy of the model by its confidence, or why this is unknown."""
    if review.calibration is None:
        return Content(no_controls_text(project))
    text = (
        f"Expected calibration error <b>{review.calibration.expected_error:.2f}</b> over {review.accuracy.count:,} "
        "control labels."
    )
    how = _small("On the dashed line confidence equals accuracy. Whiskers: 95% interval; bars: number of labels.")
    return Content(f"{text}<br>{how}", _calibration_picture(review.calibration), 210)


def _calibration_picture(calibration: Calibration) -> CalibrationPicture:
    ends = [
        accuracy_interval(round(share * count), int(count)) if count else (np.nan, np.nan)
        for share, count in zip(calibration.accuracy_B, calibration.count_B, strict=True)
    ]
    low_B, high_B = np.array(ends).T
    return CalibrationPicture(calibration.confidence_B, calibration.accuracy_B, low_B, high_B, calibration.count_B)


# Above the cards, and the models


def counts_text(review: Review) -> str:
    """Return the numbers of labels, expert minutes and control labels."""
    labels = sum(review.label_counts.values())
    minutes, controls = round(review.minutes), review.accuracy.count
    counts = ((labels, "label"), (minutes, "expert minute"), (controls, "control label"))
    return " · ".join(f"{count:,} {noun}{'' if count == 1 else 's'}" for count, noun in counts)


def model_text(overview: Overview) -> str:
    """Return which model is the newest and whether it is stale."""
    if not overview.model_versions:
        return "No model yet."
    newest = overview.model_versions[0]
    labels = counted(newest.agent.label_count, "label")
    text = f"Model {newest.number} of {_when(newest.provenance.utc_ns)}, trained on {labels}"
    if newest.provenance.copy_of:
        text += f", a copy of model {newest.provenance.copy_of}"
    if overview.not_learned:
        text += f"; {counted(overview.not_learned, 'new answer')} since then"
    if overview.taken_back:
        labels, were = counted(overview.taken_back, "label"), "was" if overview.taken_back == 1 else "were"
        text += f".<br><b>Stale</b>: {labels} in its training data {were} undone or changed since."
        return f"{text} Train again."
    return f"{text}."


def planted_text(overview: Overview) -> str:
    """Return how many planted errors the expert noticed when accepting predictions; "" if none was shown."""
    planted, caught = overview.planted, overview.caught
    if not planted:
        return ""
    low, high = accuracy_interval(caught, planted)
    share = f"<b>{caught / planted:.0%}</b> ({low:.0%} to {high:.0%})"
    errors = f"{counted(planted, 'error')} that the plugin made on purpose"
    return f"Accepted predictions: you noticed {caught:,} of {errors}, {share}."


def version_cells(model_version: ModelVersion) -> tuple[str, ...]:
    """Return the row of a model version under `VERSION_HEADS`, from its card."""
    metrics, provenance = model_version.provenance.metrics, model_version.provenance
    share, low, high = (metrics.get(f"control accuracy{each}", np.nan) for each in ("", ", low", ", high"))
    return (
        str(model_version.number),
        _when(provenance.utc_ns),
        f"{model_version.agent.label_count:,}",
        f"{share:.0%} ({low:.0%} to {high:.0%})" if isfinite(share + low + high) else "–",
        f"{metrics.get('control labels', 0):,.0f}",
        _figure(metrics.get("control effort bias (s)", np.nan), "+.1f"),
        f"copy of {provenance.copy_of}" if provenance.copy_of else "",
    )


def _when(utc_ns: int) -> str:
    return f"{datetime.fromtimestamp(utc_ns / 1e9):%Y-%m-%d %H:%M}" if utc_ns else "an unknown time"


def _share(accuracy: Accuracy) -> str:
    return f"<b>{accuracy.share:.0%}</b> ({accuracy.low:.0%} to {accuracy.high:.0%})"


def _figure(figure: float, form: str) -> str:
    return format(figure, form) if isfinite(figure) else "–"


def _small(text: str) -> str:
    return f"<small>{text}</small>"
