"""What a store holds, read as values. `Store` adds opening and writing."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from costal.errors import ProjectError
from costal.labels.effort import Event, EventKind, PauseReason
from costal.labels.history import MOST_REMEMBERED, History, LabelRow, history_of
from costal.labels.places import source_of, stored_source
from costal.labels.records import (
    CropLabel,
    FrameRecord,
    PresentationRow,
    PresentedCrop,
    QueryReason,
    pixels_of,
    rows_explained,
)
from costal.types import Arrival, Stamp

LABEL_COLUMNS = "frame_id, y, x, side, class_id, kind, original, given, action_id, unsure, note"
"""What `label_of` takes after the id of a label, from a label joined with its crop."""
REMEDIES = {
    "readonly": "It is read-only, or was moved or deleted. Restore it, or choose a folder that you may write to.",
    "unable to open": "The folder is missing, or you may not write to it. Choose another folder.",
    "locked": "Another window or program writes to it. Close it there and try again.",
    "full": "The disk is full. Free some space and try again: nothing was lost.",
    "not a database": "It is not a label store. Restore labels.sqlite from a backup.",
    "malformed": "It is damaged. Restore labels.sqlite from a backup, or try 'costal project repair'.",
}


class Reader:
    """Reads over a connection that a `Store` has opened."""

    _path: Path
    _connection: sqlite3.Connection

    def labels(self, frame_id: int | None = None) -> list[CropLabel]:
        """Return the current labels, of one frame or of all."""
        where = "" if frame_id is None else "WHERE crop.frame_id = :frame"
        rows = self._select(
            f"""SELECT current_label.id, {LABEL_COLUMNS}
            FROM crop CROSS JOIN current_label ON crop.id = crop_id {where} ORDER BY current_label.id""",
            {"frame": frame_id},
        )
        return [label_of(row) for row in rows]

    def frame_id(self, frame: FrameRecord) -> int:
        """Return the id of a frame that the store has, 0 when it has none of this content."""
        return self.frame_with(frame.content_hash)

    def frame_with(self, content_hash: str) -> int:
        """Return the id of the frame with this content, 0 when the store has none."""
        rows = self._select("SELECT id FROM frame WHERE content_hash = :hash", {"hash": content_hash})
        return int(rows[0][0]) if rows else 0

    def label(self, label_id: int) -> CropLabel | None:
        """Return a label that was given, whether it stands or not."""
        rows = self._select(
            f"""SELECT label.id, {LABEL_COLUMNS}
            FROM label JOIN crop ON crop.id = crop_id WHERE label.id = :id""",
            {"id": label_id},
        )
        return label_of(rows[0]) if rows else None

    def labels_together(self, label: CropLabel) -> list[CropLabel]:
        """Return the labels that were given by the same action, as it gave them; this one alone without an action."""
        if label.action_id is None:
            return [label]
        rows = self._select(
            f"""SELECT label.id, {LABEL_COLUMNS}
            FROM label JOIN crop ON crop.id = crop_id
            WHERE action_id = :action AND kind <> 'undo' AND redoes IS NULL ORDER BY label.id""",
            {"action": label.action_id},
        )
        return [label_of(row) for row in rows]

    def label_at(self, label: CropLabel) -> CropLabel | None:
        """Return the current label of the crop that a label was given to, None when it has none."""
        rows = self._select(
            f"""SELECT current_label.id, {LABEL_COLUMNS} FROM crop
            JOIN current_label ON crop_id = crop.id WHERE frame_id = :frame AND y = :y AND x = :x AND side = :side""",
            {"frame": label.frame_id, "y": label.y, "x": label.x, "side": label.side},
        )
        return label_of(rows[0]) if rows else None

    def answered_alone(self) -> set[tuple[int, int, int, int]]:
        """Return the crops (frame id, y, x, side) that have an answer which was given to them alone, and stands."""
        rows = self._select(
            """SELECT DISTINCT frame_id, y, x, side FROM standing_label JOIN crop ON crop.id = crop_id
            WHERE given = 'single'"""
        )
        return {tuple(row) for row in rows}

    def planted_errors(self) -> tuple[int, int]:
        """Return how many of the predictions that were offered were wrong on purpose, and how many were caught."""
        planted, caught = self._select("SELECT coalesce(sum(planted), 0), coalesce(sum(caught), 0) FROM action")[0]
        return int(planted), int(caught)

    def labels_of(self, content_hash: str) -> list[CropLabel]:
        """Return the current labels of the frame with this content."""
        rows = self._select("SELECT id FROM frame WHERE content_hash = :hash", {"hash": content_hash})
        return [label for (frame_id,) in rows for label in self.labels(frame_id)]

    def labels_in(self, source: str, planes: str, height: int, width: int) -> list[CropLabel]:
        """Return the current labels of frames that came from here, are these planes and of this size."""
        rows = self._select(
            """SELECT id FROM frame WHERE source IN (:source, :stored) AND planes = :planes AND height = :height
            AND width = :width""",
            {"source": source, "stored": self._stored(source), "planes": planes, "height": height, "width": width},
        )
        return [label for (frame_id,) in rows for label in self.labels(frame_id)]

    def begun_sources(self) -> list[str]:
        """Return where the frames are from of which a crop was presented."""
        rows = self._select("SELECT source FROM frame WHERE EXISTS (SELECT 1 FROM crop WHERE frame_id = frame.id)")
        return [self._source(row[0]) for row in rows]

    def frame_label_counts(self) -> dict[int, dict[int | None, int]]:
        """Return of each frame how many crops each class id has now, None: those skipped or excluded."""
        rows = self._select(
            """SELECT frame_id, class_id, count(*) FROM current_label JOIN crop ON crop.id = crop_id
            GROUP BY frame_id, class_id"""
        )
        counts: dict[int, dict[int | None, int]] = {}
        for frame_id, class_id, count in rows:
            counts.setdefault(frame_id, {})[class_id] = count
        return counts

    def label_counts(self) -> dict[int, int]:
        """Return how many crops each class id has now."""
        rows = self._select("SELECT class_id, count(*) FROM current_label WHERE kind = 'class' GROUP BY class_id")
        return dict(rows)

    def label_snapshot(self) -> tuple[int, ...]:
        """Return all current labels, in order, by the ids that they had at first: undone and redone it is the same."""
        return tuple(row[0] for row in self._select("SELECT place FROM current_label ORDER BY place"))

    def history(self, annotator: str) -> History:
        """Return what this annotator can undo and redo."""
        rows = self._select(
            """SELECT label.id, label.undoes, label.redoes, label.action_id FROM label
            JOIN label AS meant ON meant.id = coalesce(label.undoes, label.id)
            JOIN presentation ON presentation.id = meant.presentation_id
            WHERE annotator = :annotator ORDER BY label.id DESC LIMIT :most""",
            {"annotator": annotator, "most": MOST_REMEMBERED},
        )
        known = [LabelRow(*row) for row in reversed(rows)]
        if len(known) == MOST_REMEMBERED and known[0].action_id is not None:  # only a part of it was read
            known = [row for row in known if row.action_id != known[0].action_id]
        return history_of(known)

    def newest_presentation(self) -> int:
        """Return the id of the presentation that ended last, 0 when none has."""
        return int(self._select("SELECT coalesce(max(id), 0) FROM presentation")[0][0])

    @rows_explained()
    def presented(self, upto: int | None = None, label_ids: Sequence[int] | None = None) -> list[PresentedCrop]:
        """Return every ended presentation in order, with what was labelled and the raw events of its effort.

        Those up to the one with the id `upto`, where it is given; with `label_ids` their crops have these labels (by
        the ids that they had at first) and no others, whichever stand now.
        """
        events = self._events()
        labels = "current_label" if label_ids is None else "given_label"
        rows = self._select(
            f"""WITH given_label AS (
                SELECT presentation_id, class_id, id AS place, given FROM label
                WHERE id IN (SELECT value FROM json_each(:ids))
            )
            SELECT presentation.id, frame_id, pixels, dtype, channels, side, low, high, chosen.class_id, annotator,
                chosen.place, coalesce(chosen.given, 'single')
            FROM presentation JOIN crop ON crop.id = presentation.crop_id JOIN frame ON frame.id = frame_id
            LEFT JOIN {labels} AS chosen ON chosen.presentation_id = presentation.id
            WHERE :upto IS NULL OR presentation.id <= :upto
            ORDER BY presentation.id""",
            {"upto": upto, "ids": json.dumps(list(label_ids or ()))},
        )
        return [
            PresentedCrop(
                frame_id,
                pixels_of(*pixels),
                tuple(json.loads(low)),
                tuple(json.loads(high)),
                class_id,
                annotator,
                tuple(events.get(presentation_id, ())),
                label_id,
                given,
            )
            for presentation_id, frame_id, *pixels, low, high, class_id, annotator, label_id, given in rows
        ]

    @rows_explained()
    def presentations(self) -> list[PresentationRow]:
        """Return every ended presentation in order, without pixels."""
        events = self._events()
        rows = self._select(
            """SELECT presentation.id, presentation.crop_id, frame_id, frame.source, content_hash, planes, y, x, side,
                annotator, generation, rank, prediction_shown, control, why, presentation.utc_ns,
                coalesce(label.kind, 'abandoned'), label.class_id, label.id, current_label.id IS NOT NULL,
                information, cost, value, coalesce(label.given, 'single'), repeated, coalesce(label.unsure, 0),
                coalesce(label.note, ''), model_digest, labels_known, during_fit
            FROM presentation JOIN crop ON crop.id = presentation.crop_id JOIN frame ON frame.id = frame_id
            LEFT JOIN label ON label.id = (
                SELECT max(id) FROM label AS given WHERE given.presentation_id = presentation.id
            )
            LEFT JOIN current_label ON current_label.id = label.id ORDER BY presentation.id"""
        )
        results = []
        for row in rows:
            why = (
                QueryReason.from_json(row[14])
                if row[14] != "{}"
                else QueryReason(information=row[20], cost=row[21], value=row[22])
            )
            how = (row[23], bool(row[24]), bool(row[25]), row[26], row[27], row[28], bool(row[29]))
            rest = (*row[15:19], bool(row[19]), tuple(events.get(row[0], ())), *how)
            place = (*row[:3], self._source(row[3]), *row[4:12])
            fields: tuple[Any, ...] = (*place, bool(row[12]), bool(row[13]), why, *rest)
            results.append(PresentationRow(*fields))
        return results

    def recipe(self, digest: str) -> str:
        """Return what the model of this digest was made from (see `labels.recipes`).

        Raises
        ------
        ProjectError
            When no presentation was asked for by a model of this digest.
        """
        rows = self._select("SELECT content FROM recipe WHERE digest = :digest", {"digest": digest})
        if not rows:
            raise ProjectError(
                f"No query of this project came from a model '{digest}'. Use a digest that a presentation names."
            )
        return str(rows[0][0])

    @rows_explained()
    def ranges(self) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
        """Return the intensity range (low per channel, high per channel) of every frame, oldest first."""
        rows = self._select("SELECT low, high FROM frame ORDER BY id")
        return [(tuple(json.loads(low)), tuple(json.loads(high))) for low, high in rows]

    def presentation_count(self, annotator: str) -> int:
        """Return how many presentations this annotator has ended, leaving out those that nobody was shown alone."""
        rows = self._select(
            """SELECT count(*) FROM presentation WHERE annotator = :annotator
            AND EXISTS (SELECT 1 FROM event WHERE presentation_id = presentation.id)""",
            {"annotator": annotator},
        )
        return int(rows[0][0])

    def pixel_sizes(self, shape: tuple[int, int, int] | None = None) -> tuple[float, ...]:
        """Return the known pixel sizes (um) of frames with classified crops, most crops first; of `shape` alone."""
        channels, side, _ = shape or (None, None, None)
        rows = self._select(
            """SELECT pixel_um FROM current_label JOIN crop ON crop.id = crop_id JOIN frame ON frame.id = frame_id
            WHERE kind = 'class' AND pixel_um IS NOT NULL AND (:side IS NULL OR (side = :side AND channels = :channels))
            GROUP BY pixel_um ORDER BY count(*) DESC, pixel_um""",
            {"side": side, "channels": channels},
        )
        return tuple(float(row[0]) for row in rows)

    def newest_crop_shape(self) -> tuple[int, int, int] | None:
        """Return (C, H, W) of the crop presented last, None when none was."""
        rows = self._select(
            """SELECT channels, side, side FROM presentation JOIN crop ON crop.id = crop_id
            ORDER BY presentation.id DESC LIMIT 1"""
        )
        return rows[0] if rows else None

    def arrivals(self) -> list[Arrival]:
        """Return the files of the watched folder as they were last seen."""
        rows = self._select("SELECT path, size, mtime_ns, state, reason, content_hash FROM arrival ORDER BY path")
        return [Arrival(path, Stamp(size, mtime_ns), *rest) for path, size, mtime_ns, *rest in rows]

    def _source(self, stored: str) -> str:
        """Return where a frame is from whose place the store keeps in this text (see `costal.labels.places`)."""
        return source_of(stored, self._path.parent)

    def _stored(self, source: str) -> str:
        return stored_source(source, self._path.parent)

    def _events(self) -> Mapping[int, Sequence[Event]]:
        events: dict[int, list[Event]] = {}
        for presentation_id, kind, reason, perf_ns, utc_ns in self._select(
            "SELECT presentation_id, kind, reason, perf_ns, utc_ns FROM event ORDER BY id"
        ):
            event = Event(EventKind(kind), perf_ns, utc_ns, PauseReason(reason) if reason else None)
            events.setdefault(presentation_id, []).append(event)
        return events

    def _select(self, query: str, values: Mapping[str, Any] | None = None) -> list[Any]:
        with self._explained():
            return self._connection.execute(query, values or {}).fetchall()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite says into a sentence with a remedy."""
        try:
            yield
        except sqlite3.Error as error:
            remedy = next((text for cause, text in REMEDIES.items() if cause in str(error)), "Try again.")
            raise ProjectError(f"{self._path} could not be used: {error}. {remedy}") from error


def label_of(row: Any) -> CropLabel:
    """Return a label from a row of its id and `LABEL_COLUMNS`."""
    label: tuple[Any, ...] = (*row[:-2], bool(row[-2]), row[-1])
    return CropLabel(*label)
