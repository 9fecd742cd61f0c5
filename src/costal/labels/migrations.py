"""The store's schema as numbered migrations; ``PRAGMA user_version`` tells how many a file has had."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from costal.errors import ProjectError

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE frame (
        id INTEGER PRIMARY KEY,
        content_hash TEXT NOT NULL,
        planes TEXT NOT NULL,           -- which channels, Z and T of the frame: text for people, part of its identity
        source TEXT NOT NULL,
        height INTEGER NOT NULL, width INTEGER NOT NULL,
        pixel_um REAL,
        low TEXT NOT NULL, high TEXT NOT NULL,  -- intensity range per channel, JSON arrays
        utc_ns INTEGER NOT NULL,
        UNIQUE (content_hash, planes)
    );
    CREATE TABLE crop (
        id INTEGER PRIMARY KEY,
        frame_id INTEGER NOT NULL REFERENCES frame (id),
        y INTEGER NOT NULL, x INTEGER NOT NULL, side INTEGER NOT NULL,
        dtype TEXT NOT NULL, channels INTEGER NOT NULL,
        pixels BLOB NOT NULL,           -- C, side, side in C order, at the frame's full bit depth, little-endian
        UNIQUE (frame_id, y, x, side)
    );
    CREATE TABLE presentation (
        id INTEGER PRIMARY KEY,
        crop_id INTEGER NOT NULL REFERENCES crop (id),
        annotator TEXT NOT NULL,
        generation INTEGER NOT NULL,    -- of the model that asked; 0 when none did
        rank INTEGER,                   -- in the query, from 1; NULL when the expert chose the crop
        prediction_shown INTEGER NOT NULL,
        information REAL, cost REAL, value REAL,
        utc_ns INTEGER NOT NULL
    );
    CREATE TABLE event (
        id INTEGER PRIMARY KEY,
        presentation_id INTEGER NOT NULL REFERENCES presentation (id),
        kind TEXT NOT NULL, reason TEXT,
        perf_ns INTEGER NOT NULL, utc_ns INTEGER NOT NULL
    );
    CREATE TABLE label (
        id INTEGER PRIMARY KEY,
        crop_id INTEGER NOT NULL REFERENCES crop (id),
        presentation_id INTEGER REFERENCES presentation (id),
        kind TEXT NOT NULL CHECK (kind IN ('class', 'skip', 'undo')),
        class_id INTEGER CHECK ((kind = 'class') = (class_id IS NOT NULL)),
        undoes INTEGER UNIQUE REFERENCES label (id) CHECK ((kind = 'undo') = (undoes IS NOT NULL)),
        utc_ns INTEGER NOT NULL
    );
    CREATE INDEX event_by_presentation ON event (presentation_id);
    CREATE INDEX label_by_crop ON label (crop_id);
    CREATE VIEW standing_label AS
        SELECT * FROM label
        WHERE kind <> 'undo' AND id NOT IN (SELECT undoes FROM label WHERE undoes IS NOT NULL);
    CREATE VIEW current_label AS
        SELECT * FROM standing_label WHERE id IN (SELECT max(id) FROM standing_label GROUP BY crop_id);
    CREATE TRIGGER label_kept BEFORE DELETE ON label BEGIN SELECT raise(ABORT, 'labels are append-only'); END;
    CREATE TRIGGER label_fixed BEFORE UPDATE ON label BEGIN SELECT raise(ABORT, 'labels are append-only'); END;
    CREATE TRIGGER event_kept BEFORE DELETE ON event BEGIN SELECT raise(ABORT, 'events are append-only'); END;
    CREATE TRIGGER event_fixed BEFORE UPDATE ON event BEGIN SELECT raise(ABORT, 'events are append-only'); END;
    """,
    """
    DROP VIEW current_label;
    DROP VIEW standing_label;
    ALTER TABLE presentation ADD COLUMN control INTEGER NOT NULL DEFAULT 0;  -- drawn at random, not chosen
    ALTER TABLE presentation ADD COLUMN why TEXT NOT NULL DEFAULT '{}';      -- what the agent thought, a JSON object
    CREATE TABLE new_label (
        id INTEGER PRIMARY KEY,
        crop_id INTEGER NOT NULL REFERENCES crop (id),
        presentation_id INTEGER REFERENCES presentation (id),
        kind TEXT NOT NULL CHECK (kind IN ('class', 'skip', 'exclude', 'undo')),
        class_id INTEGER CHECK ((kind = 'class') = (class_id IS NOT NULL)),
        undoes INTEGER UNIQUE REFERENCES new_label (id) CHECK ((kind = 'undo') = (undoes IS NOT NULL)),
        redoes INTEGER UNIQUE REFERENCES new_label (id),  -- the undone label that this one repeats
        original INTEGER REFERENCES new_label (id),       -- the first of such repeats: this one takes its place again
        utc_ns INTEGER NOT NULL
    );
    INSERT INTO new_label SELECT id, crop_id, presentation_id, kind, class_id, undoes, NULL, NULL, utc_ns FROM label;
    DROP TABLE label;
    ALTER TABLE new_label RENAME TO label;
    CREATE INDEX label_by_crop ON label (crop_id);
    CREATE INDEX label_by_presentation ON label (presentation_id);
    CREATE INDEX presentation_by_annotator ON presentation (annotator);
    CREATE INDEX presentation_by_control ON presentation (control) WHERE control = 1;
    CREATE VIEW standing_label AS
        SELECT *, coalesce(original, id) AS place FROM label
        WHERE kind <> 'undo' AND NOT EXISTS (SELECT 1 FROM label AS undo WHERE undo.undoes = label.id);
    CREATE VIEW current_label AS
        SELECT * FROM standing_label
        WHERE NOT EXISTS (
            SELECT 1 FROM standing_label AS later
            WHERE later.crop_id = standing_label.crop_id AND later.place > standing_label.place
        );
    CREATE TRIGGER label_kept BEFORE DELETE ON label BEGIN SELECT raise(ABORT, 'labels are append-only'); END;
    CREATE TRIGGER label_fixed BEFORE UPDATE ON label BEGIN SELECT raise(ABORT, 'labels are append-only'); END;
    CREATE TRIGGER presentation_kept BEFORE DELETE ON presentation
        BEGIN SELECT raise(ABORT, 'presentations are append-only'); END;
    CREATE TRIGGER presentation_fixed BEFORE UPDATE ON presentation
        BEGIN SELECT raise(ABORT, 'presentations are append-only'); END;
    CREATE TABLE arrival (              -- files of the watched folder, as they were last seen
        path TEXT PRIMARY KEY,          -- within that folder
        size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
        state TEXT NOT NULL, reason TEXT NOT NULL, content_hash TEXT NOT NULL
    );
    """,
    """
    CREATE TABLE action (               -- crops that were labelled together, undone and redone as a whole
        id INTEGER PRIMARY KEY,
        given TEXT NOT NULL CHECK (given IN ('bulk', 'accepted')),
        annotator TEXT NOT NULL,
        active_s REAL NOT NULL,         -- what all of it took; no effort of a single crop
        planted INTEGER NOT NULL,       -- wrong predictions that were mixed into what was offered
        caught INTEGER NOT NULL,        -- of these, those that the expert noticed
        utc_ns INTEGER NOT NULL
    );
    ALTER TABLE presentation ADD COLUMN repeated INTEGER NOT NULL DEFAULT 0;  -- shown again, unannounced
    ALTER TABLE label ADD COLUMN given TEXT NOT NULL DEFAULT 'single'
        CHECK (given IN ('single', 'bulk', 'accepted', 'imported'));
    ALTER TABLE label ADD COLUMN action_id INTEGER REFERENCES action (id);
    ALTER TABLE label ADD COLUMN unsure INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE label ADD COLUMN note TEXT NOT NULL DEFAULT '';
    CREATE INDEX label_by_action ON label (action_id) WHERE action_id IS NOT NULL;
    DROP TRIGGER label_fixed;
    UPDATE label SET given = 'imported'
        WHERE presentation_id IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM event WHERE event.presentation_id = label.presentation_id);
    CREATE TRIGGER label_fixed BEFORE UPDATE ON label BEGIN SELECT raise(ABORT, 'labels are append-only'); END;
    CREATE TRIGGER action_kept BEFORE DELETE ON action BEGIN SELECT raise(ABORT, 'actions are append-only'); END;
    CREATE TRIGGER action_fixed BEFORE UPDATE ON action BEGIN SELECT raise(ABORT, 'actions are append-only'); END;
    """,
    """
    CREATE TABLE recipe (               -- what a model that asked was made from: it can be made again
        digest TEXT PRIMARY KEY,        -- SHA-256 of the content
        content TEXT NOT NULL,          -- a JSON object
        utc_ns INTEGER NOT NULL
    );
    ALTER TABLE presentation ADD COLUMN model_digest TEXT NOT NULL DEFAULT '';  -- of the recipe, '' where not known
    ALTER TABLE presentation ADD COLUMN labels_known INTEGER;  -- labels that the model which asked had learned
    ALTER TABLE presentation ADD COLUMN during_fit INTEGER NOT NULL DEFAULT 0;  -- models learned meanwhile
    CREATE TRIGGER recipe_kept BEFORE DELETE ON recipe BEGIN SELECT raise(ABORT, 'recipes are append-only'); END;
    CREATE TRIGGER recipe_fixed BEFORE UPDATE ON recipe BEGIN SELECT raise(ABORT, 'recipes are append-only'); END;
    """,
)


def version_of(connection: sqlite3.Connection) -> int:
    """Return how many migrations the file has had."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def checked_version(connection: sqlite3.Connection, path: Path, migrations: Sequence[str] = MIGRATIONS) -> int:
    """Return the version of a label store; 0 for an empty file.

    Raises
    ------
    ProjectError
        When it was written by a newer version, or by another program.
    """
    version = version_of(connection)
    if version > len(migrations):
        raise ProjectError(
            f"{path} has version {version}; this version of napari-costal reads up to {len(migrations)}. "
            "Update napari-costal to open the project."
        )
    has_tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] > 0
    if version < 0 or (version == 0 and has_tables):
        raise ProjectError(
            f"{path} is not a label store: another program wrote it. Restore labels.sqlite from a backup."
        )
    return version


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Bring the store to the newest version, each migration in one transaction after a backup copy.

    Raises
    ------
    ProjectError
        When the store was written by a newer version or another program.
    """
    version = checked_version(connection, path, migrations)
    for number, script in enumerate(migrations[version:], version + 1):
        if version:
            _back_up(connection, path.with_name(f"{path.name}.version-{number - 1}"))
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _back_up(connection: sqlite3.Connection, path: Path) -> None:
    copy = sqlite3.connect(path)
    try:
        connection.backup(copy)
    finally:
        copy.close()
