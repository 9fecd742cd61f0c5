import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from costal.errors import ProjectError
from costal.labels.effort import Event, EventKind, PauseReason
from costal.labels.store import AnswerRecord, CropLabel, FrameRecord, Store

FRAME = FrameRecord("abc", "all", "a.tif", 64, 64, 0.02, (1.5,), (250.0,))
EVENTS = (
    Event(EventKind.SHOWN, 1_000, 2**62),
    Event(EventKind.PAUSED, 2_000, 2**62 + 1, PauseReason.FOCUS),
    Event(EventKind.RESUMED, 3_000, 2**62 + 2, PauseReason.FOCUS),
    Event(EventKind.ANSWERED, 2**61 + 7, 2**62 + 3),
)
PIXELS = np.arange(64, dtype=np.uint16).reshape(1, 8, 8)
ANSWER = AnswerRecord(1, 8, 16, PIXELS, "class", 2, "ada", EVENTS)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "labels.sqlite"


@pytest.fixture
def store(path):
    with Store(path) as store:
        assert store.add_frame(FRAME) == 1
        yield store


@contextmanager
def second_look(path):
    connection = sqlite3.connect(path)
    try:
        yield connection
    finally:
        connection.close()


def counts(path):
    with second_look(path) as connection:
        return tuple(
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("crop", "presentation", "event", "label")
        )


# durability


def test_an_acknowledged_label_is_seen_at_once_by_another_connection(store, path):
    label_id = store.answer(ANSWER)
    with second_look(path) as connection:
        assert connection.execute("SELECT id, class_id FROM current_label").fetchall() == [(label_id, 2)]
    with Store(path, read_only=True) as reader:
        assert reader.labels() == store.labels()


def test_the_journal_is_deleted_and_every_commit_synchronised(store):
    connection = store._connection
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1


def test_a_store_left_in_wal_mode_goes_back_to_a_journal_that_is_deleted(path):
    Store(path).close()
    with second_look(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    with Store(path) as store:
        assert store._connection.execute("PRAGMA journal_mode").fetchone()[0] == "delete"


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({"kind": "class", "class_id": None}, id="a class without its id"),
        pytest.param({"kind": "skip", "class_id": 2}, id="a skip with a class"),
        pytest.param({"kind": "praise"}, id="an unknown kind"),
        pytest.param({"frame_id": 99}, id="an unknown frame"),
    ],
)
def test_a_failed_answer_leaves_nothing_behind_and_the_store_in_order(store, path, broken):
    with pytest.raises(ProjectError, match="could not be used"):
        store.answer(replace(ANSWER, **broken))
    assert counts(path) == (0, 0, 0, 0)
    assert store.answer(ANSWER) == 1
    assert counts(path) == (1, 1, 4, 1)


def test_everything_is_there_after_closing_and_opening(store, path):
    store.answer(ANSWER)
    labels = store.labels()
    store.close()
    with Store(path) as again:
        assert again.labels() == labels
        assert again.presentation_count("ada") == 1


@pytest.mark.parametrize("table", ["label", "event"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET utc_ns = 0"])
def test_labels_and_events_can_only_be_added(store, path, table, statement):
    store.answer(ANSWER)
    with second_look(path) as connection, pytest.raises(sqlite3.IntegrityError, match=f"{table}s are append-only"):
        connection.execute(statement.format(table))


# frames


def test_the_same_content_and_planes_are_one_frame(store):
    assert store.add_frame(replace(FRAME, source="renamed.tif")) == 1


@pytest.mark.parametrize("changed", [{"content_hash": "xyz"}, {"planes": "z 3"}])
def test_other_content_or_planes_are_another_frame(store, changed):
    assert store.add_frame(replace(FRAME, **changed)) == 2


def test_ranges_come_back_exactly_and_in_order(store):
    store.add_frame(replace(FRAME, content_hash="xyz", low_C=(0.1, -3.0), high_C=(1e-300, 2.0**53)))
    assert store.ranges() == [((1.5,), (250.0,)), ((0.1, -3.0), (1e-300, 2.0**53))]


# labels


def test_a_label_tells_where_its_crop_is_and_its_class(store):
    assert store.labels() == []
    label_id = store.answer(ANSWER)
    assert store.labels() == [CropLabel(label_id, 1, 8, 16, 8, 2)]


def test_a_skipped_crop_has_a_label_without_a_class(store):
    store.answer(replace(ANSWER, kind="skip", class_id=None))
    assert [label.class_id for label in store.labels()] == [None]


def test_an_abandoned_crop_keeps_its_events_but_has_no_label(store):
    assert store.answer(replace(ANSWER, kind="abandoned", class_id=None)) is None
    assert store.labels() == []
    assert [each.events for each in store.presented()] == [EVENTS]


def test_labels_of_one_frame_leave_out_the_others(store):
    other = store.add_frame(replace(FRAME, content_hash="xyz"))
    store.answer(ANSWER)
    store.answer(replace(ANSWER, frame_id=other, class_id=1))
    assert [label.class_id for label in store.labels(other)] == [1]
    assert len(store.labels()) == 2


def test_a_later_label_replaces_the_earlier_one(store):
    store.answer(ANSWER)
    second = store.answer(replace(ANSWER, class_id=1))
    assert [(label.label_id, label.class_id) for label in store.labels()] == [(second, 1)]


def test_undo_takes_a_label_back_by_a_tombstone(store, path):
    label_id = store.answer(ANSWER)
    store.undo(label_id)
    assert store.labels() == []
    with second_look(path) as connection:
        rows = connection.execute("SELECT kind, class_id, undoes FROM label ORDER BY id").fetchall()
    assert rows == [("class", 2, None), ("undo", None, label_id)]


def test_undo_reveals_the_label_from_before(store):
    first = store.answer(ANSWER)
    store.undo(store.answer(replace(ANSWER, class_id=1)))
    assert [(label.label_id, label.class_id) for label in store.labels()] == [(first, 2)]


def test_undo_of_the_earlier_label_leaves_the_later_one(store):
    first = store.answer(ANSWER)
    second = store.answer(replace(ANSWER, class_id=1))
    store.undo(first)
    assert [label.label_id for label in store.labels()] == [second]
    store.undo(second)
    assert store.labels() == []


def test_undo_twice_is_undo_once(store, path):
    label_id = store.answer(ANSWER)
    store.undo(label_id)
    before = counts(path)
    store.undo(label_id)
    assert counts(path) == before


# presentations


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<i2", ">i2", "<f4", ">f4", "<f8", "i1", "<u4"])
def test_pixels_come_back_at_their_full_bit_depth(store, dtype):
    pixels = np.array([[[-1.5, 7.25], [250.0, 100.5]], [[0, 1], [2, 3]]])
    pixels = (np.abs(pixels) if "u" in dtype else np.minimum(pixels, 100)).astype(dtype)
    store.answer(replace(ANSWER, pixels_C_H_W=pixels))
    back = store.presented()[0].pixels_C_H_W
    np.testing.assert_array_equal(back, pixels)
    assert back.dtype == pixels.dtype.newbyteorder("<")


def test_a_view_into_a_frame_is_kept_as_the_crop_it_is(store):
    plane = np.arange(2 * 16 * 16, dtype=np.int16).reshape(2, 16, 16)
    store.answer(replace(ANSWER, pixels_C_H_W=plane[::-1, 3:11, 5:13]))
    np.testing.assert_array_equal(store.presented()[0].pixels_C_H_W, plane[::-1, 3:11, 5:13])


def test_events_come_back_exactly(store):
    store.answer(ANSWER)
    assert store.presented()[0].events == EVENTS


def test_a_presentation_knows_its_annotator_its_range_and_its_label(store):
    store.answer(ANSWER)
    seen = store.presented()[0]
    assert (seen.frame_id, seen.annotator, seen.class_id) == (1, "ada", 2)
    assert (seen.low_C, seen.high_C) == ((1.5,), (250.0,))


def test_only_the_presentation_that_carries_the_current_label_has_its_class(store):
    store.answer(ANSWER)
    second = store.answer(replace(ANSWER, class_id=1))
    assert [each.class_id for each in store.presented()] == [None, 1]
    store.undo(second)
    assert [each.class_id for each in store.presented()] == [2, None]


def test_why_a_crop_was_asked_is_kept(store, path):
    store.answer(replace(ANSWER, generation=3, rank=1, prediction_shown=True, information=0.5, cost=2.5, value=0.25))
    with second_look(path) as connection:
        row = connection.execute(
            "SELECT generation, rank, prediction_shown, information, cost, value FROM presentation"
        ).fetchone()
    assert row == (3, 1, 1, 0.5, 2.5, 0.25)


def test_presentations_are_counted_for_each_annotator(store):
    for annotator in ("ada", "ada", "bob"):
        store.answer(replace(ANSWER, annotator=annotator))
    assert [store.presentation_count(name) for name in ("ada", "bob", "eve")] == [2, 1, 0]


# what cannot be used


def test_a_whole_store_has_nothing_wrong(store):
    store.answer(ANSWER)
    assert store.check() == []


def test_check_names_a_row_whose_frame_is_gone(store, path):
    store.answer(ANSWER)
    with second_look(path) as connection:
        connection.execute("DELETE FROM frame")
        connection.commit()
    assert store.check() == ["crop row 1"]


def test_a_file_that_is_no_store_is_refused(path):
    path.write_bytes(b"this is no database, whatever its name says " * 50)
    with pytest.raises(ProjectError, match=r"It is not a label store. Restore"):
        Store(path)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(ProjectError, match="The folder is missing"):
        Store(tmp_path / "nowhere" / "labels.sqlite")


def test_reading_a_missing_store_does_not_make_one(path):
    with pytest.raises(ProjectError, match="unable to open"):
        Store(path, read_only=True)
    assert not path.exists()


def test_a_store_that_is_read_only_takes_no_answer(store, path):
    with Store(path, read_only=True) as reader, pytest.raises(ProjectError, match="read-only"):
        reader.answer(ANSWER)


def test_a_store_that_another_program_writes_to_says_so(store, path):
    with second_look(path) as other:
        other.execute("BEGIN IMMEDIATE")
        store._connection.execute("PRAGMA busy_timeout = 10")
        with pytest.raises(ProjectError, match="Another window or program writes to it"):
            store.answer(ANSWER)


@pytest.fixture
def locked_folder():
    """Return a folder that this process may read but not write, for root too, with a store in it."""
    folder = Path(tempfile.mkdtemp())
    Store(folder / "labels.sqlite").close()
    folder.chmod(0o755)
    (folder / "labels.sqlite").chmod(0o644)
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if root:
        os.seteuid(65534)
    else:
        folder.chmod(0o555)
    yield folder
    if root:
        os.seteuid(0)
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.skipif(os.name == "nt", reason="Windows folders have no read-only flag that stops writing")
@pytest.mark.parametrize("name", ["labels.sqlite", "new.sqlite"])
def test_a_read_only_folder_is_refused_when_it_is_opened(locked_folder, name):
    with pytest.raises(ProjectError, match=r"may (not be )?writ"):
        Store(locked_folder / name)


@pytest.mark.skipif(os.name == "nt", reason="Windows folders have no read-only flag that stops writing")
def test_a_read_only_folder_can_be_read(locked_folder):
    with Store(locked_folder / "labels.sqlite", read_only=True) as store:
        assert store.labels() == []


def test_a_store_that_is_gone_or_empty_is_not_begun_anew_without_a_word(tmp_path):
    from costal.labels.project import create_project
    from costal.workbench import Workbench

    project = create_project(tmp_path / "project")
    project.store_path.write_bytes(b"")
    for break_it in (lambda: None, project.store_path.unlink):
        break_it()
        with pytest.raises(ProjectError, match="missing or empty: its labels are gone"):
            Workbench(project.folder)
        with pytest.raises(ProjectError):
            Store(project.store_path, read_only=True)


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "labels.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
        connection.commit()
    before = path.read_bytes()
    for read_only in (True, False):
        with pytest.raises(ProjectError, match="another program wrote it"):
            Store(path, read_only)
    assert path.read_bytes() == before


@pytest.mark.parametrize("pixels", [np.zeros((1, 8, 9)), np.zeros((8, 8)), np.full((1, 8, 8), None)])
def test_pixels_that_could_not_be_read_back_are_refused(tmp_path, pixels):
    with Store(tmp_path / "labels.sqlite") as store:
        frame_id = store.add_frame(FrameRecord("hash", "all", "source", 8, 8, None, (0.0,), (1.0,)))
        with pytest.raises(ProjectError, match="cannot be kept"):
            store.answer(AnswerRecord(frame_id, 0, 0, pixels, "skip", None, "me", ()))
        assert store.presented() == []
