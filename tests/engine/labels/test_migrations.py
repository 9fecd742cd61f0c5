import sqlite3

import pytest

from costal.errors import ProjectError
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
