"""The store: frames, crops, presentations, events and labels in one SQLite file. What it acknowledged is on disk."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from costal.errors import ProjectError
from costal.labels.effort import Event, EventKind, PauseReason
from costal.labels.migrations import checked_version, migrate


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """A frame as the store knows it; `low_C` and `high_C` are its intensity range."""

    content_hash: str
    planes: str
    source: str
    height: int
    width: int
    pixel_um: float | None
    low_C: tuple[float, ...]
    high_C: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """One presentation's end as it is committed: whose crop it is, its raw pixels, why it was asked, what was said.

    `kind` "abandoned" keeps the events alone; `class_id` goes with "class" only.
    """

    frame_id: int
    y: int
    x: int
    pixels_C_H_W: NDArray[np.generic]
    kind: Literal["class", "skip", "abandoned"]
    class_id: int | None
    annotator: str
    events: tuple[Event, ...]
    generation: int = 0
    rank: int | None = None
    prediction_shown: bool = False
    information: float | None = None
    cost: float | None = None
    value: float | None = None


@dataclass(frozen=True, slots=True)
class CropLabel:
    """The current label of a crop: where it is and its class, None when it was skipped."""

    label_id: int
    frame_id: int
    y: int
    x: int
    side: int
    class_id: int | None


@dataclass(frozen=True, slots=True)
class PresentedCrop:
    """One ended presentation to learn from: raw pixels, its frame's range, the current label and the raw events.

    `class_id` is None when the crop has no current label, or when a later presentation of it carries the label.
    """

    frame_id: int
    pixels_C_H_W: NDArray[np.generic]
    low_C: tuple[float, ...]
    high_C: tuple[float, ...]
    class_id: int | None
    annotator: str
    events: tuple[Event, ...]


def require_store(path: Path) -> None:
    """Raise ProjectError when a project's store is gone or empty: opening it would begin anew without a word."""
    if not path.is_file() or path.stat().st_size == 0:
        raise ProjectError(f"{path} is missing or empty: its labels are gone. Restore labels.sqlite from a backup.")


def _roll_back(path: Path) -> None:
    """Let SQLite undo what a crash left half written; a reader may not do that itself."""
    if path.is_file() and path.with_name(path.name + "-journal").exists():
        with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=10)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master")


class Store:
    """The labels of one project, open for one writer or read-only. Use it from the thread that opened it."""

    def __init__(self, path: Path, read_only: bool = False) -> None:
        self._path = path
        with self._explained():
            if read_only:
                _roll_back(path)
                self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)
            else:
                self._connection = sqlite3.connect(path, timeout=10)
            self._connection.isolation_level = None
            try:
                self._connection.execute("PRAGMA foreign_keys = ON")
                if read_only:
                    if checked_version(self._connection, path) == 0:
                        raise ProjectError(
                            f"{path} is empty: its labels are gone. Restore labels.sqlite from a backup."
                        )
                else:
                    self._connection.execute("PRAGMA journal_mode = DELETE")
                    self._connection.execute("PRAGMA synchronous = FULL")
                    migrate(self._connection, path)
                    self._refuse_read_only()
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Close the file; nothing is pending, for every write is a whole transaction."""
        self._connection.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add_frame(self, frame: FrameRecord) -> int:
        """Return the id of a frame, which is kept once for equal content and planes."""
        with self._transaction() as connection:
            connection.execute(
                """INSERT INTO frame (content_hash, planes, source, height, width, pixel_um, low, high, utc_ns)
                VALUES (:hash, :planes, :source, :height, :width, :pixel_um, :low, :high, :utc_ns)
                ON CONFLICT (content_hash, planes) DO NOTHING""",
                {
                    "hash": frame.content_hash,
                    "planes": frame.planes,
                    "source": frame.source,
                    "height": frame.height,
                    "width": frame.width,
                    "pixel_um": frame.pixel_um,
                    "low": json.dumps(frame.low_C),
                    "high": json.dumps(frame.high_C),
                    "utc_ns": time.time_ns(),
                },
            )
            row = connection.execute(
                "SELECT id FROM frame WHERE content_hash = ? AND planes = ?", (frame.content_hash, frame.planes)
            ).fetchone()
        return int(row[0])

    def answer(self, answer: AnswerRecord) -> int | None:
        """Commit a presentation with its events and label; return the label's id, None when it was abandoned.

        When this returns, the label is on disk.

        Raises
        ------
        ProjectError
            When it could not be saved: nothing of it was, and it can be tried again.
        """
        with self._transaction() as connection:
            crop_id = self._crop_id(connection, answer)
            presentation_id = connection.execute(
                """INSERT INTO presentation
                (crop_id, annotator, generation, rank, prediction_shown, information, cost, value, utc_ns)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                (
                    crop_id,
                    answer.annotator,
                    answer.generation,
                    answer.rank,
                    answer.prediction_shown,
                    answer.information,
                    answer.cost,
                    answer.value,
                    time.time_ns(),
                ),
            ).lastrowid
            connection.executemany(
                "INSERT INTO event (presentation_id, kind, reason, perf_ns, utc_ns) VALUES (?, ?, ?, ?, ?)",
                [(presentation_id, each.kind, each.reason, each.perf_ns, each.utc_ns) for each in answer.events],
            )
            if answer.kind == "abandoned":
                return None
            return connection.execute(
                "INSERT INTO label (crop_id, presentation_id, kind, class_id, utc_ns) VALUES (?, ?, ?, ?, ?)",
                (crop_id, presentation_id, answer.kind, answer.class_id, time.time_ns()),
            ).lastrowid

    def undo(self, label_id: int) -> None:
        """Take back a label by a tombstone; the label itself stays."""
        with self._transaction() as connection:
            connection.execute(
                """INSERT INTO label (crop_id, kind, undoes, utc_ns)
                SELECT crop_id, 'undo', id, :utc_ns FROM standing_label WHERE id = :id""",
                {"id": label_id, "utc_ns": time.time_ns()},
            )

    def labels(self, frame_id: int | None = None) -> list[CropLabel]:
        """Return the current labels, of one frame or of all."""
        with self._explained():
            rows = self._connection.execute(
                """SELECT current_label.id, frame_id, y, x, side, class_id
                FROM current_label JOIN crop ON crop.id = crop_id
                WHERE :frame IS NULL OR frame_id = :frame ORDER BY current_label.id""",
                {"frame": frame_id},
            ).fetchall()
        return [CropLabel(*row) for row in rows]

    def labels_of(self, content_hash: str) -> list[CropLabel]:
        """Return the current labels of the frame with this content."""
        with self._explained():
            rows = self._connection.execute("SELECT id FROM frame WHERE content_hash = ?", (content_hash,)).fetchall()
        return [label for (frame_id,) in rows for label in self.labels(frame_id)]

    def presented(self) -> list[PresentedCrop]:
        """Return every ended presentation in order, with what was labelled and the raw events of its effort."""
        with self._explained():
            events: dict[int, list[Event]] = {}
            for presentation_id, kind, reason, perf_ns, utc_ns in self._connection.execute(
                "SELECT presentation_id, kind, reason, perf_ns, utc_ns FROM event ORDER BY id"
            ):
                event = Event(EventKind(kind), perf_ns, utc_ns, PauseReason(reason) if reason else None)
                events.setdefault(presentation_id, []).append(event)
            rows = self._connection.execute(
                """SELECT presentation.id, frame_id, dtype, channels, side, pixels, low, high, class_id, annotator
                FROM presentation JOIN crop ON crop.id = presentation.crop_id JOIN frame ON frame.id = frame_id
                LEFT JOIN current_label ON current_label.presentation_id = presentation.id
                ORDER BY presentation.id"""
            ).fetchall()
        return [
            PresentedCrop(
                frame_id,
                np.frombuffer(pixels, dtype).reshape(channels, side, side),
                tuple(json.loads(low)),
                tuple(json.loads(high)),
                class_id,
                annotator,
                tuple(events.get(presentation_id, ())),
            )
            for presentation_id, frame_id, dtype, channels, side, pixels, low, high, class_id, annotator in rows
        ]

    def ranges(self) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
        """Return the intensity range (low per channel, high per channel) of every frame, oldest first."""
        with self._explained():
            rows = self._connection.execute("SELECT low, high FROM frame ORDER BY id").fetchall()
        return [(tuple(json.loads(low)), tuple(json.loads(high))) for low, high in rows]

    def presentation_count(self, annotator: str) -> int:
        """Return how many presentations this annotator has ended."""
        with self._explained():
            query = "SELECT count(*) FROM presentation WHERE annotator = ?"
            return int(self._connection.execute(query, (annotator,)).fetchone()[0])

    def check(self) -> list[str]:
        """Return what SQLite finds wrong with the file; an empty list when it is whole."""
        with self._explained():
            found = [row[0] for row in self._connection.execute("PRAGMA integrity_check").fetchall()]
            broken = [f"{row[0]} row {row[1]}" for row in self._connection.execute("PRAGMA foreign_key_check")]
        return [line for line in found if line != "ok"] + broken

    def _crop_id(self, connection: sqlite3.Connection, answer: AnswerRecord) -> int:
        pixels = np.ascontiguousarray(answer.pixels_C_H_W)
        if pixels.ndim != 3 or pixels.shape[1] != pixels.shape[2] or pixels.dtype.kind not in "biuf":
            raise ProjectError(
                f"A crop of shape {pixels.shape} and type {pixels.dtype} cannot be kept. Crops are C, H, H."
            )
        pixels = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
        channels, side, _ = pixels.shape
        connection.execute(
            """INSERT INTO crop (frame_id, y, x, side, dtype, channels, pixels) VALUES (?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (frame_id, y, x, side) DO NOTHING""",
            (answer.frame_id, answer.y, answer.x, side, pixels.dtype.str, channels, pixels.tobytes()),
        )
        row = connection.execute(
            "SELECT id FROM crop WHERE frame_id = ? AND y = ? AND x = ? AND side = ?",
            (answer.frame_id, answer.y, answer.x, side),
        ).fetchone()
        return int(row[0])

    def _refuse_read_only(self) -> None:
        """Find out now, not at the first label, that nothing can be written."""
        with self._transaction() as connection:
            connection.execute(f"PRAGMA user_version = {connection.execute('PRAGMA user_version').fetchone()[0]}")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite says into a sentence with a remedy."""
        try:
            yield
        except sqlite3.Error as error:
            remedies = {
                "readonly": "The folder or file is read-only. Choose a folder that you may write to.",
                "unable to open": "The folder is missing or may not be written to. Choose another.",
                "locked": "Another window or program writes to it. Close that one and try again.",
                "full": "The disk is full. Free some space and try again: nothing was lost.",
                "not a database": "It is not a label store. Restore labels.sqlite from a backup.",
                "malformed": "It is damaged. Restore labels.sqlite from a backup.",
            }
            remedy = next((text for cause, text in remedies.items() if cause in str(error)), "Try again.")
            raise ProjectError(f"{self._path} could not be used: {error}. {remedy}") from error
