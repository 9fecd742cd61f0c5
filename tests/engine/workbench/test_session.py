import os
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from dataclasses import replace

import numpy as np
import pytest

from costal.errors import ProjectError
from costal.frames.read import Planes, frame_from_array
from costal.labels.classes import merge_classes, rename_class, retire_class
from costal.labels.effort import Event, EventKind
from costal.labels.history import History
from costal.labels.project_file import create_project, load_project
from costal.labels.records import ActionRecord, AnswerRecord
from costal.scoring.frame_planes import frame_of
from costal.types import Arrival, Stamp
from costal.workbench.session import ProjectSession, recorded

ALL = Planes(None, None, None)

EVENTS = (Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, 10**9, 10**9))
PIXELS = np.arange(32 * 32, dtype=np.uint16).reshape(1, 32, 32)
HOLD = """
import sys, time
from pathlib import Path
from costal.workbench.session import ProjectSession, recorded
with ProjectSession(Path(sys.argv[1]), "eve") as bench:
    print(bench.holder, flush=True)
    time.sleep(300)
"""


@pytest.fixture
def folder(tmp_path):
    return create_project(tmp_path / "neurons", ("rings", "fibres", "puncta")).folder


@pytest.fixture
def session(folder):
    with ProjectSession(folder, "ada") as workbench:
        yield workbench


def frame(gain=1, source="a.tif"):
    return frame_from_array(PIXELS * gain, "CYX", 0.02, source)


def answer(session, index, class_id=1, kind="class", annotator=None):
    """Answer crop `index` of the frame, four crops to a row."""
    stored = session.place(recorded(frame_of(frame(), ALL)))
    y, x = 8 * (index // 4), 8 * (index % 4)
    class_id = class_id if kind == "class" else None
    pixels = PIXELS[:, y : y + 8, x : x + 8]
    return session.answer(AnswerRecord(stored.id, y, x, pixels, kind, class_id, annotator or session.annotator, EVENTS))


def labels(session):
    """Return what is said of each crop now: its class id, or the kind of a label without one."""
    return {label.y // 8 * 4 + label.x // 8: label.class_id or label.kind for label in session.store.labels()}


@contextmanager
def another_process(folder):
    """Run a process that has the project open; `held_by` is what it was told of the holder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        process.held_by = process.stdout.readline().strip()
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


# frames


@pytest.mark.parametrize("planes", ["all", "z 3"])
def test_equal_content_is_the_same_frame_whatever_its_file_and_planes_are_called(session, planes):
    stored = session.place(recorded(frame_of(frame(), ALL)))
    assert session.place(replace(recorded(frame_of(frame(source="renamed.tif"), ALL)), planes=planes)) == stored
    assert session.place(recorded(frame_of(frame(gain=2), ALL))).id != stored.id


def test_a_frame_is_kept_with_what_is_known_of_it(session):
    session.place(replace(recorded(frame_of(frame(), ALL)), planes="z 3"))
    (kept,) = session.store.frames().values()
    assert (kept.source, kept.planes, kept.height, kept.width, kept.pixel_um) == ("a.tif", "z 3", 32, 32, 0.02)
    assert kept.content_hash == frame().content_hash


# undo and redo


def test_undo_takes_back_the_last_label_and_tells_which_crop_it_was(session):
    first, second = answer(session, 0), answer(session, 5, class_id=2)
    undone = session.undo()
    assert (undone.label_id, undone.y, undone.x, undone.class_id) == (second, 8, 8, 2)
    assert labels(session) == {0: 1}
    assert session.undo().label_id == first
    assert labels(session) == {}


def test_redo_gives_back_what_was_undone_last_and_tells_which_crop_it_was(session):
    answer(session, 0)
    answer(session, 5, kind="exclude")
    session.undo()
    session.undo()
    redone = session.redo()
    assert (redone.y, redone.x, redone.class_id) == (0, 0, 1)
    redone = session.redo()
    assert (redone.y, redone.x, redone.kind) == (8, 8, "exclude")
    assert labels(session) == {0: 1, 5: "exclude"}


def label_together(session, indices, class_id=2, **action):
    """Label several crops as one action and return the labels' ids."""
    stored = session.place(recorded(frame_of(frame(), ALL)))
    places = [(8 * (index // 4), 8 * (index % 4)) for index in indices]
    return session.answer_together(
        ActionRecord("bulk", session.annotator, 3.0, **action),
        [
            AnswerRecord(
                stored.id, y, x, PIXELS[:, y : y + 8, x : x + 8], "class", class_id, session.annotator, (), given="bulk"
            )
            for y, x in places
        ],
    )


def test_labels_given_together_are_undone_and_redone_as_a_whole(session):
    answer(session, 0)
    label_together(session, [1, 2, 5])
    answer(session, 7, class_id=3)
    assert labels(session) == {0: 1, 1: 2, 2: 2, 5: 2, 7: 3}
    session.undo()
    undone = session.undo()
    assert [each.x for each in session.store.labels_together(undone)] == [8, 16, 8]
    assert labels(session) == {0: 1}
    session.redo()
    assert labels(session) == {0: 1, 1: 2, 2: 2, 5: 2}
    session.undo()
    session.undo()
    assert labels(session) == {}
    session.redo()
    session.redo()
    session.redo()
    assert labels(session) == {0: 1, 1: 2, 2: 2, 5: 2, 7: 3}
    assert {each.given for each in session.store.labels() if each.class_id == 2} == {"bulk"}


def test_a_reopened_project_undoes_labels_given_together_as_a_whole(session, folder):
    label_together(session, [0, 1])
    label_together(session, [2, 3], class_id=3)
    session.undo()
    session.redo()
    session.close()
    with ProjectSession(folder, "ada") as again:
        again.undo()
        assert labels(again) == {0: 2, 1: 2}
        again.undo()
        assert labels(again) == {}
        again.redo()
        again.redo()
        assert labels(again) == {0: 2, 1: 2, 2: 3, 3: 3}


def test_labels_given_together_are_all_on_disk_or_none(session):
    stored = session.place(recorded(frame_of(frame(), ALL)))
    fits = AnswerRecord(stored.id, 0, 0, PIXELS[:, :8, :8], "class", 1, "ada", (), given="accepted")
    with pytest.raises(ProjectError, match="cannot be stored"):
        session.answer_together(ActionRecord("accepted", "ada", 1.0), [fits, replace(fits, pixels_C_H_W=PIXELS[:, :8])])
    assert labels(session) == {}
    assert session.store.row_count("action") == 0
    assert session.undo() is None


def test_with_nothing_to_undo_or_redo_nothing_happens(session):
    assert (session.undo(), session.redo()) == (None, None)
    answer(session, 0)
    assert session.redo() is None
    assert labels(session) == {0: 1}


def test_undo_goes_back_to_the_beginning_and_redo_to_the_end(session):
    for index in range(12):
        answer(session, index, class_id=1 + index % 3)
    before = labels(session)
    assert [session.undo() is None for _ in range(13)] == [False] * 12 + [True]
    assert labels(session) == {}
    assert [session.redo() is None for _ in range(13)] == [False] * 12 + [True]
    assert labels(session) == before


def test_undo_of_a_relabelled_crop_shows_its_label_from_before(session):
    answer(session, 0, class_id=1)
    answer(session, 0, class_id=2)
    answer(session, 0, kind="skip")
    seen = [labels(session)]
    for act in (session.undo, session.undo, session.undo, session.redo, session.redo, session.redo):
        act()
        seen.append(labels(session))
    assert seen == [{0: "skip"}, {0: 2}, {0: 1}, {}, {0: 1}, {0: 2}, {0: "skip"}]


def test_a_new_label_ends_what_could_be_redone(session):
    answer(session, 0)
    session.undo()
    answer(session, 1)
    assert session.redo() is None
    assert labels(session) == {1: 1}


def test_an_abandoned_crop_is_nothing_to_undo(session):
    answer(session, 0)
    assert answer(session, 1, kind="abandoned") is None
    assert session.undo().x == 0


def test_an_abandoned_crop_leaves_what_can_be_redone(session):
    answer(session, 0)
    session.undo()
    answer(session, 1, kind="abandoned")
    assert session.redo().x == 0


def test_a_reopened_project_remembers_what_can_be_undone_and_redone(session, folder):
    for index in range(4):
        answer(session, index)
    session.undo()
    session.undo()
    session.redo()
    history = session.history
    session.close()
    with ProjectSession(folder, "ada") as again:
        assert again.history == history
        assert again.redo().x == 24
        assert [again.undo().x for _ in range(4)] == [24, 16, 8, 0]


def test_nobody_undoes_what_another_labelled(session, folder):
    answer(session, 0)
    session.close()
    with ProjectSession(folder, "bob") as bobs:
        assert bobs.undo() is None
        answer(bobs, 1)
        assert bobs.undo().x == 8
        assert bobs.undo() is None
        assert labels(bobs) == {0: 1}


def test_an_answer_kept_for_somebody_else_is_nothing_to_undo_now_or_later(session, folder):
    answer(session, 0, annotator="bob")
    assert session.history == session.store.history("ada") == History()
    assert session.undo() is None


def test_undo_and_redo_leave_a_label_that_another_gave_in_between(session, folder):
    answer(session, 0, class_id=1)
    session.close()
    with ProjectSession(folder, "bob") as bobs:
        answer(bobs, 0, class_id=2)
    with ProjectSession(folder, "ada") as again:
        again.undo()
        assert labels(again) == {0: 2}
        again.redo()
        assert labels(again) == {0: 2}


@pytest.mark.parametrize("act", ["answer", "undo", "redo"])
def test_what_could_not_be_saved_can_be_tried_again(session, folder, act):
    for index in range(3):
        answer(session, index)
    session.undo()
    acts = {"answer": lambda: answer(session, 7), "undo": session.undo, "redo": session.redo}
    before, history = labels(session), session.history
    session.store._connection.execute("PRAGMA busy_timeout = 10")
    with closing(sqlite3.connect(folder / "labels.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ProjectError, match="Another window or program writes to it"):
            acts[act]()
    assert (labels(session), session.history) == (before, history)
    acts[act]()
    expected = {"answer": {0, 1, 7}, "undo": {0}, "redo": {0, 1, 2}}[act]
    assert set(labels(session)) == expected


@pytest.mark.parametrize(
    ("stored", "named", "kept"),
    [
        ("slice 3", "z 3", "z 3"),
        ("slice 3", "slice 3", "slice 3"),
        ("z 3", "slice 3", "z 3"),
        ("slice 4", "z 3", "slice 4"),
    ],
)
def test_a_frame_named_by_an_earlier_version_keeps_its_labels_and_learns_its_axes(session, stored, named, kept):
    first = session.place(replace(recorded(frame_of(frame(), ALL)), planes=stored))
    session.answer(AnswerRecord(first.id, 0, 0, PIXELS[:, :8, :8], "class", 2, "ada", EVENTS))
    again = session.place(replace(recorded(frame_of(frame(), ALL)), planes=named))
    assert (again.id, labels(session)) == (first.id, {0: 2})
    assert [each.planes for each in session.store.frames().values()] == [kept]


# settings


def test_new_settings_are_on_disk_when_they_are_in_use(session, folder):
    session.configure(rename_class(session.project, 1, "loops"))
    assert session.project == load_project(folder)
    assert session.project.classes[0].name == "loops"


# one writer


def test_the_first_window_writes_and_the_second_reads_and_says_who_holds_it(session, folder):
    answer(session, 0)
    with ProjectSession(folder, "bob") as second:
        assert session.holder is None
        assert second.holder.pid == os.getpid()
        assert labels(second) == {0: 1}
        answer(session, 1)
        assert labels(second) == {0: 1, 1: 1}


WRITES = {
    "answer": lambda writer: answer(writer, 1),
    "undo": lambda writer: writer.undo(),
    "redo": lambda writer: writer.redo(),
    "configure": lambda writer: writer.configure(rename_class(writer.project, 1, "loops")),
    "place": lambda writer: writer.place(recorded(frame_of(frame(gain=2), ALL))),
    "arrivals": lambda writer: writer.note_arrivals([Arrival("a.tif", Stamp(1, 2), "queued")]),
}


@pytest.mark.parametrize("act", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("is_taken", [False, True], ids=["deleted", "taken by another"])
@pytest.mark.skipif(os.name == "nt", reason="Windows deletes no file that is open")
def test_a_window_whose_lock_was_deleted_stores_nothing_more_and_says_so(folder, act, is_taken):
    first = ProjectSession(folder, "ada")
    for index in (0, 2):
        answer(first, index)
    first.undo()
    (folder / "writer.lock").unlink()
    second = ProjectSession(folder, "bob") if is_taken else None
    if second is not None:
        assert second.holder is None
        answer(second, 5)
        second.configure(rename_class(second.project, 2, "threads"))
    settings, before = (folder / "project.toml").read_bytes(), labels(first)
    for _ in range(2):
        with pytest.raises(ProjectError, match=r"writer\.lock was deleted or replaced .* Nothing was stored\. Close"):
            act(first)
    assert labels(first) == before == ({0: 1, 5: 1} if is_taken else {0: 1})
    assert (folder / "project.toml").read_bytes() == settings
    first.close()
    if second is not None:
        assert (folder / "writer.json").exists()
        answer(second, 6)
        second.close()
    with ProjectSession(folder, "ada") as again:
        answer(again, 1)
        assert labels(again) == before | {1: 1} | ({6: 1} if is_taken else {})


def test_settings_that_were_edited_by_hand_meanwhile_stay(session, folder):
    session.configure(rename_class(session.project, 1, "loops"))
    path = folder / "project.toml"
    edited = path.read_text("utf-8").replace('"loops"', '"hoops"')
    path.write_text(edited, "utf-8")
    with pytest.raises(ProjectError, match=r"project\.toml was changed by another program .* Open the project again"):
        session.configure(rename_class(session.project, 2, "threads"))
    assert (path.read_text("utf-8"), session.project.classes[1].name) == (edited, "fibres")
    answer(session, 0)
    session.close()
    with ProjectSession(folder, "ada") as again:
        again.configure(rename_class(again.project, 2, "threads"))
    assert [each.name for each in load_project(folder).classes] == ["hoops", "threads", "puncta"]


def test_what_a_killed_writer_left_goes_when_a_writer_opens_the_project_and_not_a_reader(session, folder):
    leftovers = [folder / "project.toml.new", folder / "models" / "0001.safetensors.new"]
    for path in leftovers:
        path.write_text("half")
    with ProjectSession(folder, "bob"):
        assert all(path.exists() for path in leftovers)
    session.close()
    with ProjectSession(folder, "ada"):
        assert not any(path.exists() for path in leftovers)


READERS_MAY_NOT = {
    "answer": lambda reader: answer(reader, 1),
    "undo": lambda reader: reader.undo(),
    "redo": lambda reader: reader.redo(),
    "configure": lambda reader: reader.configure(rename_class(reader.project, 1, "loops")),
}


@pytest.mark.parametrize("act", READERS_MAY_NOT.values(), ids=READERS_MAY_NOT)
def test_a_window_that_reads_refuses_to_write_and_names_the_holder(session, folder, act):
    answer(session, 0)
    answer(session, 2)
    session.undo()
    settings, rows = (folder / "project.toml").read_bytes(), session.store.presentations()
    with ProjectSession(folder, "ada") as reader:
        holder = reader.holder
        with pytest.raises(ProjectError) as refused:
            act(reader)
        assert str(refused.value) == (
            f"'neurons' is open for reading only: {holder.user} on {holder.host} (process {os.getpid()}) since "
            f"{holder.since} writes to it. Close it there, then open it here again."
        )
    assert (folder / "project.toml").read_bytes() == settings
    assert session.store.presentations() == rows


def test_a_window_that_reads_knows_the_frames_of_the_project_and_adds_none(session, folder):
    stored = session.place(recorded(frame_of(frame(), ALL)))
    with ProjectSession(folder, "bob") as reader:
        assert reader.place(recorded(frame_of(frame(source="renamed.tif"), ALL))) == stored
        assert reader.place(recorded(frame_of(frame(gain=2), ALL))).id == 0
        reader.note_arrivals([Arrival("a.tif", Stamp(1, 2), "ready")])
    assert len(session.store.ranges()) == 1
    assert session.store.arrivals() == []


def test_a_window_that_writes_keeps_what_arrived(session):
    arrived = [Arrival("a.tif", Stamp(1, 2), "ready")]
    session.note_arrivals(arrived)
    assert session.store.arrivals() == arrived


def test_once_the_writer_is_closed_the_next_one_may_write(session, folder):
    with ProjectSession(folder, "bob") as reader:
        session.close()
        assert reader.holder is not None
    with ProjectSession(folder, "bob") as writer:
        assert writer.holder is None
        assert answer(writer, 0) == 1


def test_closing_a_window_that_reads_leaves_the_writers_lock(session, folder):
    ProjectSession(folder, "bob").close()
    with ProjectSession(folder, "bob") as second:
        assert second.holder is not None


def test_a_project_held_by_another_process_is_for_reading_until_that_is_killed(folder):
    with another_process(folder) as other:
        assert other.held_by == "None"
        with ProjectSession(folder, "ada") as reader:
            assert reader.holder.pid == other.pid
            with pytest.raises(ProjectError, match=rf"\(process {other.pid}\) since .* writes to it"):
                answer(reader, 0)
        other.kill()
        other.wait()
        with ProjectSession(folder, "ada") as writer:
            assert writer.holder is None
            assert answer(writer, 0) == 1


def test_another_process_is_told_who_holds_the_project(session, folder):
    with another_process(folder) as other:
        with ProjectSession(folder) as second:
            assert other.held_by == str(second.holder)
        assert f"(process {os.getpid()})" in other.held_by


def test_a_project_that_cannot_be_opened_is_not_held(folder):
    store = (folder / "labels.sqlite").read_bytes()
    (folder / "labels.sqlite").write_bytes(b"no store, whatever its name says" * 100)
    with pytest.raises(ProjectError, match="not a label store"):
        ProjectSession(folder)
    (folder / "labels.sqlite").write_bytes(store)
    with ProjectSession(folder) as session:
        assert session.holder is None


def test_a_folder_that_is_no_project_gets_no_lock(tmp_path):
    with pytest.raises(ProjectError, match="is not a project"):
        ProjectSession(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_retired_and_a_merged_class_keep_their_labels(session, folder):
    answer(session, 0, class_id=2)
    answer(session, 1, class_id=3)
    session.configure(retire_class(merge_classes(session.project, 2, 1), 3))
    session.close()
    with ProjectSession(folder, "ada") as again:
        assert labels(again) == {0: 2, 1: 3}
        assert [again.project.class_of(stored).name for stored in (2, 3)] == ["rings", "puncta"]
        assert [again.project.class_index(stored) for stored in (2, 3)] == [0, None]
