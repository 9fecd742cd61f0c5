"""What the next minutes were foretold to bring, and what came: kept in a small file beside the scores."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from costal.labels.project import Project
from costal.types import Answer
from costal.workbench.assessment import MINUTES, Forecast, write_scores

FORECASTS_FILE = "forecasts.json"
MOST_KEPT = 200
PACE_OF = 50
"""Presentations, the newest ones, that tell how long a label takes."""


def kept_forecasts(project: Project) -> list[Forecast]:
    """Return what was foretold, the oldest first; nothing where the file is not there or cannot be read."""
    try:
        entries = json.loads((project.scores_folder / FORECASTS_FILE).read_text("utf-8"))
        return [Forecast(**each) for each in entries]
    except (OSError, ValueError, TypeError):
        return []


def fulfilled(known: Sequence[Forecast], labels: int, share: float) -> list[Forecast]:
    """Return forecasts with what came of those whose labels are there by now: at the first assessment after them."""
    return [
        replace(each, came_labels=labels - each.labels, came_points=round(100 * (share - each.share), 2))
        if each.came_labels is None and labels >= each.labels + each.more
        else each
        for each in known
    ]


def keep_forecast(project: Project, labels: int, share: float, forecast: Forecast | None) -> None:
    """Note what came of earlier forecasts, and keep a new one in the place of any from as many labels."""
    known = [each for each in kept_forecasts(project) if each.labels < labels]  # labels may have been taken back
    known = fulfilled(known, labels, share) + ([forecast] if forecast is not None else [])
    if known:
        write_scores(project, FORECASTS_FILE, [asdict(each) for each in known[-MOST_KEPT:]])


def last_fulfilled(project: Project) -> Forecast | None:
    """Return the newest forecast of which is known what came, None where there is none."""
    return next((each for each in reversed(kept_forecasts(project)) if each.came_labels is not None), None)


def seconds_per_label(answers: Sequence[Answer]) -> float | None:
    """Return how long a label takes at the pace of the newest presentations, skipped ones included; None if unknown."""
    newest = [each for each in answers if each.effort is not None][-PACE_OF:]
    labels = sum(each.class_index is not None for each in newest)
    seconds = float(np.sum([each.effort for each in newest]))
    return seconds / labels if labels and seconds > 0 else None


def labels_to_come(answers: Sequence[Answer]) -> int:
    """Return how many labels the next minutes bring at this pace, 0 where no effort was measured."""
    each_s = seconds_per_label(answers)
    return 0 if each_s is None else max(round(60 * MINUTES / each_s), 1)
