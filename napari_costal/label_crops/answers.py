"""The stored record of an answer: the crop, the annotator, the way it was given and the reason of the query. No Qt."""

from costal.labels.records import AnswerKind, AnswerRecord
from costal.types import Grid
from napari_costal.label_crops.loaded_frame import LoadedFrame
from napari_costal.labelling.presentation import Presentation


def record_of(
    presentation: Presentation, kind: AnswerKind, class_id: int | None, loaded: LoadedFrame, grid: Grid, annotator: str
) -> AnswerRecord:
    """Return the record that the store keeps for a crop being labelled; only a class can be unsure."""
    y, x = grid.origin(presentation.index)
    return AnswerRecord(
        loaded.stored.id,
        y,
        x,
        loaded.picture(grid, presentation.index).crop_C_H_W,
        kind,
        class_id,
        annotator,
        tuple(presentation.events),
        presentation.generation,
        presentation.rank,
        presentation.prediction_shown,
        presentation.control,
        presentation.why,
        repeated=presentation.repeated,
        unsure=presentation.unsure and kind == "class",
        note=presentation.note,
        asker=presentation.asker,
        during_fit=presentation.during_fit,
    )
