"""Labels out and in: a project exported as it lies open, and a CSV's rows brought to the frames they are about."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from costal.errors import FrameError
from costal.frames.grid import crop_at, tile
from costal.labels.exchange.exports import Exported, ExportKind, export
from costal.labels.exchange.imports import LabelRow, read_label_rows, refuse, with_classes
from costal.labels.project import Tiling
from costal.labels.project_file import load_project
from costal.labels.records import AnswerRecord
from costal.labels.store import Store, require_store
from costal.scoring.channels import proposed
from costal.types import Grid, Job, Progress
from costal.workbench.row_frames import RowFrame, RowFrames
from costal.workbench.session import ProjectSession

IMPORTED_BY = "imported"
"""Whom labels are from that say no annotator."""


@dataclass(frozen=True, slots=True)
class ImportedLabels:
    """What a CSV file came to: labels that were new, labels that stood already, and what else had to be added.

    `contradicting` rows say otherwise than labels that stood, which were changed if it is `replaced`. `notes` are
    sentences about what is not as expected, each after the name of the file that it is about.
    """

    added: int
    unchanged: int
    frames: int
    classes: tuple[str, ...]
    contradicting: int = 0
    replaced: bool = False
    notes: tuple[tuple[str, str], ...] = ()


def export_project(
    folder: Path, target: Path, kind: ExportKind, validation: float = 0.0, overwrite: bool = False
) -> Job[Exported]:
    """Return what was written of a project (see `export`), which somebody else may write to meanwhile.

    Raises
    ------
    ProjectError
        When the project cannot be read or the target not be written.
    """
    project = load_project(folder)
    require_store(project.store_path)
    with Store(project.store_path, read_only=True) as store:
        return (yield from export(project, store, target, kind, validation, overwrite))


def import_labels(
    session: ProjectSession,
    table: Path,
    images: Path | None = None,
    annotator: str = "",
    add_classes: bool = False,
    dry_run: bool = False,
    replace_labels: bool = False,
) -> Job[ImportedLabels]:
    """Return what the labels of a CSV file came to: all of them are in the project, or none.

    A frame that the project lacks is read from the path that is given, which may begin in `images`, beside the table,
    in the project's or the watched folder; so are the crops that were never presented. Labels that stand already are
    not given again, and those that a row contradicts are changed with `replace_labels` alone. They come without effort,
    for nobody measured it. With `dry_run` all of it is tried and nothing kept.

    Raises
    ------
    ProjectError
        When a row cannot be used; names file, row and column.
    """
    session.require_writing()
    rows = read_label_rows(table)
    project, class_ids = with_classes(session.project, rows, table, add_classes)
    new_classes = tuple(each.name for each in project.classes[len(session.project.classes) :])
    added = contradicting = done = 0
    with session.store.together(keep=not dry_run):
        frames = session.store.frames()
        known, is_new = len(frames), not session.store.label_snapshot()
        row_frames = RowFrames(session, table, images, frames)
        reading = _Reading(session, table, annotator or IMPORTED_BY, class_ids, row_frames, replace_labels)
        for group in _by_frame(rows):
            new, otherwise = reading.answer(group)
            added, contradicting, done = added + new, contradicting + otherwise, done + len(group)
            yield Progress(done, len(rows), "Reading labels")
        if is_new and row_frames.images_read:
            first = row_frames.images_read[0]
            project = proposed(project, first.channels, first.is_rgb, labelled=0)
        if project != session.project and not dry_run:
            session.configure(project)
    session.reload()
    unchanged = len(rows) - added - contradicting
    return ImportedLabels(
        added,
        unchanged,
        len(frames) - known,
        new_classes,
        contradicting,
        replace_labels and contradicting > 0,
        tuple(row_frames.notes),
    )


def _by_frame(rows: Sequence[LabelRow]) -> Iterator[list[LabelRow]]:
    groups: dict[tuple[str, str, str | None], list[LabelRow]] = {}
    for row in rows:
        groups.setdefault((row.frame, row.content_hash, row.planes), []).append(row)
    yield from groups.values()


@dataclass(frozen=True, slots=True)
class _Reading:
    """The rows of one table on their way into a project; with `replace_labels` they may contradict its labels."""

    session: ProjectSession
    table: Path
    annotator: str
    class_ids: Mapping[str, int]
    frames: RowFrames
    replace_labels: bool

    def answer(self, rows: Sequence[LabelRow]) -> tuple[int, int]:
        """Return how many labels of one frame's rows were new, and how many rows contradict labels that stood.

        The new ones are in the open transaction.
        """
        frame = self.frames.frame_of(rows[0])
        standing = {
            (label.y, label.x, label.side): (label.kind, self._today(label.class_id))
            for label in self.session.store.labels(frame.id)
        }
        labels: dict[tuple[int, int, int], tuple[LabelRow, int | None]] = {}
        added = contradicting = 0
        for row in rows:
            side = row.side or self.session.project.tiling.crop
            place, class_id = (row.y, row.x, side), self.class_ids.get(row.class_name)
            before = labels.setdefault(place, (row, class_id))
            if (before[0].kind, before[1]) != (row.kind, class_id):
                raise refuse(
                    self.table, row.number, "class", f"row {before[0].number} gives another label for this crop."
                )
            stands = standing.get(place)
            if stands == (row.kind, class_id) or before[0] is not row:
                continue
            pixels = self.session.store.crop_pixels(frame.id, *place)
            if pixels is None:
                frame, pixels = self._cut(frame, row, side)
            contradicting += stands is not None
            if stands is not None and not self.replace_labels:
                continue
            by = row.annotator or self.annotator
            answer = AnswerRecord(
                frame.id,
                row.y,
                row.x,
                pixels,
                row.kind,
                class_id,
                by,
                events=(),
                given="imported",
                unsure=row.unsure,
                note=row.note,
            )
            self.session.store.answer(answer)
            added += stands is None
        return added, contradicting

    def _today(self, class_id: int | None) -> int | None:
        project_class = self.session.project.class_of(class_id) if class_id is not None else None
        return project_class.id if project_class else class_id

    def _cut(self, frame: RowFrame, row: LabelRow, side: int) -> tuple[RowFrame, NDArray[np.generic]]:
        """Return a crop's pixels from the frame's plane, and the frame with that plane."""
        record, tiling = frame.record, self.session.project.tiling
        at = _crop_of_grid(record.height, record.width, row.y, row.x, side, tiling)
        if at is None:
            raise refuse(
                self.table,
                row.number,
                "y, x",
                f"no crop of {side} px begins at ({row.y}, {row.x}): the project's grid has crops of {tiling.crop} px "
                f"every {tiling.stride} px, in this frame of {record.height} x {record.width} px.",
            )
        if frame.plane_C_Y_X is None:
            frame = replace(frame, plane_C_Y_X=self.frames.plane_of(row, record))
        try:
            return frame, crop_at(frame.plane_C_Y_X, *at)  # type: ignore[arg-type]  # it is there by now
        except FrameError as error:
            raise refuse(self.table, row.number, "y, x", str(error)) from error


def _crop_of_grid(height: int, width: int, y: int, x: int, side: int, tiling: Tiling) -> tuple[Grid, int] | None:
    """Return the project's grid and the index of the crop at (y, x) in it; None where none of its crops begins."""
    if side != tiling.crop:
        return None
    try:
        grid = tile((height, width), tiling.crop, tiling.stride, tiling.edge)
    except FrameError:
        return None
    (row, beyond_y), (col, beyond_x) = divmod(y, grid.stride), divmod(x, grid.stride)
    if beyond_y or beyond_x or row >= grid.rows or col >= grid.cols:
        return None
    return grid, row * grid.cols + col
