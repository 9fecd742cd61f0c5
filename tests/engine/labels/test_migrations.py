import sqlite3
from contextlib import closing

import pytest

from costal.errors import ProjectError
from costal.labels.history import History
from costal.labels.migrations import MIGRATIONS, migrate, version_of
from costal.labels.store import Store

NEXT = (
    "ALTER TABLE frame ADD COLUMN stage TEXT NOT NULL DEFAULT 'unknown'; CREATE TABLE plate (id INTEGER PRIMARY KEY);"
)
BROKEN = "CREATE TABLE plate (id INTEGER PRIMARY KEY); INSERT INTO no_such_table VALUES (1);"
V2 = (*MIGRATIONS[:1], NEXT)


@pytest.fixture
def path(tmp_path):
    """Return a store of version 1 that holds one frame."""
    path = tmp_path / "labels.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, path, MIGRATIONS[:1])
    connection.execute(
        """INSERT INTO frame (content_hash, planes, source, height, width, low, high, utc_ns)
        VALUES ('abc', 'all', 'a.tif', 8, 8, '[0]', '[1]', 0)"""
    )
    connection.close()
    return path


@pytest.fixture
def connection(path):
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


def tables(connection):
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_a_new_store_has_the_newest_version_and_needs_no_backup(tmp_path):
    Store(tmp_path / "labels.sqlite").close()
    connection = sqlite3.connect(tmp_path / "labels.sqlite")
    assert version_of(connection) == len(MIGRATIONS)
    connection.close()
    assert [each.name for each in tmp_path.iterdir()] == ["labels.sqlite"]


def test_a_migration_keeps_the_rows_and_counts_the_version(connection, path):
    migrate(connection, path, V2)
    assert version_of(connection) == 2
    assert connection.execute("SELECT content_hash, stage FROM frame").fetchall() == [("abc", "unknown")]


def test_the_store_from_before_a_migration_stays_beside_it(connection, path):
    migrate(connection, path, V2)
    backup = sqlite3.connect(path.with_name("labels.sqlite.version-1"))
    assert version_of(backup) == 1
    assert backup.execute("SELECT content_hash FROM frame").fetchall() == [("abc",)]
    assert "plate" not in tables(backup)
    backup.close()


def test_migrating_again_changes_nothing(connection, path):
    migrate(connection, path, V2)
    path.with_name("labels.sqlite.version-1").unlink()
    migrate(connection, path, V2)
    assert version_of(connection) == 2
    assert not path.with_name("labels.sqlite.version-1").exists()


def test_a_failing_migration_leaves_the_old_version_whole_and_no_open_transaction(connection, path):
    before = tables(connection)
    with pytest.raises(sqlite3.OperationalError, match="no_such_table"):
        migrate(connection, path, (MIGRATIONS[0], BROKEN))
    assert not connection.in_transaction
    assert version_of(connection) == 1
    assert tables(connection) == before
    migrate(connection, path, V2)
    assert version_of(connection) == 2


def test_what_an_earlier_migration_did_stays_when_a_later_one_fails(connection, path):
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, path, (*V2, "CREATE TABLE well (id INTEGER); INSERT INTO no_such_table VALUES (1);"))
    assert version_of(connection) == 2
    assert "plate" in tables(connection)
    assert "well" not in tables(connection)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_store_of_a_newer_version_is_refused_and_untouched(connection, path, read_only):
    connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(ProjectError, match=r"version 99; this version of napari-costal reads up to .* Update"):
        Store(path, read_only=read_only)
    assert path.read_bytes() == before


# from version 1 to 2


OLD = {
    "frame": [
        (1, "abc", "all", "a.tif", 8, 8, 0.02, "[0]", "[1]", 10),
        (2, "xyz", "z 3", "b.tif", 9, 8, None, "[0]", "[1]", 11),
    ],
    "crop": [
        (1, 1, 0, 0, 2, "|u1", 1, bytes(range(4))),
        (2, 1, 0, 2, 2, "|u1", 1, bytes(4)),
        (3, 2, 4, 4, 2, "<u2", 1, bytes(8)),
    ],
    "presentation": [
        (1, 1, "ada", 0, None, 0, None, None, None, 20),
        (2, 2, "ada", 3, 1, 1, 0.5, 2.5, 0.25, 21),
        (3, 1, "bob", 3, 2, 0, 0.0, 1.0, 0.0, 22),
        (4, 3, "ada", 3, 3, 0, 0.1, 1.0, 0.1, 23),
        (5, 2, "ada", 3, 4, 0, 0.1, 1.0, 0.1, 24),
    ],
    "event": [
        (1, 1, "shown", None, 1000, 2**62 + 1),
        (2, 2, "paused", "user", 2000, 2**62 + 2),
    ],
    "label": [
        (1, 1, 1, "class", 1, None, 30),
        (2, 2, 2, "skip", None, None, 31),
        (3, 1, 3, "class", 2, None, 32),
        (4, 1, None, "undo", None, 3, 33),  # bob's label is taken back: ada's shows again
        (5, 3, 4, "class", 2, None, 34),
        (6, 3, None, "undo", None, 5, 35),
        (7, 2, 5, "class", 7, None, 36),  # replaces the skip; a class that the project may not know any more
        (8, 1, None, "class", 2, None, 37),  # a label without a presentation
        (9, 1, None, "undo", None, 8, 38),
    ],
}


@pytest.fixture
def old(tmp_path):
    """Return a store of version 1 with every kind of row, several labels to a crop and labels undone."""
    path = tmp_path / "old.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path, MIGRATIONS[:1])
        for table, rows in OLD.items():
            connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
    return path


def rows_of(path, query):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_version_2_keeps_every_row_of_version_1(old):
    Store(old).close()
    for table, rows in OLD.items():
        columns = [
            name for _, name, *_ in rows_of(old.with_name("old.sqlite.version-1"), f"PRAGMA table_info({table})")
        ]
        assert rows_of(old, f"SELECT {', '.join(columns)} FROM {table} ORDER BY id") == rows
    assert rows_of(old, "SELECT DISTINCT control, why FROM presentation") == [(0, "{}")]
    assert rows_of(old, "SELECT DISTINCT redoes, original FROM label") == [(None, None)]


def test_version_2_has_the_same_standing_and_current_labels(old):
    views = {
        view: rows_of(old, f"SELECT id, crop_id, kind, class_id FROM {view} ORDER BY id")
        for view in ("standing_label", "current_label")
    }
    Store(old).close()
    assert [row[0] for row in views["standing_label"]] == [1, 2, 7]
    assert views["current_label"] == [(1, 1, "class", 1), (7, 2, "class", 7)]
    for view, rows in views.items():
        assert rows_of(old, f"SELECT id, crop_id, kind, class_id FROM {view} ORDER BY id") == rows


def test_a_migrated_store_is_whole_and_works_on_from_where_it_was(old):
    with Store(old) as store:
        assert store.check() == []
        assert store.history("ada") == History((1, 2, 7))
        assert store.history("bob") == History((), (3,))
        assert [label.class_id for label in store.labels()] == [1, 7]
        store.undo(7)
        assert [(label.class_id, label.kind) for label in store.labels()] == [(1, "class"), (None, "skip")]
        store.redo(3)
        assert [label.class_id for label in store.labels()] == [None, 2]


@pytest.mark.parametrize("table", ["label", "event", "presentation"])
@pytest.mark.parametrize("statement", ["DELETE FROM {} WHERE id = 1", "UPDATE {} SET utc_ns = 0 WHERE id = 1"])
def test_rows_from_before_a_migration_cannot_be_changed_either(old, table, statement):
    Store(old).close()
    with closing(sqlite3.connect(old)) as connection, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement.format(table))


@pytest.mark.parametrize(
    "row",
    [
        pytest.param("1, 1, 'undo', NULL, 3, NULL", id="undoes a label that is undone already"),
        pytest.param("1, NULL, 'undo', NULL, 99, NULL", id="undoes a label that is not there"),
        pytest.param("1, 1, 'class', 1, NULL, 99", id="redoes a label that is not there"),
        pytest.param("1, 1, 'class', NULL, NULL, NULL", id="a class without its id"),
        pytest.param("1, 1, 'exclude', 1, NULL, NULL", id="an exclusion with a class"),
        pytest.param("99, NULL, 'skip', NULL, NULL, NULL", id="a crop that is not there"),
    ],
)
def test_a_migrated_label_table_refuses_what_cannot_be(old, row):
    Store(old).close()
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(
                f"""INSERT INTO label (crop_id, presentation_id, kind, class_id, undoes, redoes, utc_ns)
                VALUES ({row}, 0)"""
            )


def test_reading_does_not_migrate_and_says_what_does(old):
    before = old.read_bytes()
    with pytest.raises(ProjectError, match=r"has version 1; .* Open the project in napari, or run 'costal train'"):
        Store(old, read_only=True)
    assert old.read_bytes() == before
    assert [each.name for each in old.parent.iterdir()] == [old.name]
    Store(old).close()
    with Store(old, read_only=True) as reader:
        assert len(reader.labels()) == 2


def test_labels_of_earlier_versions_say_whether_they_were_imported(tmp_path):
    path = tmp_path / "labels.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path, MIGRATIONS[:2])
        connection.executescript(
            """INSERT INTO frame VALUES (1, 'abc', 'all', 'a.tif', 8, 8, NULL, '[0]', '[1]', 0);
            INSERT INTO crop VALUES (1, 1, 0, 0, 1, '|u1', 1, x'00');
            INSERT INTO presentation (id, crop_id, annotator, generation, prediction_shown, utc_ns)
                VALUES (1, 1, 'ada', 0, 0, 0), (2, 1, 'imported', 0, 0, 0);
            INSERT INTO event (presentation_id, kind, perf_ns, utc_ns) VALUES (1, 'shown', 0, 0);
            INSERT INTO label (crop_id, presentation_id, kind, class_id, utc_ns)
                VALUES (1, 1, 'class', 1, 0), (1, 2, 'class', 2, 0);"""
        )
    with Store(path) as store:
        assert [store.label(each).given for each in (1, 2)] == ["single", "imported"]
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            store._connection.execute("UPDATE label SET given = 'single'")
