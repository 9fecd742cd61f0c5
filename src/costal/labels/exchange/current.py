"""The current labels with all that is known of each: what tables, annotation files and folders of crops are made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from costal.errors import EffortError
from costal.labels.effort import Effort, derive, replay
from costal.labels.exchange.splits import Split, splits_of
from costal.labels.project import Project
from costal.labels.records import FrameRecord, PresentationRow
from costal.labels.store import Store

NOT_MEASURED = Effort(0, 0, 0, False, False, "no effort was measured")


@dataclass(frozen=True, slots=True)
class CurrentLabel:
    """A crop's current label: its class by today's name, the presentation that gave it, its frame and its effort.

    `class_id` and `class_name` are those of the class that it counts as today; None and empty when it was skipped or
    excluded. `predicted` is the class that the agent thought likeliest, empty when none was asked.
    """

    row: PresentationRow
    frame: FrameRecord
    class_id: int | None
    class_name: str
    predicted: str
    effort: Effort
    split: Split

    @property
    def label_id(self) -> int:
        """Its id in the store."""
        return self.row.label_id or 0

    @property
    def is_measured(self) -> bool:
        """Whether seconds are known at all."""
        return self.effort is not NOT_MEASURED

    @property
    def remarks(self) -> dict[str, str | bool]:
        """How it was given, whether the expert was unsure, and the note."""
        return {"given": self.row.given, "unsure": self.row.unsure, "note": self.row.note}

    @property
    def utc(self) -> str:
        """When it was given, ISO 8601 in UTC."""
        given = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.row.utc_ns // 1000)
        return given.isoformat(timespec="milliseconds")

    @property
    def visible(self) -> tuple[int, int, int, int]:
        """Its (y, x, height, width) in the frame; a crop that was completed by reflection reaches no further."""
        row, frame = self.row, self.frame
        return row.y, row.x, min(row.side, frame.height - row.y), min(row.side, frame.width - row.x)


def current_labels(project: Project, store: Store, validation: float = 0.0) -> tuple[CurrentLabel, ...]:
    """Return the current label of every crop that has one, in the order in which they were presented."""
    frames = store.frames()
    rows = [row for row in store.presentations() if row.stands]
    splits = splits_of({row.frame_hash for row in rows}, project.choices.seed, validation)
    idle_limit_ns = round(project.idle_limit_s * 1e9)
    return tuple(_current(project, row, frames, splits, idle_limit_ns) for row in rows)


def class_name(project: Project, class_id: int | None) -> str:
    """Return what a stored class id is called today, ``class 7`` when the project does not know it."""
    if class_id is None:
        return ""
    project_class = project.class_of(class_id)
    return project_class.name if project_class else f"class {class_id}"


def _current(
    project: Project,
    row: PresentationRow,
    frames: Mapping[int, FrameRecord],
    splits: Mapping[str, Split],
    idle_limit_ns: int,
) -> CurrentLabel:
    project_class = project.class_of(row.class_id) if row.class_id is not None else None
    probable = max(zip(row.why.probs_K, row.why.class_ids, strict=True), default=(0.0, None))[1]
    return CurrentLabel(
        row,
        frames[row.frame_id],
        project_class.id if project_class else row.class_id,
        class_name(project, row.class_id),
        class_name(project, probable),
        _effort(row, idle_limit_ns),
        splits[row.frame_hash],
    )


def _effort(row: PresentationRow, idle_limit_ns: int) -> Effort:
    """Return the effort; events that cannot have happened are its reason, for the label still counts."""
    if not row.events:
        return NOT_MEASURED
    try:
        return derive(replay(row.events, idle_limit_ns))
    except EffortError as error:
        return Effort(0, 0, 0, False, False, str(error))
