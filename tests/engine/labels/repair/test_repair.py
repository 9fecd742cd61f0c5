import json
import os
import sqlite3
import struct
from contextlib import closing
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from costal.errors import ProjectError
from costal.labels.effort import EventKind
from costal.labels.lock import ProjectLock
from costal.labels.migrations import MIGRATIONS, migrate
from costal.labels.models import save_agent
from costal.labels.project import LabelClass
from costal.labels.project_file import load_project, save_project
from costal.labels.records import FrameRecord
from costal.labels.repair.findings import examine
from costal.labels.repair.repair import repair
from costal.labels.repair.salvage import salvage
from costal.labels.store import Store
from costal.types import Agent, AgentSettings

NOW = datetime(2026, 3, 4, 5, 6, 7)
PAGE = 4096
BACKUP, KEPT = "neurons backup 2026-03-04 050607", "lost and found/2026-03-04 050607"


@pytest.fixture(autouse=True)
def small_tables(monkeypatch):
    """Look no further for rows than these tables can have them."""
    monkeypatch.setattr("costal.labels.repair.salvage.FAR", 3000)


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("writer.lock", "writer.json")
    }


def kinds_of(folder):
    return [(each.kind, each.where, each.mendable) for each in examine(folder)]


def edit(project, *statements):
    """Change a store behind its back, as damage does."""
    with closing(sqlite3.connect(project.store_path)) as connection:
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def save_model(project):
    agent = Agent(AgentSettings(2), (1, 8, 8), ({"weight": np.ones(3, np.float32)},), label_count=5)
    return save_agent(project.model_folder, agent).number


# what is found


def test_a_whole_project_has_nothing_to_find_or_to_mend(project):
    save_model(project)
    before = files_of(project.folder)
    assert examine(project.folder) == []
    assert repair(project.folder, NOW) == []
    assert files_of(project.folder) == before
    assert not project.folder.with_name(BACKUP).exists()


def test_a_folder_that_is_no_project_is_refused_and_left_alone(tmp_path):
    for look in (examine, lambda folder: repair(folder, NOW)):
        with pytest.raises(ProjectError, match="is not a project"):
            look(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE crop SET pixels = x'00' WHERE id = 2", "crop 2: its pixels are 1 bytes, not 128"),
        ("UPDATE crop SET dtype = 'quaternion' WHERE id = 1", "crop 1: it cannot be read"),
        ("UPDATE crop SET y = 'low' WHERE id = 1", "crop 1: y is 'low'"),
        ("UPDATE frame SET low = '[1' WHERE id = 1", "frame 1: it cannot be read"),
        ("UPDATE frame SET low = '[1, 2]' WHERE id = 1", "frame 1: its intensity range is [1, 2] to [250.0]"),
        ("UPDATE presentation SET why = 'because' WHERE id = 3", "presentation 3: it cannot be read"),
        ("UPDATE event SET kind = 'sneezed' WHERE id = 2", "presentation 1: 'sneezed' is not a valid EventKind"),
        ("UPDATE event SET reason = 'tea' WHERE id = 2", "presentation 1: 'tea' is not a valid PauseReason"),
        ("DELETE FROM event WHERE id = 1", "presentation 1: 'answered' came before the crop was shown"),
        ("DELETE FROM frame WHERE id = 1", "it is damaged: crop row 1 (and 2 more)"),
    ],
)
def test_a_row_that_cannot_be_is_named_and_mended(project, statement, what):
    edit(project, statement)
    (found, *_) = examine(project.folder)
    assert (found.kind, found.where, found.mendable) == ("store", "labels.sqlite", True)
    assert found.what.startswith(what)
    assert repair(project.folder, NOW)
    assert examine(project.folder) == []


@pytest.mark.parametrize(
    ("statement", "read"),
    [
        ("UPDATE frame SET low = '[1' WHERE id = 1", Store.ranges),
        ("UPDATE frame SET low = '[1' WHERE id = 1", Store.frames),
        ("UPDATE crop SET pixels = x'00' WHERE id = 2", Store.presented),
        ("UPDATE crop SET pixels = x'00'", lambda store: store.label_pixels([1])),
        ("UPDATE event SET kind = 'sneezed' WHERE id = 2", Store.presented),
        ("UPDATE presentation SET why = 'because' WHERE id = 3", Store.presentations),
    ],
)
def test_a_row_that_cannot_be_read_names_the_remedy(project, statement, read):
    edit(project, statement)
    with Store(project.store_path, read_only=True) as store, pytest.raises(ProjectError, match="costal project repair"):
        read(store)


def test_classes_that_labels_have_but_the_project_does_not_are_listed_again(project):
    save_project(replace(project, classes=tuple(each for each in project.classes if each.id == 1)))
    assert [str(each) for each in examine(project.folder)] == [
        "project.toml: class 2 is missing, but it is the class of 3 labels",
        "project.toml: class 3 is missing, but it is the class of 1 label",
    ]
    assert repair(project.folder, NOW)[1:] == [
        "Added the missing class 'class 2 (recovered)': rename it.",
        "Added the missing class 'class 3 (recovered)': rename it.",
    ]
    assert [(each.id, each.name, each.key) for each in load_project(project.folder).classes] == [
        (1, "rings", "1"),
        (2, "class 2 (recovered)", "2"),
        (3, "class 3 (recovered)", "3"),
    ]
    assert examine(project.folder) == []


def test_what_a_crash_left_behind_is_put_aside(project):
    (project.folder / "project.toml.new").write_text("half")
    (project.model_folder / "0001.safetensors.new").write_bytes(b"half")
    (project.folder / "labels.sqlite.new").mkdir()
    assert kinds_of(project.folder) == [
        ("leftover", "labels.sqlite.new", True),
        ("leftover", "models/0001.safetensors.new", True),
        ("leftover", "project.toml.new", True),
    ]
    assert len(repair(project.folder, NOW)) == 4
    assert examine(project.folder) == []
    kept = project.folder / KEPT
    assert (kept / "project.toml.new").read_text() == "half"
    assert (kept / "models" / "0001.safetensors.new").read_bytes() == b"half"


# models


def break_model(project, how):
    model = project.model_folder / "0002.safetensors"
    card = model.with_suffix(".json")
    if how == "no card":
        card.unlink()
    elif how == "no model":
        model.unlink()
    elif how == "no JSON":
        card.write_text("{")
    elif how == "another model":
        content = bytearray(model.read_bytes())
        content[-1] ^= 1
        model.write_bytes(content)
    else:
        model.write_bytes(b"PK" + model.read_bytes())


@pytest.mark.parametrize("how", ["no card", "no model", "no JSON", "another model", "no safetensors"])
def test_a_model_that_cannot_be_used_is_put_aside_and_the_others_stay(project, how):
    for _ in range(3):
        save_model(project)
    break_model(project, how)
    before = files_of(project.folder)
    kind = "leftover" if how == "no card" else "model"
    assert [(each.kind, each.mendable) for each in examine(project.folder)] == [(kind, True)]
    repair(project.folder, NOW)
    assert examine(project.folder) == []
    after = files_of(project.folder)
    assert {name.removeprefix(f"{KEPT}/"): content for name, content in after.items()} == before
    assert sorted(name for name in after if name.startswith("models/")) == [
        "models/0001.json", "models/0001.safetensors", "models/0003.json", "models/0003.safetensors"
    ]  # fmt: skip


def test_a_model_of_a_newer_version_is_left_where_it_is(project):
    save_model(project)
    card = project.model_folder / "0001.json"
    card.write_text(json.dumps(json.loads(card.read_text("utf-8")) | {"format": 99}), "utf-8")
    assert kinds_of(project.folder) == [("model", "models/0001.json", False)]
    assert repair(project.folder, NOW) == []
    assert card.exists()


# settings


def test_settings_that_were_deleted_are_made_anew_from_the_labels(project):
    (project.folder / "project.toml").unlink()
    assert kinds_of(project.folder) == [("settings", "project.toml", True)]
    assert repair(project.folder, NOW)[1] == "Rebuilt project.toml: check its settings."
    found = load_project(project.folder)
    assert (found.name, found.tiling.crop, found.tiling.stride) == ("neurons", 8, 8)
    assert [each.id for each in found.classes] == [1, 2, 3]
    assert examine(project.folder) == []


def test_damaged_settings_keep_every_section_that_can_still_be_read(project):
    path = project.folder / "project.toml"
    save_project(replace(project, idle_limit_s=7.5))
    text = path.read_text("utf-8")
    begun, ended = text.index("[agent]"), text.index("[[classes]]")
    assert ended > begun
    path.write_text(text[:begun] + "\0\0\0\0[agen" + text[begun + 20 :], "utf-8")
    assert kinds_of(project.folder) == [("settings", "project.toml", True)]
    repair(project.folder, NOW)
    found = load_project(project.folder)
    assert found == replace(project, idle_limit_s=7.5)
    assert examine(project.folder) == []


def test_settings_cut_short_keep_the_classes_that_are_there_and_number_the_others(project):
    path = project.folder / "project.toml"
    text = path.read_text("utf-8")
    last = text.rindex("[[classes]]")
    path.write_text(text[: last + 30], "utf-8")
    repair(project.folder, NOW)
    found = load_project(project.folder)
    assert found.classes[:2] == project.classes[:2]
    assert [each.name for each in found.classes[2:]] == ["class 3 (recovered)"]
    assert found.tiling == project.tiling


@pytest.mark.parametrize(
    "change", [("idle_limit_s = 20.0", "idle_limit_s = -1.0"), ("format = ", "format = 9"), ("[intake]", "[intakes]")]
)
def test_settings_that_are_merely_refused_are_for_their_author(project, change):
    path = project.folder / "project.toml"
    assert change[0] in path.read_text("utf-8")
    path.write_text(path.read_text("utf-8").replace(*change), "utf-8")
    before = path.read_bytes()
    assert kinds_of(project.folder) == [("settings", "project.toml", False)]
    assert repair(project.folder, NOW) == []
    assert path.read_bytes() == before


# a damaged store


@pytest.fixture
def long_project(make_project, tmp_path, answer):
    """Return a project with 400 labels in 8 frames: a store of some 70 pages."""
    project = make_project(tmp_path / "neurons")
    with Store(project.store_path) as store, store.together():
        for number in range(8):
            record = FrameRecord(f"{number:064x}", "all", f"{number}.tif", 512, 512, None, (1.0,), (2.0,))
            frame = store.add_frame(record)
            for at in range(50):
                record = answer(1, 8 * at, 0, "class", 1 + at % 3, active_s=1 + at)
                store.answer(replace(record, frame_id=frame))
    return project


def pages_of(path, name):
    """Return the page numbers that SQLite keeps a table's rows on, from 0, read from the file itself."""
    content = path.read_bytes()
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    pending, leaves = [root], []
    while pending:
        number = pending.pop()
        at = (number - 1) * PAGE
        kind, _, cells = struct.unpack(">BHH", content[at : at + 5])
        if kind == 13:
            leaves.append(number - 1)
        else:
            offsets = struct.unpack(f">{cells}H", content[at + 12 : at + 12 + 2 * cells])
            pending += [struct.unpack(">I", content[at + offset : at + offset + 4])[0] for offset in offsets]
            pending.append(struct.unpack(">I", content[at + 8 : at + 12])[0])
    return sorted(leaves)


def overwrite(path, page, content):
    with path.open("rb+") as file:
        file.seek(page * PAGE)
        file.write(content)


def seen_labels(project):
    with Store(project.store_path, read_only=True) as store:
        return {(label.frame_id, label.y, label.x): label.class_id for label in store.labels()}


def seen(project):
    """Return the current labels by place, and each presentation's effort events by its id."""
    with Store(project.store_path, read_only=True) as store:
        return seen_labels(project), {row.presentation_id: row.events for row in store.presentations()}


@pytest.mark.parametrize("garbage", [b"\0" * PAGE, b"\xff" * PAGE], ids=["zeros", "ones"])
@pytest.mark.parametrize("table", ["crop", "presentation", "event", "label"])
def test_a_bad_page_costs_its_own_rows_and_no_others(long_project, table, garbage):
    project = long_project
    labels, events = seen(project)
    leaves = pages_of(project.store_path, table)
    assert len(leaves) > 2
    overwrite(project.store_path, leaves[len(leaves) // 2], garbage)
    damaged = files_of(project.folder)
    assert kinds_of(project.folder) == [("store", "labels.sqlite", True)]
    said = repair(project.folder, NOW)
    assert examine(project.folder) == []
    assert files_of(project.folder.with_name(BACKUP)) == damaged
    assert "Rows lost: none" not in said[1]
    after, after_events = seen(project)
    assert after.items() <= labels.items()
    lost = len(labels) - len(after)
    assert lost < 140 if table in ("crop", "label") else lost == 0
    # an effort is whole or gone: none is made shorter
    assert all(each in ((), events[number]) for number, each in after_events.items())
    if table in ("event", "presentation"):
        assert 0 < sum(each == () for each in after_events.values()) < 250


def test_a_lost_frame_is_stood_in_for_so_that_its_labels_stay(long_project):
    project = long_project
    labels, _ = seen(project)
    (leaf,) = pages_of(project.store_path, "frame")
    overwrite(project.store_path, leaf, b"\0" * PAGE)
    repair(project.folder, NOW)
    assert examine(project.folder) == []
    assert seen(project)[0] == labels
    with Store(project.store_path) as store:
        frames = store.frames()
        assert {frame.source for frame in frames.values()} == {f"recovered frame {at}" for at in range(4, 12)}
        assert {(frame.height, frame.width) for frame in frames.values()} == {(400, 8)}
        assert all(0 <= frame.low_C[0] < frame.high_C[0] <= 2**16 for frame in frames.values())


@pytest.mark.parametrize("share", [0.999, 0.9, 0.7])
def test_a_store_that_was_cut_short_keeps_what_is_left(long_project, share):
    project = long_project
    labels, events = seen(project)
    size = project.store_path.stat().st_size
    os.truncate(project.store_path, int(size * share))
    assert examine(project.folder)
    repair(project.folder, NOW)
    assert examine(project.folder) == []
    after, after_events = seen(project)
    assert len(labels) * (share - 0.2) < len(after) <= len(labels)
    assert len(after) < len(labels) or share > 0.99  # the last page may hold labels
    assert after.items() <= labels.items()
    assert all(each in ((), events[number]) for number, each in after_events.items())


def test_undo_and_redo_survive_a_rescue(project, rows_of_store, tmp_path):
    with Store(project.store_path) as store:
        label = store.history("ada").done[-1]
        store.undo(label)
        store.redo(label)
        store.undo(store.history("+bob").done[-1])
    result = salvage(project.store_path, tmp_path / "new.sqlite")
    assert set(result.lost.values()) == {0}
    assert result.notes == ()
    (tmp_path / "copy").mkdir()
    rescued = replace(project, folder=tmp_path / "copy")
    (tmp_path / "new.sqlite").rename(rescued.store_path)
    assert rows_of_store(rescued) == rows_of_store(project)


@pytest.mark.parametrize("content", [b"x" * 8192, b""], ids=["no database", "empty"])
def test_a_store_of_which_nothing_is_left_is_not_begun_anew(project, content):
    project.store_path.write_bytes(content)
    assert kinds_of(project.folder) == [("store", "labels.sqlite", False)]
    assert repair(project.folder, NOW) == []
    assert project.store_path.read_bytes() == content


def test_a_store_without_a_readable_label_is_left_for_a_backup(project):
    content = project.store_path.read_bytes()
    project.store_path.write_bytes(content[:PAGE] + b"\xff" * (len(content) - PAGE))
    before = project.store_path.read_bytes()
    with pytest.raises(ProjectError, match=r"No label in .* can be read\. Restore labels.sqlite from a backup"):
        repair(project.folder, NOW)
    assert project.store_path.read_bytes() == before
    assert ProjectLock(project.folder).acquire() is None


@pytest.fixture
def older_project(project):
    """Return a project whose store has had the first migration alone, with 300 frames."""
    project.store_path.unlink()
    with closing(sqlite3.connect(project.store_path, isolation_level=None)) as connection:
        migrate(connection, project.store_path, MIGRATIONS[:1])
        connection.execute("BEGIN")
        for at in range(1, 301):
            frame = (at, f"{at:064x}", "all", "a.tif", 8, 8, "[0.0]", "[1.0]", 0)
            connection.execute(
                "INSERT INTO frame (id, content_hash, planes, source, height, width, low, high, utc_ns) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                frame,
            )
            connection.execute("INSERT INTO crop VALUES (?, ?, 0, 0, 8, '|u1', 1, ?)", (at, at, bytes(64)))
            connection.execute("INSERT INTO presentation VALUES (?, ?, 'ada', 0, 1, 0, NULL, NULL, NULL, 0)", (at, at))
            connection.execute("INSERT INTO label VALUES (?, ?, ?, 'class', 1, NULL, 0)", (at, at, at))
        connection.execute("COMMIT")
    return project


def test_a_store_of_an_older_version_is_whole(older_project):
    assert examine(older_project.folder) == []
    assert repair(older_project.folder, NOW) == []


def test_a_damaged_store_of_an_older_version_is_mended_and_brought_up_to_date(older_project):
    project = older_project
    overwrite(project.store_path, pages_of(project.store_path, "label")[1], b"\0" * PAGE)
    assert kinds_of(project.folder) == [("store", "labels.sqlite", True)]
    repair(project.folder, NOW)
    assert examine(project.folder) == []
    assert 50 < len(seen(project)[0]) < 300


def test_text_that_is_no_text_costs_its_row(project):
    edit(project, "UPDATE presentation SET annotator = CAST(x'ff' AS TEXT) WHERE id = 2")
    assert kinds_of(project.folder) == [("store", "labels.sqlite", True)]
    before = seen_labels(project)
    repair(project.folder, NOW)
    assert examine(project.folder) == []
    assert seen_labels(project) == before


def test_a_store_of_a_newer_version_is_left_alone(project):
    edit(project, "PRAGMA user_version = 99")
    assert kinds_of(project.folder) == [("store", "labels.sqlite", False)]
    assert repair(project.folder, NOW) == []


def test_a_journal_of_the_damaged_store_does_not_reach_the_new_one(long_project, monkeypatch):
    project = long_project
    overwrite(project.store_path, pages_of(project.store_path, "label")[1], b"\0" * PAGE)
    monkeypatch.setattr("costal.labels.store._roll_back", lambda path: None)
    journal = project.folder / "labels.sqlite-journal"
    journal.write_bytes(b"\0" * 512)  # SQLite takes a zeroed journal for none, and leaves it
    repair(project.folder, NOW)
    assert not journal.exists()
    assert (project.folder / KEPT / journal.name).exists()
    assert examine(project.folder) == []


# around it


def test_a_project_in_use_is_not_repaired(project):
    (project.folder / "project.toml.new").write_text("half")
    lock = ProjectLock(project.folder)
    lock.acquire()
    try:
        with pytest.raises(ProjectError, match="is in use"):
            repair(project.folder, NOW)
    finally:
        lock.release()
    assert (project.folder / "project.toml.new").exists()


def test_without_room_for_a_copy_nothing_is_touched(project, monkeypatch):
    (project.folder / "project.toml.new").write_text("half")
    before = files_of(project.folder)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("costal.labels.repair.repair.shutil.copytree", full)
    with pytest.raises(ProjectError, match=r"cannot be repaired: No space left on device\. Free some space"):
        repair(project.folder, NOW)
    assert files_of(project.folder) == before
    assert [each.name for each in project.folder.parent.iterdir()] == ["neurons"]


def test_an_earlier_copy_is_never_written_over(project):
    for _ in range(2):
        (project.folder / "project.toml.new").write_text("half")
        if project.folder.with_name(BACKUP).exists():
            with pytest.raises(ProjectError, match="exists already"):
                repair(project.folder, NOW)
        else:
            repair(project.folder, NOW)


def test_everything_at_once_is_mended_in_one_go(long_project):
    project = long_project
    labels, _ = seen(project)
    save_model(project)
    (project.model_folder / "0007.safetensors").write_bytes(b"orphan")
    (project.folder / "project.toml").write_bytes(b"\xff\xfe\0\0")
    overwrite(project.store_path, pages_of(project.store_path, "label")[1], b"\0" * PAGE)
    with Store(project.store_path, read_only=True) as store, pytest.raises(ProjectError, match="malformed"):
        store.labels()
    repair(project.folder, NOW)
    assert examine(project.folder) == []
    after, _ = seen(project)
    assert 250 < len(after) < len(labels)
    assert load_project(project.folder).classes[0] == LabelClass(1, "class 1 (recovered)", "1", "#4477aa")


def test_an_effort_that_lost_an_event_in_its_middle_is_not_made_longer(project, answer):
    with Store(project.store_path) as store:
        store.answer(answer(1, 16, 16, active_s=2, pause_s=9))
        before = store.presentations()
    (paused,) = (each for each in before if any(event.kind is EventKind.PAUSED for event in each.events))
    edit(project, "DELETE FROM event WHERE kind = 'paused'", "UPDATE presentation SET why = '' WHERE id = 1")
    repair(project.folder, NOW)
    after = seen(project)[1]
    assert after == {each.presentation_id: each.events for each in before} | {paused.presentation_id: ()}
