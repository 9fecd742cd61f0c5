"""The store: frames, crops, presentations, events and labels in one SQLite file. What it acknowledged is on disk."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np

from costal.errors import ProjectError
from costal.labels.migrations import MIGRATIONS, checked_version, migrate
from costal.labels.plane_names import is_vague, may_be_same
from costal.labels.recipes import digest_of
from costal.labels.records import ActionRecord, AnswerRecord, FrameRecord
from costal.labels.tables import TableReader
from costal.types import Arrival

TOGETHER = "(label.id = :id OR label.action_id = (SELECT action_id FROM label AS one WHERE one.id = :id))"
"""Which labels stand or fall with the one called ``:id``: it alone, or all of its action."""


def require_store(path: Path) -> None:
    """Raise ProjectError when a project's store is gone or empty: opening it would start again with no warning."""
    if not path.is_file() or path.stat().st_size == 0:
        raise ProjectError(f"{path} is missing or empty: its labels are gone. Restore labels.sqlite from a backup.")


def _roll_back(path: Path) -> None:
    """Let SQLite undo what a crash left half written; a reader may not do that itself."""
    if path.is_file() and path.with_name(path.name + "-journal").exists():
        with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=10)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master")


def _require_newest(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a store that a reader would have to change before it could read it."""
    version = checked_version(connection, path)
    if version == 0:
        raise ProjectError(f"{path} is empty: its labels are gone. Restore labels.sqlite from a backup.")
    if version < len(MIGRATIONS):
        raise ProjectError(
            f"{path} has version {version}; this version of napari-costal reads {len(MIGRATIONS)}. Open the project "
            "in napari, or run 'costal train': both update it."
        )


class Store(TableReader):
    """The labels of one project, open for one writer or read-only. Use it from the thread that opened it.

    `may_commit` is called before each commit; when it raises, nothing is stored.
    """

    def __init__(self, path: Path, read_only: bool = False, may_commit: Callable[[], None] = lambda: None) -> None:
        self._path, self._may_commit = path, may_commit
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
                    _require_newest(self._connection, path)
                else:
                    self._connection.execute("PRAGMA journal_mode = DELETE")
                    # not FULL, which leaves it to chance whether a power cut brings the last commit's journal back
                    self._connection.execute("PRAGMA synchronous = EXTRA")
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
        """Return the id of a frame, which is kept once for equal content; `planes` says in words which ones it was."""
        known = self.frame_id(frame)
        if known:
            self._name_planes(known, frame.planes)
            return known
        with self._transaction() as connection:
            connection.execute(
                """INSERT INTO frame (content_hash, planes, source, height, width, pixel_um, low, high, utc_ns)
                VALUES (:hash, :planes, :source, :height, :width, :pixel_um, :low, :high, :utc_ns)
                ON CONFLICT (content_hash, planes) DO NOTHING""",
                {
                    "hash": frame.content_hash,
                    "planes": frame.planes,
                    "source": self._stored(frame.source),
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

    def move_frames(self, sources: Mapping[int, str]) -> None:
        """Keep where the images of frames lie by now, all in one transaction; their content is the same."""
        with self._transaction() as connection:
            connection.executemany(
                "UPDATE frame SET source = ? WHERE id = ?",
                [(self._stored(source), frame_id) for frame_id, source in sources.items()],
            )

    def _name_planes(self, frame_id: int, planes: str) -> None:
        """Give a frame whose planes an earlier version named by sliders the words that name the axes."""
        known = self._select("SELECT planes FROM frame WHERE id = :id", {"id": frame_id})[0][0]
        if is_vague(known) and not is_vague(planes) and may_be_same(known, planes):
            with self._transaction() as connection:
                connection.execute("UPDATE frame SET planes = ? WHERE id = ?", (planes, frame_id))

    def answer(self, answer: AnswerRecord) -> int | None:
        """Commit a presentation with its events and label; return the label's id, None when it was abandoned.

        When this returns, the label is on disk.

        Raises
        ------
        ProjectError
            When it could not be saved: nothing of it was, and it can be tried again.
        """
        with self._transaction() as connection:
            return self._add_answer(connection, answer)

    def answer_together(self, action: ActionRecord, answers: Iterable[AnswerRecord]) -> tuple[int, ...]:
        """Commit the labels of several crops as one action and return their ids: all are on disk, or none.

        Raises
        ------
        ProjectError
            When they could not be saved.
        """
        with self._transaction() as connection:
            action_id = connection.execute(
                "INSERT INTO action (given, annotator, active_s, planted, caught, utc_ns) VALUES (?, ?, ?, ?, ?, ?)",
                (action.given, action.annotator, action.active_s, action.planted, action.caught, time.time_ns()),
            ).lastrowid
            label_ids = [self._add_answer(connection, each, action_id) for each in answers]
        return tuple(each for each in label_ids if each is not None)

    def _add_answer(
        self, connection: sqlite3.Connection, answer: AnswerRecord, action_id: int | None = None
    ) -> int | None:
        crop_id = self._crop_id(connection, answer)
        presentation_id = connection.execute(
            """INSERT INTO presentation (crop_id, annotator, generation, rank, prediction_shown, control, repeated,
                information, cost, value, why, model_digest, labels_known, during_fit, utc_ns)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            (
                crop_id,
                answer.annotator,
                answer.generation,
                answer.rank,
                answer.prediction_shown,
                answer.control,
                answer.repeated,
                answer.why.information,
                answer.why.cost,
                answer.why.value,
                answer.why.to_json(),
                self._kept_recipe(connection, answer.asker.recipe),
                answer.asker.labels_known,
                answer.during_fit,
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
            """INSERT INTO label (crop_id, presentation_id, kind, class_id, given, action_id, unsure, note, utc_ns)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            (
                crop_id,
                presentation_id,
                answer.kind,
                answer.class_id,
                answer.given,
                action_id,
                answer.unsure,
                answer.note,
                time.time_ns(),
            ),
        ).lastrowid

    def _kept_recipe(self, connection: sqlite3.Connection, recipe: str) -> str:
        """Return the digest of a recipe, which is kept once; "" for none."""
        digest = digest_of(recipe)
        if digest:
            connection.execute(
                "INSERT INTO recipe (digest, content, utc_ns) VALUES (?, ?, ?) ON CONFLICT (digest) DO NOTHING",
                (digest, recipe, time.time_ns()),
            )
        return digest

    def undo(self, label_id: int) -> None:
        """Take back a label, and all that were given together with it, by tombstones; the labels themselves stay."""
        with self._transaction() as connection:
            connection.execute(
                f"""INSERT INTO label (crop_id, kind, undoes, action_id, utc_ns)
                SELECT crop_id, 'undo', id, action_id, :utc_ns FROM standing_label AS label WHERE {TOGETHER}
                ORDER BY id""",
                {"id": label_id, "utc_ns": time.time_ns()},
            )

    def redo(self, label_id: int) -> int:
        """Return the id of a label that repeats one that was undone, in its place among the labels of its crop.

        Those that were given together with it are repeated too; the id is that of the first of them.

        Raises
        ------
        ProjectError
            When that label was not undone, or is repeated already.
        """
        with self._transaction() as connection:
            newest = connection.execute("SELECT coalesce(max(id), 0) FROM label").fetchone()[0]
            repeated = connection.execute(
                f"""INSERT INTO label (crop_id, presentation_id, kind, class_id, redoes, original, given, action_id,
                unsure, note, utc_ns)
                SELECT crop_id, presentation_id, kind, class_id, id, coalesce(original, id), given, action_id,
                unsure, note, :utc_ns FROM label
                WHERE {TOGETHER} AND kind <> 'undo'
                AND EXISTS (SELECT 1 FROM label AS undo WHERE undo.undoes = label.id)
                AND NOT EXISTS (SELECT 1 FROM label AS redo WHERE redo.redoes = label.id) ORDER BY id""",
                {"id": label_id, "utc_ns": time.time_ns()},
            )
            if repeated.rowcount < 1:
                raise ProjectError(f"Label {label_id} was not undone, so it cannot be redone. Label the crop instead.")
            return int(newest) + 1

    def note_arrivals(self, arrivals: Iterable[Arrival]) -> None:
        """Keep how files of the watched folder were seen, all in one transaction."""
        with self._transaction() as connection:
            connection.executemany(
                """INSERT INTO arrival (path, size, mtime_ns, state, reason, content_hash) VALUES (?, ?, ?, ?, ?, ?)
                ON CONFLICT (path) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns,
                state = excluded.state, reason = excluded.reason, content_hash = excluded.content_hash""",
                [
                    (each.path, each.stamp.size, each.stamp.mtime_ns, each.state, each.reason, each.content_hash)
                    for each in arrivals
                ],
            )

    @contextmanager
    def together(self, keep: bool = True) -> Iterator[None]:
        """Return a context whose writes are one transaction: all of them, or none when it raises.

        Nothing in it is on disk before it ends. Without `keep` all is taken back in the end: a rehearsal.
        """
        with self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._may_commit()
                self._connection.execute("COMMIT" if keep else "ROLLBACK")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def check(self) -> list[str]:
        """Return what SQLite finds wrong with the file; an empty list when it is whole."""
        with self._explained():
            faults = [row[0] for row in self._connection.execute("PRAGMA integrity_check").fetchall()]
            broken = [f"{row[0]} row {row[1]}" for row in self._connection.execute("PRAGMA foreign_key_check")]
        return [line for line in faults if line != "ok"] + broken

    def _crop_id(self, connection: sqlite3.Connection, answer: AnswerRecord) -> int:
        pixels = np.ascontiguousarray(answer.pixels_C_H_W)
        if pixels.ndim != 3 or pixels.shape[1] != pixels.shape[2] or pixels.dtype.kind not in "biuf":
            raise ProjectError(
                f"A crop of shape {pixels.shape} and type {pixels.dtype} cannot be stored. Crops need the shape "
                "(C, H, H) and numbers as pixels."
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
        with self._explained() if self._connection.in_transaction else self.together():
            yield self._connection
