"""A damaged store read row by row into a new one: what can be read, and holds together, is kept."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from costal.labels.migrations import MIGRATIONS, migrate, version_of
from costal.labels.records import pixels_of
from costal.labels.repair.soundness import events_fault, row_fault
from costal.labels.tables import TABLES, Row, columns_of, insert_row
from costal.numerals import counted

FAR = 100_000
"""After so many ids without a row a table has no more: no single damaged page holds as many."""


@dataclass(frozen=True, slots=True)
class Salvaged:
    """How many rows of each table were kept, and how many are known to be lost; `notes` say what stands in for some."""

    kept: Mapping[str, int]
    lost: Mapping[str, int]
    notes: tuple[str, ...]


def salvage(old: Path, new: Path) -> Salvaged:
    """Return what was kept of a damaged store, in a new file that is whole.

    A lost frame or presentation that others refer to is stood in for, so that no label goes with it. Efforts that may
    have lost an event are left out: part of an effort is not an effort.
    """
    # Immutable: a journal that cannot be rolled back must not keep us from reading.
    with (
        closing(sqlite3.connect(f"{old.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as damaged,
        closing(sqlite3.connect(new, isolation_level=None)) as fresh,
    ):
        damaged.execute("PRAGMA writable_schema = ON")  # a file that was cut short is refused otherwise
        migrate(fresh, new, MIGRATIONS[: version_of(damaged)])
        rescue = _Rescue(damaged, fresh)
        fresh.execute("PRAGMA foreign_keys = ON")
        fresh.execute("BEGIN")
        fresh.execute("PRAGMA defer_foreign_keys = ON")
        rescue.run()
        fresh.execute("COMMIT")
    return Salvaged(
        rescue.kept, {table: rescue.last[table] - rescue.kept[table] for table in TABLES}, tuple(rescue.notes)
    )


@dataclass(slots=True)
class _Rescue:
    """One rescue under way: `kept` rows of each table, and the `last` id that was met."""

    damaged: sqlite3.Connection
    fresh: sqlite3.Connection
    kept: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TABLES, 0))
    last: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TABLES, 0))
    notes: list[str] = field(default_factory=list)

    def run(self) -> None:
        frames = self._keep_all("frame")
        crops = self._crops(frames)
        labels = list(self._readable("label"))
        self._keep_all("recipe")
        presentations = self._presentations(crops, labels)
        self._labels(labels, crops, self._keep_all("action"))
        self._events(presentations)
        self._keep_all("arrival")

    def _readable(self, table: str) -> Iterator[Row]:
        """Return the sound rows that can be read, each looked up by its id, so that one bad page hides no other."""
        columns = columns_of(self.fresh, table)
        names = [each.name for each in columns]
        query = f"SELECT {', '.join(names)} FROM {table} NOT INDEXED WHERE rowid = ?"
        at = missed = 0
        while names and missed < FAR:
            at, missed = at + 1, missed + 1
            try:
                record = self.damaged.execute(query, (at,)).fetchone()
            except sqlite3.Error:
                continue
            if record is not None:
                missed, self.last[table] = 0, at
                row = dict(zip(names, record, strict=True))
                if table == "presentation" and row_fault(table, (), row):
                    row["why"] = "{}"
                if not row_fault(table, columns, row):
                    yield row

    def _keep(self, table: str, row: Row) -> bool:
        try:
            insert_row(self.fresh, table, row)
        except sqlite3.Error:
            return False
        self.kept[table] += 1
        return True

    def _keep_all(self, table: str) -> set[Any]:
        return {row.get("id") for row in self._readable(table) if self._keep(table, row)}

    def _crops(self, frames: set[int]) -> set[int]:
        """Keep the crops, and stand in for their lost frames by what the crops tell of them."""
        kept, lost = set[int](), dict[int, dict[str, Any]]()
        for row in self._readable("crop"):
            if self._keep("crop", row):
                kept.add(row["id"])
                if row["frame_id"] not in frames:
                    lost[row["frame_id"]] = _grown(lost.get(row["frame_id"]), row)
        for frame_id, row in lost.items():
            ends = {key: json.dumps(row[key].tolist()) for key in ("low", "high")}
            insert_row(self.fresh, "frame", row | ends | {"id": frame_id})
        if lost:
            self.notes.append(
                f"Placeholders replace {counted(len(lost), 'lost frame')}: labels there can be trained on, but not "
                "shown in an image."
            )
        return kept

    def _presentations(self, crops: set[int], labels: list[Row]) -> set[int]:
        """Keep the presentations of crops that are there, and stand in for those that labels refer to."""
        kept = set[int]()
        for row in self._readable("presentation"):
            if row["crop_id"] in crops and self._keep("presentation", row):
                kept.add(row["id"])
        lost = {
            row["presentation_id"]: row
            for row in labels
            if row["presentation_id"] is not None and row["presentation_id"] not in kept and row["crop_id"] in crops
        }
        for presentation, row in lost.items():
            values = {"id": presentation, "crop_id": row["crop_id"], "utc_ns": row["utc_ns"]}
            insert_row(self.fresh, "presentation", values | {"annotator": "", "generation": 0, "prediction_shown": 0})
        if lost:
            self.notes.append(f"{len(lost)} labels lost the name of their annotator.")
        return kept

    def _labels(self, labels: list[Row], crops: set[int], actions: set[int]) -> None:
        kept = set[int]()
        for row in labels:
            if row["crop_id"] not in crops or (row["undoes"] is not None and row["undoes"] not in kept):
                continue
            there = {"redoes": kept, "original": kept, "action_id": actions}
            gone = {name: None for name, ids in there.items() if name in row and row[name] not in ids}
            if self._keep("label", {**row, **gone}):
                kept.add(row["id"])

    def _events(self, presentations: set[int]) -> None:
        """Keep the efforts that are whole; a gap between two ids may be a lost event of either's presentation."""
        rows = list(self._readable("event"))
        suspect = {
            each["presentation_id"]
            for one, other in pairwise(rows)
            if other["id"] != one["id"] + 1
            for each in (one, other)
        }
        if rows and rows[0]["id"] != 1:
            suspect.add(rows[0]["presentation_id"])
        presentations, left_out = presentations - suspect, 0
        for presentation, group in groupby(rows, lambda row: row["presentation_id"]):
            events = list(group)
            if presentation in presentations and not events_fault(events):
                for row in events:
                    self._keep("event", row)
            else:
                left_out += 1
        if left_out:
            self.notes.append(f"{left_out} efforts lost an event and count as not measured.")


def _grown(frame: Mapping[str, Any] | None, crop: Row) -> dict[str, Any]:
    """Return what stands in for a lost frame, after one more of its crops."""
    pixels = pixels_of(crop["pixels"], crop["dtype"], crop["channels"], crop["side"])
    pixels = np.nan_to_num(pixels.astype(np.float64), posinf=0, neginf=0)
    low, high = pixels.min((1, 2)), pixels.max((1, 2))
    before = frame or {"height": 0, "width": 0, "low": low, "high": high}
    alike = len(before["low"]) == len(low)
    return {
        "content_hash": f"recovered {crop['frame_id']}",
        "planes": "",
        "source": f"recovered frame {crop['frame_id']}",
        "height": max(before["height"], crop["y"] + crop["side"]),
        "width": max(before["width"], crop["x"] + crop["side"]),
        "low": np.minimum(before["low"], low) if alike else before["low"],
        "high": np.maximum(before["high"], high) if alike else before["high"],
        "utc_ns": 0,
    }
