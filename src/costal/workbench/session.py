"""The project that lies open for work: it writes, in the order that the expert acts, and never loads torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from costal.errors import ProjectError
from costal.files import remove_leftovers
from costal.frames.normalise import IntensityRange
from costal.labels.history import History, LabelRow
from costal.labels.lock import Holder, ProjectLock
from costal.labels.project import PROJECT_FILE, Project
from costal.labels.project_file import load_project, save_project, settings_stamp
from costal.labels.records import ActionRecord, AnswerRecord, CropLabel, FrameRecord
from costal.labels.store import Store, require_store
from costal.scoring.frame_planes import FramePlane
from costal.scoring.intensities import measured_range
from costal.scoring.model_version import range_in_use
from costal.types import Arrival


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """A frame of the project: its id in the store, its content, and the range that its crops are normalised with."""

    id: int
    content_hash: str
    range: IntensityRange


def recorded(frame: FramePlane) -> FrameRecord:
    """Return what the store keeps of a frame. Reads all of one in memory, and windows of a large one.

    Raises
    ------
    FrameError
        When it cannot be read, or a channel has no finite pixel.
    """
    limits, _ = measured_range(frame.pixels_C_Y_X, "skip")
    _, height, width = frame.pixels_C_Y_X.shape
    source = str(Path(frame.source).absolute()) if Path(frame.source).exists() else frame.source
    known = frame.content_hash, frame.description, source, height, width, frame.pixel_um
    return FrameRecord(*known, limits.low_C, limits.high_C)


class ProjectSession:
    """A project open for work. Use it from the thread that opened it; every answer it returns from is on disk.

    Only labels of `annotator` can be undone and redone.

    While another window or program writes to the project it is open for reading, and `holder` says who that is.
    """

    def __init__(self, folder: Path, annotator: str = "") -> None:
        self._stamp = settings_stamp(folder)
        self.project = load_project(folder)
        self.annotator = annotator
        require_store(self.project.store_path)
        self._lock = ProjectLock(folder)
        self.holder: Holder | None = self._lock.acquire()
        if self.holder is None:
            for each in (folder, self.project.model_folder):
                remove_leftovers(each)
        try:
            self.store = Store(
                self.project.store_path, read_only=self.holder is not None, may_commit=self._lock.require
            )
        except BaseException:
            self._lock.release()
            raise
        try:
            self._history = self.store.history(annotator)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the store and let others write."""
        self.store.close()
        self._lock.release()

    def __enter__(self) -> "ProjectSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def require_writing(self) -> None:
        """Raise ProjectError, which says who holds the project, when it is open for reading only."""
        if self.holder is not None:
            raise ProjectError(
                f"'{self.project.name}' is open for reading only: {self.holder} writes to it. Close it there, then "
                "open it here again."
            )

    def configure(self, project: Project) -> None:
        """Keep a project's new settings, on disk first.

        Raises
        ------
        ProjectError
            When another window writes to the project, or the file was changed since it was read: it stays as it is.
        """
        self.require_writing()
        self._lock.require()
        if settings_stamp(project.folder) != self._stamp:
            raise ProjectError(
                f"{project.folder / PROJECT_FILE} was changed by another program while the project was open here. The "
                "new settings were not saved. Open the project again, then change them."
            )
        save_project(project)
        self.project, self._stamp = project, settings_stamp(project.folder)

    def place(self, record: FrameRecord) -> StoredFrame:
        """Return the frame of this record (see `recorded`) as part of the project; equal content is the same frame."""
        known = self.store.frame_id(record) if self.holder is not None else self.store.add_frame(record)
        own = IntensityRange(record.low_C, record.high_C)
        return StoredFrame(known, record.content_hash, range_in_use(self.project, own, self.store.ranges()))

    def move_frames(self, sources: Mapping[int, str]) -> None:
        """Keep where the images of frames lie by now (see `costal.workbench.locating`)."""
        self.require_writing()
        self.store.move_frames(sources)

    def answer(self, answer: AnswerRecord) -> int | None:
        """Return the label's id once it is on disk (see `Store.answer`)."""
        self.require_writing()
        label_id = self.store.answer(answer)
        if label_id is not None and answer.annotator == self.annotator:
            self._history = self._history.after(LabelRow(label_id, None, None))
        return label_id

    def answer_together(self, action: ActionRecord, answers: Sequence[AnswerRecord]) -> tuple[int, ...]:
        """Return the labels' ids once all are on disk (see `Store.answer_together`); undo takes them back together."""
        self.require_writing()
        label_ids = self.store.answer_together(action, answers)
        if label_ids and action.annotator == self.annotator:
            self._history = self._history.after(LabelRow(label_ids[0], None, None))
        return label_ids

    def undo(self) -> CropLabel | None:
        """Take the last label back and return it, None when there is none to undo.

        With it go those that were given by the same action (see `Reader.labels_together`).
        """
        self.require_writing()
        if not self._history.done:
            return None
        last = self._history.done[-1]
        undone = self.store.label(last)
        self.store.undo(last)
        self._history = self._history.after(LabelRow(0, last, None))
        return undone

    def redo(self) -> CropLabel | None:
        """Give the label that was undone last again and return it, None when there is none to redo.

        With it come those that were given by the same action.
        """
        self.require_writing()
        if not self._history.undone:
            return None
        last = self._history.undone[-1]
        label_id = self.store.redo(last)
        self._history = self._history.after(LabelRow(label_id, None, last))
        return self.store.label(label_id)

    def reload(self) -> None:
        """Read again what can be undone, after labels were imported."""
        self._history = self.store.history(self.annotator)

    @property
    def history(self) -> History:
        """What can be undone and redone."""
        return self._history

    def note_arrivals(self, arrivals: list[Arrival]) -> None:
        """Keep how files of the watched folder were seen; a window that only reads keeps nothing."""
        if self.holder is None:
            self.store.note_arrivals(arrivals)
