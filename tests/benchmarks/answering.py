"""Labels of simulated fields, as an expert gives them one by one, for the benchmarks."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from costal.frames.grid import crop_at
from costal.frames.simulate import SimulatedField
from costal.labels.effort import Event, EventKind
from costal.labels.project_file import load_project
from costal.labels.records import AnswerRecord
from costal.scoring.frame_planes import FramePlane
from costal.types import Floats, finish
from costal.workbench.retraining import RetrainRequest, retrain
from costal.workbench.session import ProjectSession, recorded


def answer_crops(
    folder: Path, field: SimulatedField, frame: FramePlane, indices: Iterable[int], seconds_N: Floats, annotator: str
) -> None:
    """Give these crops of a frame their true classes, each in its own seconds."""
    with ProjectSession(folder, annotator) as session:
        frame_id = session.place(recorded(frame)).id
        for index in indices:
            end_ns = round(float(seconds_N[index]) * 1e9)
            events = (Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, end_ns, end_ns))
            crop, (y, x) = crop_at(frame.pixels_C_Y_X, field.grid, index), field.grid.origin(index)
            class_id = 1 + int(field.classes_N[index])
            session.answer(AnswerRecord(frame_id, y, x, crop, "class", class_id, annotator, events))


def learn_from(folder: Path, field: SimulatedField, count: int, annotator: str) -> None:
    """Label the first crops of a field in one second each, and train the project's first model on them."""
    frame = FramePlane(field.pixels_Y_X[np.newaxis], "before.tif", "all", "0" * 64, field.pixel_um)
    answer_crops(folder, field, frame, range(count), np.ones(count, np.float32), annotator)
    finish(retrain(RetrainRequest(load_project(folder), 0, "cpu")))
