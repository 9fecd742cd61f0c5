"""A crop of a frame that was classified, corrected by the expert: it becomes a label of the project."""

from collections.abc import Iterable

import numpy as np

from costal.applying.applied import ClassifiedCrop
from costal.errors import ProjectError
from costal.frames.grid import crop_at, index_at
from costal.labels.controls import control_numbers
from costal.labels.project import Project
from costal.labels.records import AnswerRecord, CropLabel, QueryReason
from costal.scoring.frame_planes import FramePlane, frames_of
from costal.scoring.prepare import MISSING_IN_WINDOW, grid_of
from costal.workbench.session import ProjectSession, recorded


def correct(session: ProjectSession, frame: FramePlane, crop: ClassifiedCrop, class_id: int) -> CropLabel:
    """Return the label of a crop once it is on disk: given singly, the prediction known, without effort.

    Raises
    ------
    ProjectError
        When another program writes to the project, the crop is none of the project's own grid, or is a control.
    """
    session.require_writing()
    project, grid = session.project, grid_of(session.project, frame.pixels_C_Y_X)
    index = index_at(grid, crop.y, crop.x)
    if index is None or crop.side != grid.crop or grid.origin(index) != (crop.y, crop.x):
        raise ProjectError(
            f"The crop of {crop.side} px at {crop.y}, {crop.x} is not in the project's grid ({grid.crop} px every "
            f"{grid.stride}), so it cannot be labelled here. Label the frame in Label crops."
        )
    stored = session.place(recorded(frame))
    if _is_free_control(session, stored.id, frame.content_hash, crop):
        raise ProjectError(
            "This crop is a control: it can be labelled only in a query; otherwise the accuracy would look better "
            "than it is. Choose another crop."
        )
    pixels = crop_at(frame.pixels_C_Y_X, grid, index)
    why = QueryReason((crop.class_id,), (crop.confidence,), crop.information) if crop.class_id else QueryReason()
    answer = AnswerRecord(
        stored.id,
        crop.y,
        crop.x,
        pixels,
        "class",
        class_id,
        session.annotator,
        (),
        prediction_shown=True,
        why=why,
    )
    label_id = session.answer(answer)
    if label_id is None:
        raise ProjectError(f"The crop was not labelled in '{project.name}'. Try again.")
    return CropLabel(label_id, stored.id, crop.y, crop.x, crop.side, class_id)


def _is_free_control(session: ProjectSession, frame_id: int, content_hash: str, crop: ClassifiedCrop) -> bool:
    """Return whether a crop is a control that has no label yet."""
    place = np.array([crop.y]), np.array([crop.x])
    if control_numbers(session.project, content_hash, *place, crop.side)[0] >= session.project.choices.control_share:
        return False
    return session.store.label_at(CropLabel(0, frame_id, crop.y, crop.x, crop.side, None)) is None


def frame_of_crop(project: Project, crop: ClassifiedCrop) -> FramePlane:
    """Return the frame of a file that a crop is of. Not for the GUI thread.

    Raises
    ------
    FrameError, ProjectError
        When the file cannot be read, or has no such planes any more.
    """
    _, frames = frames_of(project, crop.source, MISSING_IN_WINDOW)
    return _the_planes(frames, crop)


def _the_planes(frames: Iterable[FramePlane], crop: ClassifiedCrop) -> FramePlane:
    frame = next((each for each in frames if each.description == crop.planes), None)
    if frame is None:
        raise ProjectError(f"{crop.source} has no planes '{crop.planes}' any more. Classify it again.")
    return frame
