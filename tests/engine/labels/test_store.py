import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costal.errors import ProjectError
from costal.labels.effort import Event, EventKind, PauseReason
from costal.labels.history import History
from costal.labels.records import AnswerRecord, CropLabel, FrameRecord, QueryReason
from costal.labels.store import Store
from costal.types import Arrival, Stamp

FRAME = FrameRecord("abc", "all", "a.tif", 64, 64, 0.02, (1.5,), (250.0,))
EVENTS = (
    Event(EventKind.SHOWN, 1_000, 2**62),
    Event(EventKind.PAUSED, 2_000, 2**62 + 1, PauseReason.FOCUS),
    Event(EventKind.RESUMED, 3_000, 2**62 + 2, PauseReason.FOCUS),
    Event(EventKind.ANSWERED, 2**61 + 7, 2**62 + 3),
)
PIXELS = np.arange(64, dtype=np.uint16).reshape(1, 8, 8)
ANSWER = AnswerRecord(1, 8, 16, PIXELS, "class", 2, "ada", EVENTS)
WHY = QueryReason(
    (1, 2), (0.25, 0.75), 0.0, 2.5, 0.5, 0.25, 1.0, 0.0, "std", 50, 2**53 + 1, "5ec7", "napari-costal 1"
)  # fmt: skip


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
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 3  # EXTRA: FULL, and the folder too
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


@pytest.mark.parametrize("table", ["label", "event", "presentation"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET utc_ns = 0"])
def test_labels_events_and_presentations_can_only_be_added(store, path, table, statement):
    store.answer(ANSWER)
    with second_look(path) as connection, pytest.raises(sqlite3.IntegrityError, match=f"{table}s are append-only"):
        connection.execute(statement.format(table))


# frames


@pytest.mark.parametrize("changed", [{"source": "renamed.tif"}, {"planes": "z 3"}])
def test_the_same_content_is_one_frame_whatever_it_is_called(store, changed):
    assert store.add_frame(replace(FRAME, **changed)) == 1


def test_other_content_is_another_frame(store):
    assert store.add_frame(replace(FRAME, content_hash="xyz")) == 2


@pytest.mark.parametrize(("content_hash", "frame_id"), [("abc", 1), ("xyz", 0)])
def test_a_frame_is_known_by_its_content_without_being_added(store, content_hash, frame_id):
    assert store.frame_id(replace(FRAME, content_hash=content_hash, source="elsewhere.tif")) == frame_id
    assert len(store.ranges()) == 1


def test_ranges_come_back_exactly_and_in_order(store):
    store.add_frame(replace(FRAME, content_hash="xyz", low_C=(0.1, -3.0), high_C=(1e-300, 2.0**53)))
    assert store.ranges() == [((1.5,), (250.0,)), ((0.1, -3.0), (1e-300, 2.0**53))]


# labels


def test_a_label_tells_where_its_crop_is_and_its_class(store):
    assert store.labels() == []
    label_id = store.answer(ANSWER)
    assert store.labels() == [CropLabel(label_id, 1, 8, 16, 8, 2)]


@pytest.mark.parametrize("kind", ["skip", "exclude"])
def test_a_skipped_or_excluded_crop_has_a_label_without_a_class(store, kind):
    label_id = store.answer(replace(ANSWER, kind=kind, class_id=None))
    assert store.labels() == [CropLabel(label_id, 1, 8, 16, 8, None, kind)]
    assert store.label_counts() == {}
    assert [(row.kind, row.class_id, row.stands) for row in store.presentations()] == [(kind, None, True)]


@pytest.mark.parametrize("kind", ["skip", "exclude", "class"])
def test_what_was_said_last_of_a_crop_is_what_it_is_now(store, kind):
    store.answer(replace(ANSWER, kind="exclude", class_id=None))
    store.answer(replace(ANSWER, kind=kind, class_id=1 if kind == "class" else None))
    assert [(label.kind, label.class_id) for label in store.labels()] == [(kind, 1 if kind == "class" else None)]
    assert store.label_counts() == ({1: 1} if kind == "class" else {})


def test_labels_of_a_content_are_those_of_its_frame(store):
    other = store.add_frame(replace(FRAME, content_hash="xyz"))
    store.answer(replace(ANSWER, frame_id=other))
    assert [label.frame_id for label in store.labels_of("xyz")] == [other]
    assert (store.labels_of("abc"), store.labels_of("no such")) == ([], [])


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


def test_redo_gives_an_undone_label_again(store):
    label_id = store.answer(ANSWER)
    store.undo(label_id)
    again = store.redo(label_id)
    assert again != label_id
    assert store.labels() == [CropLabel(again, 1, 8, 16, 8, 2)]
    assert [each.first_id for each in (*store.labels(), store.label(again))] == [label_id, label_id]
    assert [each.class_id for each in store.presented()] == [2]


def test_a_label_can_be_undone_and_redone_again_and_again(store):
    label_id = store.answer(ANSWER)
    for _ in range(3):
        store.undo(label_id)
        assert store.labels() == []
        label_id = store.redo(label_id)
        assert [(label.label_id, label.class_id) for label in store.labels()] == [(label_id, 2)]


def test_redo_brings_back_a_skip_as_a_skip(store):
    label_id = store.answer(replace(ANSWER, kind="skip", class_id=None))
    store.undo(label_id)
    store.redo(label_id)
    assert [(label.kind, label.class_id) for label in store.labels()] == [("skip", None)]


@pytest.mark.parametrize("before", ["standing", "redone", "undo row", "unknown"])
def test_what_was_not_undone_or_is_redone_already_cannot_be_redone(store, path, before):
    label_id = store.answer(ANSWER)
    if before in ("redone", "undo row"):
        store.undo(label_id)
    if before == "redone":
        store.redo(label_id)
    refused = {"undo row": label_id + 1, "unknown": 99}.get(before, label_id)
    rows = counts(path)
    with pytest.raises(ProjectError, match=f"Label {refused} was not undone, so it cannot be redone"):
        store.redo(refused)
    assert counts(path) == rows


def test_undo_of_an_undone_label_leaves_the_one_that_repeats_it(store):
    label_id = store.answer(ANSWER)
    store.undo(label_id)
    again = store.redo(label_id)
    store.undo(label_id)
    assert [label.label_id for label in store.labels()] == [again]


def test_a_label_that_was_replaced_is_still_replaced_once_it_is_undone_and_redone(store):
    first = store.answer(ANSWER)
    second = store.answer(replace(ANSWER, class_id=1, annotator="bob"))
    for _ in range(2):
        store.undo(first)
        first = store.redo(first)
    assert [(label.label_id, label.class_id) for label in store.labels()] == [(second, 1)]
    store.undo(second)
    assert [(label.label_id, label.class_id) for label in store.labels()] == [(first, 2)]


def test_the_snapshot_of_labels_changes_with_an_undo_and_is_the_same_after_its_redo(store):
    store.answer(replace(ANSWER, y=0))
    label_id = store.answer(ANSWER)
    before = store.label_snapshot()
    assert before == (1, 2)
    store.undo(label_id)
    assert store.label_snapshot() == (1,)
    store.redo(label_id)
    assert store.label_snapshot() == before
    assert tuple(each.label_id for each in store.presented()) == before
    store.answer(replace(ANSWER, class_id=1))
    assert len(store.label_snapshot()) == 2
    assert store.label_snapshot() != before


def test_a_label_is_found_by_its_id_after_it_was_undone(store):
    label_id = store.answer(ANSWER)
    store.undo(label_id)
    assert store.label(label_id) == CropLabel(label_id, 1, 8, 16, 8, 2)
    assert store.label(99) is None


def test_what_can_be_undone_and_redone_is_each_annotators_own(store):
    ids = {name: store.answer(replace(ANSWER, y=8 * index, annotator=name)) for index, name in enumerate("abc")}
    store.undo(ids["b"])
    again = store.redo(ids["b"])
    store.undo(ids["c"])
    assert store.history("a") == History((ids["a"],))
    assert store.history("b") == History((again,))
    assert store.history("c") == History((), (ids["c"],))
    assert store.history("nobody") == History()


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
    store.answer(replace(ANSWER, generation=3, rank=1, prediction_shown=True, control=True, why=WHY))
    with second_look(path) as connection:
        row = connection.execute("SELECT information, cost, value FROM presentation").fetchone()
    assert row == (0.0, 2.5, 0.25)
    (row,) = store.presentations()
    assert (row.generation, row.rank, row.prediction_shown, row.control, row.why) == (3, 1, True, True, WHY)


def test_a_presentation_from_before_why_was_kept_has_what_there_was(store, path):
    store.answer(ANSWER)
    with second_look(path) as connection:
        connection.execute("DROP TRIGGER presentation_fixed")
        connection.execute("UPDATE presentation SET why = '{}', information = 0.5, cost = 2.5, value = 0.25")
        connection.commit()
    assert [row.why for row in store.presentations()] == [QueryReason(information=0.5, cost=2.5, value=0.25)]


def test_a_presentation_tells_where_its_crop_is_what_was_said_and_the_events(store):
    label_id = store.answer(replace(ANSWER, rank=4))
    (row,) = store.presentations()
    assert (row.presentation_id, row.crop_id, row.frame_id) == (1, 1, 1)
    assert (row.frame_source, row.frame_hash, row.planes) == ("a.tif", "abc", "all")
    assert (row.y, row.x, row.side, row.annotator, row.rank) == (8, 16, 8, "ada", 4)
    assert (row.kind, row.class_id, row.label_id, row.stands, row.events) == ("class", 2, label_id, True, EVENTS)


def test_a_presentation_keeps_what_it_said_while_another_label_stands(store):
    first = store.answer(ANSWER)
    store.answer(replace(ANSWER, kind="abandoned", class_id=None))
    third = store.answer(replace(ANSWER, class_id=1))
    rows = [(row.kind, row.class_id, row.label_id, row.stands) for row in store.presentations()]
    assert rows == [("class", 2, first, False), ("abandoned", None, None, False), ("class", 1, third, True)]
    store.undo(third)
    assert [row.stands for row in store.presentations()] == [True, False, False]
    again = store.redo(third)
    assert [(row.label_id, row.stands) for row in store.presentations()][2] == (again, True)


def test_the_newest_crop_shape_is_that_of_the_crop_presented_last(store):
    assert store.newest_crop_shape() is None
    store.answer(ANSWER)
    store.answer(replace(ANSWER, y=0, pixels_C_H_W=np.zeros((3, 16, 16), np.uint8)))
    assert store.newest_crop_shape() == (3, 16, 16)


# why


def test_why_is_written_without_what_was_not_known_and_with_every_zero():
    assert QueryReason().to_json() == "{}"
    assert QueryReason(information=0.0, beta=0.0).to_json() == '{"information": 0.0, "beta": 0.0}'


numbers = st.none() | st.floats(allow_nan=False)


@given(
    st.builds(
        QueryReason,
        st.lists(st.integers(1, 2**31)).map(tuple),
        st.lists(st.floats(0, 1)).map(tuple),
        *[numbers] * 6,
        st.text(),
        st.integers(0, 10_000),
        st.integers(0, 2**63),
        st.text(),
        st.text(),
    )
)
def test_why_comes_back_from_json_as_it_was(why):
    assert QueryReason.from_json(why.to_json()) == why


def test_an_entry_of_a_newer_version_is_left_out_of_why():
    assert QueryReason.from_json('{"beta": 0.5, "mood": "good"}') == QueryReason(beta=0.5)


# arrivals


def test_arrivals_are_kept_as_they_were_last_seen(store, path):
    pending = Arrival("b.tif", Stamp(10, 1), "pending", "3 of 5 planes are missing")
    ready = Arrival("a/a.tif", Stamp(20, 2**62), "ready", content_hash="abc")
    store.note_arrivals([pending, ready])
    assert store.arrivals() == [ready, pending]
    done = replace(pending, stamp=Stamp(50, 2), state="ready", reason="", content_hash="xyz")
    store.note_arrivals([done])
    with Store(path, read_only=True) as reader:
        assert reader.arrivals() == [ready, done]


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
    with pytest.raises(ProjectError, match=r"may (not )?write"):
        Store(locked_folder / name)


@pytest.mark.skipif(os.name == "nt", reason="Windows folders have no read-only flag that stops writing")
def test_a_read_only_folder_can_be_read(locked_folder):
    with Store(locked_folder / "labels.sqlite", read_only=True) as store:
        assert store.labels() == []


def test_a_store_that_is_gone_or_empty_is_not_begun_anew_without_a_word(tmp_path):
    from costal.labels.project_file import create_project
    from costal.workbench.session import ProjectSession

    project = create_project(tmp_path / "project")
    project.store_path.write_bytes(b"")
    for break_it in (lambda: None, project.store_path.unlink):
        break_it()
        with pytest.raises(ProjectError, match="missing or empty: its labels are gone"):
            ProjectSession(project.folder)
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
        with pytest.raises(ProjectError, match="cannot be stored"):
            store.answer(AnswerRecord(frame_id, 0, 0, pixels, "skip", None, "me", ()))
        assert store.presented() == []
