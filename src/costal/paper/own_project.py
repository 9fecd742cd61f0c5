"""The experiment on a labelled project: its crops, its classes, and the seconds that its experts needed."""

from pathlib import Path

import numpy as np

from costal.errors import DatasetError
from costal.labels.project_file import load_project
from costal.labels.store import Store
from costal.paper.sources import Dataset, LabelledCrops
from costal.paper.splits import from_labelled
from costal.scoring.model_version import range_of_project
from costal.workbench.fitting import learned_shape, left_out, remedy
from costal.workbench.retraining import answers_of


def load_own_project(folder: Path, seed: int = 0, with_censored: bool = False) -> Dataset:
    """Return the labelled crops of a project with their measured efforts in seconds; a quarter is for tests.

    The classes are those of the project. Two kinds of labels are left out and counted in the notes: those whose effort
    was not measured to its end (the crop was looked at for longer than the idle limit, or the machine slept) and those
    that the project does not learn from (see `learned_shape`). `seed` draws the crops for tests, class by class.
    `with_censored` keeps those that were looked at for longer than the idle limit; their effort is a lower bound.

    Raises
    ------
    DatasetError
        When nothing is left, or too little of a class.
    ProjectError
        When the project or its labels cannot be read.
    """
    project = load_project(folder)
    with Store(project.store_path, read_only=True) as store:
        presented, ranges = store.presented(), store.ranges()
    labels = [each for each in presented if project.class_index(each.class_id) is not None]
    # All that was presented, for the order of answers; those without a label are dropped below.
    shape = learned_shape(project, labels or presented)
    answers = [*answers_of(project, presented, range_of_project(project, ranges, shape[0]), shape)]
    usable = [
        (answer.crop_C_H_W, answer.class_index, answer.effort, answer.censored)
        for answer in answers
        if answer.class_index is not None and answer.effort is not None and (with_censored or not answer.censored)
    ]
    if not usable:
        raise DatasetError(
            " ".join(
                (
                    f"{folder} has {len(labels)} labels and none with a measured effort.",
                    *left_out(labels, shape),
                    remedy(labels, shape) or "Label some crops, or choose another.",
                )
            )
        )
    crops, classes, efforts, censored = zip(*usable, strict=True)
    labelled = LabelledCrops(np.stack(crops), np.array(classes, np.int64), np.array(efforts, np.float32))
    unfit = left_out(labels, shape)
    unmeasured = sum(each.pixels_C_H_W.shape == shape for each in labels) - len(usable)
    notes = (f"{unmeasured} of {len(labels)} labels were left out: they have no usable effort.",) if unmeasured else ()
    names = tuple(each.name for each in project.offered)
    censored_N = np.array(censored) if any(censored) else None
    return from_labelled(project.name, names, "s", labelled, (*unfit, *notes), seed, censored_N)
