"""Labels that the expert looked at again and kept: they are no doubts until another class contradicts them.

They are kept in a small file beside the scores; without it these labels are merely asked about once more.
"""

import json
from collections.abc import Iterable, Mapping

from costal.labels.project import Project
from costal.labels.records import CropLabel
from costal.workbench.assessment import Assessment, Doubt, without_doubts, write_scores

KEPT_FILE = "looked_again.json"
Confirmed = Mapping[int, int]
"""The class that contradicted each label that was kept, by the label's first id."""


def confirmed_labels(project: Project) -> dict[int, int]:
    """Return the labels that were looked at again and kept; none where the file is not there or cannot be read."""
    try:
        entries = json.loads((project.scores_folder / KEPT_FILE).read_text("utf-8"))
        return {int(label_id): int(class_id) for label_id, class_id in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def confirm(project: Project, doubts: Iterable[Doubt]) -> bool:
    """Keep labels as they are, and return whether that could be written."""
    known = confirmed_labels(project) | {each.label_id: each.predicted_id for each in doubts}
    return write_scores(project, KEPT_FILE, known)


def take_back(project: Project, doubts: Iterable[Doubt]) -> bool:
    """Doubt labels again that were kept, and return whether that could be written."""
    gone = {each.label_id for each in doubts}
    known = {label_id: class_id for label_id, class_id in confirmed_labels(project).items() if label_id not in gone}
    return write_scores(project, KEPT_FILE, known)


def open_doubts(project: Project, assessment: Assessment, labels: Iterable[CropLabel] | None = None) -> Assessment:
    """Return an assessment without the doubts that the expert has settled: labels kept, and those changed since.

    `labels` are those that stand; without them only what was kept is left out.
    """
    confirmed = confirmed_labels(project)
    settled = {each.label_id for each in assessment.doubts if confirmed.get(each.label_id) == each.predicted_id}
    if labels is not None:
        standing = {each.first_id for each in labels}
        settled |= {each.label_id for each in assessment.doubts if each.label_id not in standing}
    return without_doubts(assessment, settled)
