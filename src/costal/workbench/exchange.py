"""Labels out and in: a project exported as it lies open, and a CSV's rows brought to the frames they are about."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from costal.errors import FrameError, ProjectError
from costal.frames.grid import Plane, crop_at, tile
from costal.frames.lazy import LazyFrame, open_lazily
from costal.frames.ome_zarr import is_zarr
from costal.frames.planes import describe, planes_of
from costal.frames.read import Planes, frame_from_array, plane, read
from costal.frames.windows import LazyPlane, content_hash, is_large
from costal.labels.exchange.exports import Exported, ExportKind, export
from costal.labels.exchange.imports import LabelRow, read_label_rows, refuse, with_classes
from costal.labels.project import Project, Tiling
from costal.labels.project_file import load_project
from costal.labels.records import AnswerRecord, FrameRecord
from costal.labels.store import Store, require_store
from costal.types import Frame, Grid, Job, PlaneRule, Progress
from costal.workbench.desk import Workbench, recorded

IMPORTED_BY = "imported"
"""Whom labels are from that say no annotator."""
OTHER_RULES = (PlaneRule("each", "each"), PlaneRule("max", "each"), PlaneRule("max", "max"), PlaneRule("mean", "each"))
"""How a stack may have been cut when its frame came into the project, if not as the project says today."""


@dataclass(frozen=True, slots=True)
class ImportedLabels:
    """What a CSV file came to: labels that were new, labels that stood already, and what else had to be added.

    `notes` are those on the files that were read, each after the file's name.
    """

    added: int
    unchanged: int
    frames: int
    classes: tuple[str, ...]
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
    bench: Workbench,
    table: Path,
    images: Path | None = None,
    annotator: str = "",
    add_classes: bool = False,
    dry_run: bool = False,
) -> Job[ImportedLabels]:
    """Return what the labels of a CSV file came to: all of them are in the project, or none.

    A frame that the project lacks is read from `images`, from beside the table, or from the path that is given; so are
    the crops that were never presented. Labels that stand already are not given again. They come without effort, for
    nobody measured it. With `dry_run` all of it is tried and nothing kept.

    Raises
    ------
    ProjectError
        When a row cannot be used; names file, row and column.
    """
    bench.require_writing()
    rows = read_label_rows(table)
    project, class_ids = with_classes(bench.project, rows, table, add_classes)
    new_classes = tuple(each.name for each in project.classes[len(bench.project.classes) :])
    added = done = 0
    with bench.store.together(keep=not dry_run):
        frames = bench.store.frames()
        known = len(frames)
        reading = _Reading(bench, table, images, annotator or IMPORTED_BY, class_ids, frames, {})
        for group in _by_frame(rows):
            added, done = added + reading.answer(group), done + len(group)
            yield Progress(done, len(rows), "Reading labels")
        if new_classes and not dry_run:
            bench.configure(project)
    bench.reload()
    return ImportedLabels(added, len(rows) - added, len(frames) - known, new_classes, tuple(reading.notes))


def _by_frame(rows: Sequence[LabelRow]) -> Iterator[list[LabelRow]]:
    groups: dict[tuple[str, str, str | None], list[LabelRow]] = {}
    for row in rows:
        groups.setdefault((row.frame, row.content_hash, row.planes), []).append(row)
    yield from groups.values()


@dataclass(frozen=True, slots=True)
class _Found:
    """A frame of the project, and its plane where it had to be read."""

    id: int
    record: FrameRecord
    plane_C_Y_X: Plane | None = None


@dataclass(frozen=True, slots=True)
class _Reading:
    """The rows of one table on their way into a project; `frames` and `notes`, on the files that are read, grow."""

    bench: Workbench
    table: Path
    images: Path | None
    annotator: str
    class_ids: Mapping[str, int]
    frames: dict[int, FrameRecord]
    notes: dict[tuple[str, str], None]

    def answer(self, rows: Sequence[LabelRow]) -> int:
        """Return how many labels of one frame's rows were new; they are in the open transaction."""
        found = self._frame(rows[0])
        standing = {
            (label.y, label.x, label.side): (label.kind, self._today(label.class_id))
            for label in self.bench.store.labels(found.id)
        }
        said: dict[tuple[int, int, int], tuple[LabelRow, int | None]] = {}
        added = 0
        for row in rows:
            side = row.side or self.bench.project.tiling.crop
            place, class_id = (row.y, row.x, side), self.class_ids.get(row.class_name)
            before = said.setdefault(place, (row, class_id))
            if (before[0].kind, before[1]) != (row.kind, class_id):
                raise refuse(self.table, row.number, "class", f"row {before[0].number} says otherwise of this crop.")
            if standing.get(place) == (row.kind, class_id):
                continue
            pixels = self.bench.store.crop_pixels(found.id, *place)
            if pixels is None:
                found, pixels = self._cut(found, row, side)
            by = row.annotator or self.annotator
            self.bench.store.answer(AnswerRecord(found.id, row.y, row.x, pixels, row.kind, class_id, by, ()))
            standing[place] = row.kind, class_id
            added += 1
        return added

    def _today(self, class_id: int | None) -> int | None:
        meant = self.bench.project.class_of(class_id) if class_id is not None else None
        return meant.id if meant else class_id

    def _frame(self, row: LabelRow) -> _Found:
        """Return the frame that a row is about: one of the project, or read from its file and added to the project."""
        matching = _matching(self.frames, row)
        if len(matching) > 1:
            raise self._refuse(row, "several frames are called that. Add the columns content_hash and planes.")
        if matching:
            return _Found(matching[0], self.frames[matching[0]])
        frame, planes = self._plane(row, row.frame, row.content_hash, row.planes)
        try:
            placed = self.bench.place(recorded(frame, planes))
        except FrameError as error:
            raise self._refuse(row, str(error)) from error
        if placed.id not in self.frames:
            self.frames[placed.id] = self.bench.store.frames()[placed.id]
        return _Found(placed.id, self.frames[placed.id], _pixels(frame))

    def _cut(self, found: _Found, row: LabelRow, side: int) -> tuple[_Found, NDArray[np.generic]]:
        """Return a crop's pixels from the frame's plane, and the frame with that plane."""
        record = found.record
        at = _grid_with(record.height, record.width, row.y, row.x, side, self.bench.project.tiling)
        if at is None:
            raise refuse(
                self.table,
                row.number,
                "y, x",
                f"a crop of {side} px at ({row.y}, {row.x}) is not within its frame of {record.height} x "
                f"{record.width} px.",
            )
        if found.plane_C_Y_X is None:
            frame, _ = self._plane(row, record.source, record.content_hash, None)
            found = _Found(found.id, record, _pixels(frame))
        try:
            return found, crop_at(found.plane_C_Y_X, *at)  # type: ignore[arg-type]  # it is there by now
        except FrameError as error:
            raise refuse(self.table, row.number, "y, x", str(error)) from error

    def _plane(
        self, row: LabelRow, source: str, content_hash: str, planes: str | None
    ) -> tuple[Frame | LazyPlane, str]:
        """Return the one plane of a file that has this content, or else is called so; and what it is called."""
        path = self._file(row.frame, source)
        if path is None:
            raise self._refuse(row, "no crop of it is in the project, and no such file. Say where the images are.")
        try:
            choices = [
                (frame, called)
                for frame, called in _planes_in(path, self.bench.project, bool(content_hash))
                if (_hash_of(frame) == content_hash if content_hash else planes in (None, called))
            ]
        except FrameError as error:
            raise self._refuse(row, str(error)) from error
        if not choices:
            raise self._refuse(row, f"{path} does not have the pixels or planes that the table is about.")
        if len(choices) > 1 and not content_hash:
            names = ", ".join(f"'{called}'" for _, called in choices[:5])
            raise self._refuse(row, f"{path} has {len(choices)} planes ({names} …). Say which in a column planes.")
        self.notes.update(((path.name, note), None) for note in _notes(choices[0][0]))
        return choices[0]

    def _file(self, *names: str) -> Path | None:
        folders = [each for each in (self.images, self.table.parent) if each is not None]
        for name in names:
            beside = [folder / part for folder in folders for part in (name, PureWindowsPath(name).name)]
            for path in (*beside, Path(name)):
                with suppress(OSError):  # a name can be longer than any file's
                    if path.is_file() or (path.is_dir() and is_zarr(str(path))):
                        return path
        return None

    def _refuse(self, row: LabelRow, reason: str) -> ProjectError:
        return refuse(self.table, row.number, "frame", f"'{row.frame}': {reason}")


def _matching(frames: Mapping[int, FrameRecord], row: LabelRow) -> list[int]:
    """Return the frames of the project that a row can mean: by content, else by path, else by the file's name."""
    content_hash = row.content_hash or row.frame
    same = [at for at, each in frames.items() if each.content_hash == content_hash]
    if same or row.content_hash:
        return [at for at in same if frames[at].planes == row.planes] or same
    asked = [at for at, each in frames.items() if row.planes in (None, each.planes)]
    same = [at for at in asked if frames[at].source == row.frame]
    name = PureWindowsPath(row.frame).name
    return same or [at for at in asked if PureWindowsPath(frames[at].source).name == name]


def _planes_in(path: Path, project: Project, any_rule: bool) -> Iterator[tuple[Frame | LazyPlane, str]]:
    """Return the planes of an image with what they are called: by one rule, or by all that are common."""
    axes = project.axes
    whole = open_lazily(path, "skip", axes) if is_large(str(path), axes) else read(path, axes)
    seen = set[Planes]()
    rule = project.plane_rule()
    others = (
        replace(each, channels=channels) for each in OTHER_RULES for channels in dict.fromkeys((rule.channels, None))
    )
    for each in (rule, *(others if any_rule else ())):
        for planes in planes_of(whole, each):
            if planes in seen:
                continue
            seen.add(planes)
            if isinstance(whole, LazyFrame):
                yield LazyPlane(whole, planes), describe(planes)
            else:
                yield (
                    frame_from_array(plane(whole, planes), "CYX", whole.pixel_um, whole.source, whole.notes),
                    describe(planes),
                )


def _hash_of(frame: Frame | LazyPlane) -> str:
    return content_hash(frame.frame, frame.planes) if isinstance(frame, LazyPlane) else frame.content_hash


def _notes(frame: Frame | LazyPlane) -> tuple[str, ...]:
    return frame.frame.notes if isinstance(frame, LazyPlane) else frame.notes


def _pixels(frame: Frame | LazyPlane) -> Plane:
    return frame if isinstance(frame, LazyPlane) else frame.pixels


def _grid_with(height: int, width: int, y: int, x: int, side: int, tiling: Tiling) -> tuple[Grid, int] | None:
    """Return a grid and the index of the crop at (y, x) in it; None where no crop can be."""
    if y + side <= height and x + side <= width:
        grid = tile((height, width), side, 1)
    elif tiling.edge == "pad" and side == tiling.crop <= 2 * min(height, width) - 1:
        grid = tile((height, width), side, tiling.stride, "pad")
    else:
        return None
    (row, beyond_y), (col, beyond_x) = divmod(y, grid.stride), divmod(x, grid.stride)
    if beyond_y or beyond_x or row >= grid.rows or col >= grid.cols:
        return None
    return grid, row * grid.cols + col
