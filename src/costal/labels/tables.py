"""The store's tables row by row, as they are: to take a whole store out, to put one in, and to mend one."""

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from costal.labels.reading import LABEL_COLUMNS, Reader, label_of
from costal.labels.records import CropLabel, FrameRecord, pixels_of, rows_explained

TABLES = ("frame", "crop", "recipe", "presentation", "event", "action", "label", "arrival")
"""All of them, each after those that its rows refer to."""
Row = Mapping[str, Any]


class Column(NamedTuple):
    """A column of a table: its name, and INTEGER, REAL, TEXT or BLOB."""

    name: str
    kind: str


def columns_of(connection: sqlite3.Connection, table: str) -> tuple[Column, ...]:
    """Return the columns of a table, in order."""
    return tuple(Column(row[1], row[2]) for row in connection.execute(f"PRAGMA table_info({table})"))


def insert_row(connection: sqlite3.Connection, table: str, row: Row) -> None:
    """Add a row as it is, its id too; the names of its columns must be the table's own."""
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


class TableReader(Reader):
    """Reads of whole tables. Each is over in a moment, for while one lasts nobody can write."""

    def row_count(self, table: str) -> int:
        """Return how many rows a table has."""
        return int(self._select(f"SELECT count(*) FROM {table}")[0][0])

    def columns(self, table: str) -> tuple[Column, ...]:
        """Return the columns of a table, in order."""
        with self._explained():
            return columns_of(self._connection, table)

    def table_ends(self) -> dict[str, int]:
        """Return the last row of every table at this moment; up to there they hold together, whatever comes later."""
        ends = ", ".join(f"(SELECT coalesce(max(rowid), 0) FROM {table})" for table in TABLES)
        return dict(zip(TABLES, self._select(f"SELECT {ends}")[0], strict=True))

    def table_rows(self, table: str, end: int) -> Iterator[Row]:
        """Return the rows of a table up to row `end`, in order; a few at a time are in memory."""
        batch, after = 32 if table == "crop" else 2000, 0
        names = [each.name for each in self.columns(table)]
        while rows := self._select(
            f"SELECT rowid, * FROM {table} WHERE rowid > :after AND rowid <= :end ORDER BY rowid LIMIT {batch}",
            {"after": after, "end": end},
        ):
            yield from (dict(zip(names, row[1:], strict=True)) for row in rows)
            after = rows[-1][0]

    @rows_explained()
    def frames(self) -> dict[int, FrameRecord]:
        """Return every frame by its id."""
        rows = self._select(
            "SELECT id, content_hash, planes, source, height, width, pixel_um, low, high FROM frame ORDER BY id"
        )
        return {
            number: FrameRecord(  # type: ignore[call-arg]
                content, planes, self._source(stored), *size, tuple(json.loads(low)), tuple(json.loads(high))
            )
            for number, content, planes, stored, *size, low, high in rows
        }

    @rows_explained()
    def label_pixels(self, label_ids: Collection[int]) -> dict[int, NDArray[Any]]:
        """Return the raw pixels (C, side, side) of these labels' crops by label id; at most some hundred at once."""
        marks = ", ".join("?" * len(label_ids))
        with self._explained():
            rows = self._connection.execute(
                f"""SELECT label.id, pixels, dtype, channels, side FROM label JOIN crop ON crop.id = crop_id
                WHERE label.id IN ({marks})""",
                tuple(label_ids),
            ).fetchall()
        return {row[0]: pixels_of(*row[1:]) for row in rows}

    def newest_labels(
        self, class_ids: Collection[int], channels: int, most: int, besides: Collection[int] = ()
    ) -> list[CropLabel]:
        """Return labels of these classes that stand, were given singly and are not unsure, newest first.

        Crops have so many channels. Labels first given as one of `besides` come too, however old they are.
        """
        classes, others = (", ".join(str(int(each)) for each in ids) or "NULL" for ids in (class_ids, besides))
        what = f"label.id, {LABEL_COLUMNS}"
        where = f"""FROM current_label AS label JOIN crop ON crop.id = crop_id WHERE kind = 'class'
            AND given = 'single' AND NOT unsure AND class_id IN ({classes}) AND channels = :channels"""
        rows = self._select(
            f"""SELECT * FROM (SELECT {what} {where} ORDER BY label.id DESC LIMIT :most)
            UNION SELECT {what} {where} AND place IN ({others}) ORDER BY 1 DESC""",
            {"channels": channels, "most": most},
        )
        return [label_of(row) for row in rows]

    @rows_explained()
    def frame_ranges(self, frame_ids: Collection[int]) -> dict[int, tuple[tuple[float, ...], tuple[float, ...]]]:
        """Return the intensity ranges (low per channel, high per channel) of these frames, by their ids."""
        ids = ", ".join(str(int(each)) for each in set(frame_ids)) or "NULL"
        rows = self._select(f"SELECT id, low, high FROM frame WHERE id IN ({ids})")
        return {row[0]: (tuple(json.loads(row[1])), tuple(json.loads(row[2]))) for row in rows}

    def crop_pixels(self, frame_id: int, y: int, x: int, side: int) -> NDArray[np.generic] | None:
        """Return the raw pixels (C, side, side) of a crop, None when the store has none there."""
        rows = self._select(
            """SELECT pixels, dtype, channels, side FROM crop
            WHERE frame_id = :frame AND y = :y AND x = :x AND side = :side""",
            {"frame": frame_id, "y": y, "x": x, "side": side},
        )
        return pixels_of(*rows[0]) if rows else None
