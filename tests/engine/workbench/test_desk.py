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
from costal.workbench.desk import Workbench, recorded

ALL = Planes(None, None, None)

EVENTS = (Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, 10**9, 10**9))
PIXELS = np.arange(32 * 32, dtype=np.uint16).reshape(1, 32, 32)
HOLD = """
import sys, time
from pathlib import Path
from costal.workbench.desk import Workbench, recorded
with Workbench(Path(sys.argv[1]), "eve") as bench:
    print(bench.holder, flush=True)
    time.sleep(300)
"""


@pytest.fixture
def folder(tmp_path):
    return create_project(tmp_path / "neurons", ("rings", "fibres", "puncta")).folder


@pytest.fixture
def bench(folder):
    with Workbench(folder, "ada") as workbench:
        yield workbench


def frame(gain=1, source="a.tif"):
    return frame_from_array(PIXELS * gain, "CYX", 0.02, source)


def answer(bench, index, class_id=1, kind="class", annotator=None):
    """Answer crop `index` of the frame, four crops to a row."""
    placed = bench.place(recorded(frame_of(frame(), ALL)))
    y, x = 8 * (index // 4), 8 * (index % 4)
    class_id = class_id if kind == "class" else None
    pixels = PIXELS[:, y : y + 8, x : x + 8]
    return bench.answer(AnswerRecord(placed.id, y, x, pixels, kind, class_id, annotator or bench.annotator, EVENTS))


def labels(bench):
    """Return what is said of each crop now: its class id, or the kind of a label without one."""
    return {label.y // 8 * 4 + label.x // 8: label.class_id or label.kind for label in bench.store.labels()}


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
def test_equal_content_is_the_same_frame_whatever_its_file_and_planes_are_called(bench, planes):
    placed = bench.place(recorded(frame_of(frame(), ALL)))
    assert bench.place(replace(recorded(frame_of(frame(source="renamed.tif"), ALL)), planes=planes)) == placed
    assert bench.place(recorded(frame_of(frame(gain=2), ALL))).id != placed.id


def test_a_frame_is_kept_with_what_is_known_of_it(bench):
    bench.place(replace(recorded(frame_of(frame(), ALL)), planes="z 3"))
    (kept,) = bench.store.frames().values()
    assert (kept.source, kept.planes, kept.height, kept.width, kept.pixel_um) == ("a.tif", "z 3", 32, 32, 0.02)
    assert kept.content_hash == frame().content_hash


# undo and redo


def test_undo_takes_back_the_last_label_and_tells_which_crop_it_was(bench):
    first, second = answer(bench, 0), answer(bench, 5, class_id=2)
    undone = bench.undo()
    assert (undone.label_id, undone.y, undone.x, undone.class_id) == (second, 8, 8, 2)
    assert labels(bench) == {0: 1}
    assert bench.undo().label_id == first
    assert labels(bench) == {}


def test_redo_gives_back_what_was_undone_last_and_tells_which_crop_it_was(bench):
    answer(bench, 0)
    answer(bench, 5, kind="exclude")
    bench.undo()
    bench.undo()
    redone = bench.redo()
    assert (redone.y, redone.x, redone.class_id) == (0, 0, 1)
    redone = bench.redo()
    assert (redone.y, redone.x, redone.kind) == (8, 8, "exclude")
    assert labels(bench) == {0: 1, 5: "exclude"}


def label_together(bench, indices, class_id=2, **action):
    """Label several crops as one action and return the labels' ids."""
    placed = bench.place(recorded(frame_of(frame(), ALL)))
    places = [(8 * (index // 4), 8 * (index % 4)) for index in indices]
    return bench.answer_together(
        ActionRecord("bulk", bench.annotator, 3.0, **action),
        [
            AnswerRecord(
                placed.id, y, x, PIXELS[:, y : y + 8, x : x + 8], "class", class_id, bench.annotator, (), given="bulk"
            )
            for y, x in places
        ],
    )


def test_labels_given_together_are_undone_and_redone_as_a_whole(bench):
    answer(bench, 0)
    label_together(bench, [1, 2, 5])
    answer(bench, 7, class_id=3)
    assert labels(bench) == {0: 1, 1: 2, 2: 2, 5: 2, 7: 3}
    bench.undo()
    undone = bench.undo()
    assert [each.x for each in bench.store.labels_together(undone)] == [8, 16, 8]
    assert labels(bench) == {0: 1}
    bench.redo()
    assert labels(bench) == {0: 1, 1: 2, 2: 2, 5: 2}
    bench.undo()
    bench.undo()
    assert labels(bench) == {}
    bench.redo()
    bench.redo()
    bench.redo()
    assert labels(bench) == {0: 1, 1: 2, 2: 2, 5: 2, 7: 3}
    assert {each.given for each in bench.store.labels() if each.class_id == 2} == {"bulk"}


def test_a_reopened_project_undoes_labels_given_together_as_a_whole(bench, folder):
    label_together(bench, [0, 1])
    label_together(bench, [2, 3], class_id=3)
    bench.undo()
    bench.redo()
    bench.close()
    with Workbench(folder, "ada") as again:
        again.undo()
        assert labels(again) == {0: 2, 1: 2}
        again.undo()
        assert labels(again) == {}
        again.redo()
        again.redo()
        assert labels(again) == {0: 2, 1: 2, 2: 3, 3: 3}


def test_labels_given_together_are_all_on_disk_or_none(bench):
    placed = bench.place(recorded(frame_of(frame(), ALL)))
    fits = AnswerRecord(placed.id, 0, 0, PIXELS[:, :8, :8], "class", 1, "ada", (), given="accepted")
    with pytest.raises(ProjectError, match="cannot be kept"):
        bench.answer_together(ActionRecord("accepted", "ada", 1.0), [fits, replace(fits, pixels_C_H_W=PIXELS[:, :8])])
    assert labels(bench) == {}
    assert bench.store.row_count("action") == 0
    assert bench.undo() is None


def test_with_nothing_to_undo_or_redo_nothing_happens(bench):
    assert (bench.undo(), bench.redo()) == (None, None)
    answer(bench, 0)
    assert bench.redo() is None
    assert labels(bench) == {0: 1}


def test_undo_goes_back_to_the_beginning_and_redo_to_the_end(bench):
    for index in range(12):
        answer(bench, index, class_id=1 + index % 3)
    before = labels(bench)
    assert [bench.undo() is None for _ in range(13)] == [False] * 12 + [True]
    assert labels(bench) == {}
    assert [bench.redo() is None for _ in range(13)] == [False] * 12 + [True]
    assert labels(bench) == before


def test_undo_of_a_relabelled_crop_shows_its_label_from_before(bench):
    answer(bench, 0, class_id=1)
    answer(bench, 0, class_id=2)
    answer(bench, 0, kind="skip")
    seen = [labels(bench)]
    for act in (bench.undo, bench.undo, bench.undo, bench.redo, bench.redo, bench.redo):
        act()
        seen.append(labels(bench))
    assert seen == [{0: "skip"}, {0: 2}, {0: 1}, {}, {0: 1}, {0: 2}, {0: "skip"}]


def test_a_new_label_ends_what_could_be_redone(bench):
    answer(bench, 0)
    bench.undo()
    answer(bench, 1)
    assert bench.redo() is None
    assert labels(bench) == {1: 1}


def test_an_abandoned_crop_is_nothing_to_undo(bench):
    answer(bench, 0)
    assert answer(bench, 1, kind="abandoned") is None
    assert bench.undo().x == 0


def test_an_abandoned_crop_leaves_what_can_be_redone(bench):
    answer(bench, 0)
    bench.undo()
    answer(bench, 1, kind="abandoned")
    assert bench.redo().x == 0


def test_a_reopened_project_remembers_what_can_be_undone_and_redone(bench, folder):
    for index in range(4):
        answer(bench, index)
    bench.undo()
    bench.undo()
    bench.redo()
    history = bench.history
    bench.close()
    with Workbench(folder, "ada") as again:
        assert again.history == history
        assert again.redo().x == 24
        assert [again.undo().x for _ in range(4)] == [24, 16, 8, 0]


def test_nobody_undoes_what_another_labelled(bench, folder):
    answer(bench, 0)
    bench.close()
    with Workbench(folder, "bob") as bobs:
        assert bobs.undo() is None
        answer(bobs, 1)
        assert bobs.undo().x == 8
        assert bobs.undo() is None
        assert labels(bobs) == {0: 1}


def test_an_answer_kept_for_somebody_else_is_nothing_to_undo_now_or_later(bench, folder):
    answer(bench, 0, annotator="bob")
    assert bench.history == bench.store.history("ada") == History()
    assert bench.undo() is None


def test_undo_and_redo_leave_a_label_that_another_gave_in_between(bench, folder):
    answer(bench, 0, class_id=1)
    bench.close()
    with Workbench(folder, "bob") as bobs:
        answer(bobs, 0, class_id=2)
    with Workbench(folder, "ada") as again:
        again.undo()
        assert labels(again) == {0: 2}
        again.redo()
        assert labels(again) == {0: 2}


@pytest.mark.parametrize("act", ["answer", "undo", "redo"])
def test_what_could_not_be_saved_can_be_tried_again(bench, folder, act):
    for index in range(3):
        answer(bench, index)
    bench.undo()
    acts = {"answer": lambda: answer(bench, 7), "undo": bench.undo, "redo": bench.redo}
    before, history = labels(bench), bench.history
    bench.store._connection.execute("PRAGMA busy_timeout = 10")
    with closing(sqlite3.connect(folder / "labels.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ProjectError, match="Another window or program writes to it"):
            acts[act]()
    assert (labels(bench), bench.history) == (before, history)
    acts[act]()
    expected = {"answer": {0, 1, 7}, "undo": {0}, "redo": {0, 1, 2}}[act]
    assert set(labels(bench)) == expected


@pytest.mark.parametrize(
    ("stored", "named", "kept"),
    [
        ("slice 3", "z 3", "z 3"),
        ("slice 3", "slice 3", "slice 3"),
        ("z 3", "slice 3", "z 3"),
        ("slice 4", "z 3", "slice 4"),
    ],
)
def test_a_frame_named_by_an_earlier_version_keeps_its_labels_and_learns_its_axes(bench, stored, named, kept):
    first = bench.place(replace(recorded(frame_of(frame(), ALL)), planes=stored))
    bench.answer(AnswerRecord(first.id, 0, 0, PIXELS[:, :8, :8], "class", 2, "ada", EVENTS))
    again = bench.place(replace(recorded(frame_of(frame(), ALL)), planes=named))
    assert (again.id, labels(bench)) == (first.id, {0: 2})
    assert [each.planes for each in bench.store.frames().values()] == [kept]


# settings


def test_new_settings_are_on_disk_when_they_are_in_use(bench, folder):
    bench.configure(rename_class(bench.project, 1, "loops"))
    assert bench.project == load_project(folder)
    assert bench.project.classes[0].name == "loops"


# one writer


def test_the_first_window_writes_and_the_second_reads_and_says_who_holds_it(bench, folder):
    answer(bench, 0)
    with Workbench(folder, "bob") as second:
        assert bench.holder is None
        assert second.holder.pid == os.getpid()
        assert labels(second) == {0: 1}
        answer(bench, 1)
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
    first = Workbench(folder, "ada")
    for index in (0, 2):
        answer(first, index)
    first.undo()
    (folder / "writer.lock").unlink()
    second = Workbench(folder, "bob") if is_taken else None
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
    with Workbench(folder, "ada") as again:
        answer(again, 1)
        assert labels(again) == before | {1: 1} | ({6: 1} if is_taken else {})


def test_settings_that_were_edited_by_hand_meanwhile_stay(bench, folder):
    bench.configure(rename_class(bench.project, 1, "loops"))
    path = folder / "project.toml"
    edited = path.read_text("utf-8").replace('"loops"', '"hoops"')
    path.write_text(edited, "utf-8")
    with pytest.raises(ProjectError, match=r"project\.toml was changed by another program .* Open the project again"):
        bench.configure(rename_class(bench.project, 2, "threads"))
    assert (path.read_text("utf-8"), bench.project.classes[1].name) == (edited, "fibres")
    answer(bench, 0)
    bench.close()
    with Workbench(folder, "ada") as again:
        again.configure(rename_class(again.project, 2, "threads"))
    assert [each.name for each in load_project(folder).classes] == ["hoops", "threads", "puncta"]


def test_what_a_killed_writer_left_goes_when_a_writer_opens_the_project_and_not_a_reader(bench, folder):
    leftovers = [folder / "project.toml.new", folder / "models" / "0001.safetensors.new"]
    for path in leftovers:
        path.write_text("half")
    with Workbench(folder, "bob"):
        assert all(path.exists() for path in leftovers)
    bench.close()
    with Workbench(folder, "ada"):
        assert not any(path.exists() for path in leftovers)


READERS_MAY_NOT = {
    "answer": lambda reader: answer(reader, 1),
    "undo": lambda reader: reader.undo(),
    "redo": lambda reader: reader.redo(),
    "configure": lambda reader: reader.configure(rename_class(reader.project, 1, "loops")),
}


@pytest.mark.parametrize("act", READERS_MAY_NOT.values(), ids=READERS_MAY_NOT)
def test_a_window_that_reads_refuses_to_write_and_names_the_holder(bench, folder, act):
    answer(bench, 0)
    answer(bench, 2)
    bench.undo()
    settings, rows = (folder / "project.toml").read_bytes(), bench.store.presentations()
    with Workbench(folder, "ada") as reader:
        holder = reader.holder
        with pytest.raises(ProjectError) as refused:
            act(reader)
        assert str(refused.value) == (
            f"'neurons' is open for reading only: {holder.user} on {holder.host} (process {os.getpid()}) since "
            f"{holder.since} writes to it. Close it there, then open it here again."
        )
    assert (folder / "project.toml").read_bytes() == settings
    assert bench.store.presentations() == rows


def test_a_window_that_reads_knows_the_frames_of_the_project_and_adds_none(bench, folder):
    placed = bench.place(recorded(frame_of(frame(), ALL)))
    with Workbench(folder, "bob") as reader:
        assert reader.place(recorded(frame_of(frame(source="renamed.tif"), ALL))) == placed
        assert reader.place(recorded(frame_of(frame(gain=2), ALL))).id == 0
        reader.note_arrivals([Arrival("a.tif", Stamp(1, 2), "ready")])
    assert len(bench.store.ranges()) == 1
    assert bench.store.arrivals() == []


def test_a_window_that_writes_keeps_what_arrived(bench):
    arrived = [Arrival("a.tif", Stamp(1, 2), "ready")]
    bench.note_arrivals(arrived)
    assert bench.store.arrivals() == arrived


def test_once_the_writer_is_closed_the_next_one_may_write(bench, folder):
    with Workbench(folder, "bob") as reader:
        bench.close()
        assert reader.holder is not None
    with Workbench(folder, "bob") as writer:
        assert writer.holder is None
        assert answer(writer, 0) == 1


def test_closing_a_window_that_reads_leaves_the_writers_lock(bench, folder):
    Workbench(folder, "bob").close()
    with Workbench(folder, "bob") as second:
        assert second.holder is not None


def test_a_project_held_by_another_process_is_for_reading_until_that_is_killed(folder):
    with another_process(folder) as other:
        assert other.held_by == "None"
        with Workbench(folder, "ada") as reader:
            assert reader.holder.pid == other.pid
            with pytest.raises(ProjectError, match=rf"\(process {other.pid}\) since .* writes to it"):
                answer(reader, 0)
        other.kill()
        other.wait()
        with Workbench(folder, "ada") as writer:
            assert writer.holder is None
            assert answer(writer, 0) == 1


def test_another_process_is_told_who_holds_the_project(bench, folder):
    with another_process(folder) as other:
        with Workbench(folder) as second:
            assert other.held_by == str(second.holder)
        assert f"(process {os.getpid()})" in other.held_by


def test_a_project_that_cannot_be_opened_is_not_held(folder):
    store = (folder / "labels.sqlite").read_bytes()
    (folder / "labels.sqlite").write_bytes(b"no store, whatever its name says" * 100)
    with pytest.raises(ProjectError, match="not a label store"):
        Workbench(folder)
    (folder / "labels.sqlite").write_bytes(store)
    with Workbench(folder) as bench:
        assert bench.holder is None


def test_a_folder_that_is_no_project_gets_no_lock(tmp_path):
    with pytest.raises(ProjectError, match="is no project"):
        Workbench(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_retired_and_a_merged_class_keep_their_labels(bench, folder):
    answer(bench, 0, class_id=2)
    answer(bench, 1, class_id=3)
    bench.configure(retire_class(merge_classes(bench.project, 2, 1), 3))
    bench.close()
    with Workbench(folder, "ada") as again:
        assert labels(again) == {0: 2, 1: 3}
        assert [again.project.class_of(stored).name for stored in (2, 3)] == ["rings", "puncta"]
        assert [again.project.class_index(stored) for stored in (2, 3)] == [0, None]
