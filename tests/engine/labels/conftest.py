"""What the tests of exports, imports and repairs share: projects made by a list of acts."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import strategies as st

from costal.labels.classes import merge_classes, new_class, rename_class, retire_class
from costal.labels.effort import Event, EventKind, PauseReason
from costal.labels.project import Tiling
from costal.labels.project_file import create_project, load_project, save_project
from costal.labels.records import AnswerRecord, FrameRecord, QueryReason
from costal.labels.store import Store
from costal.labels.tables import TABLES
from costal.types import Arrival, Stamp

S = 10**9
BEGUN = 1_700_000_000 * S
CROP = 8
FRAMES = (
    FrameRecord("a" * 64, "all", "/data/=cells 1.tif", 32, 40, 0.02, (1.5,), (250.0,)),
    FrameRecord("b" * 64, "z 3, t 0", "C:\\stacks\\b.tif", 32, 32, None, (0.1, -3.0), (1e-300, 2.0**53)),
    FrameRecord("c" * 64, "z 4, t 0", "C:\\stacks\\b.tif", 32, 32, None, (0.1, -3.0), (1e-300, 2.0**53)),
)


def pixels_at(frame, y, x):
    """Return the pixels of a crop, another picture at each place: uint16, or two channels of float."""
    rng = np.random.default_rng([frame, y, x])
    if frame == 0:
        return rng.integers(0, 2**16, (1, CROP, CROP), dtype=np.uint16)
    return rng.normal(size=(2, CROP, CROP)).astype(np.float32)


def events_of(active_s, end=EventKind.ANSWERED, pause_s=0.0):
    at = BEGUN
    events = [Event(EventKind.SHOWN, 7, at)]
    if pause_s:
        events.append(Event(EventKind.PAUSED, 7, at, PauseReason.FOCUS))
        at += round(pause_s * S)
        events.append(Event(EventKind.RESUMED, 7 + at - BEGUN, at, PauseReason.FOCUS))
    at += round(active_s * S)
    return (*events, Event(end, 7 + at - BEGUN, at))


NO_WHY = QueryReason()
ENDS = {"class": EventKind.ANSWERED, "skip": EventKind.SKIPPED, "exclude": EventKind.SKIPPED}


def answer_of(frame_id, y, x, kind="class", class_id=1, annotator="ada", active_s=2.0, why=NO_WHY, **more):
    """Return an answer for the crop of a frame, by its id from 1."""
    events = events_of(active_s, ENDS.get(kind, EventKind.ABANDONED), more.pop("pause_s", 0.0))
    pixels, class_id = pixels_at(frame_id - 1, y, x), class_id if kind == "class" else None
    return AnswerRecord(frame_id, y, x, pixels, kind, class_id, annotator, events, why=why, **more)


WHY = QueryReason(
    (1, 2, 3), (0.2, 0.7, 0.1), 0.5, 2.5, 0.3, 0.25, 1.0, 0.3, "bald", 50, 11, "ab" * 32, "napari-costal 0.1"
)
PLACES = st.tuples(st.integers(1, 3), st.sampled_from([0, 8, 16]), st.sampled_from([0, 8, 16]))
NAMES = st.sampled_from(["=1+1", "Fibres", "Ünïcode β", "con", "@x", "-1", "'", "rings, open", 'a "b"', "7"])
ACTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("answer"),
            PLACES,
            st.sampled_from(["class", "class", "skip", "exclude", "abandoned"]),
            st.sampled_from([1, 2, 3]),
            st.sampled_from(["ada", "+bob", ""]),
        ),
        st.tuples(st.sampled_from(["undo", "redo"]), st.integers(0, 5)),
        st.tuples(st.just("merge"), st.sampled_from([1, 2, 3]), st.sampled_from([1, 2, 3])),
        st.tuples(st.just("retire"), st.sampled_from([1, 2, 3])),
        st.tuples(st.just("rename"), st.sampled_from([1, 2, 3]), NAMES),
    ),
    max_size=15,
)


def make(folder, acts=()):
    """Return the project that these acts lead to; an act that cannot be, such as a second name, is passed over."""
    from costal.errors import ProjectError

    project = create_project(folder, ("rings", "fibres", "puncta"))
    save_project(replace(project, tiling=Tiling(CROP, CROP)))
    edits = {"merge": merge_classes, "retire": retire_class, "rename": rename_class, "new": new_class}
    given = []
    with Store(project.store_path) as store:
        for frame in FRAMES:
            store.add_frame(frame)
        for number, (act, *said) in enumerate(acts):
            try:
                if act == "answer":
                    (frame_id, y, x), kind, class_id, annotator = said
                    why = WHY if number % 2 else QueryReason()
                    label = store.answer(
                        answer_of(frame_id, y, x, kind, class_id, annotator, 1 + number, why, control=number % 3 == 0)
                    )
                    given += [label] * (label is not None)
                elif act == "undo" and given:
                    store.undo(given[-1 - said[0] % len(given)])
                elif act == "redo" and given:
                    given.append(store.redo(given[-1 - said[0] % len(given)]))
                elif act in edits:
                    save_project(edits[act](load_project(folder), *said))
            except ProjectError:
                continue
        store.note_arrivals([Arrival("sub/ä.tif", Stamp(5, 2**62 + 1), "broken", "cut short", "c" * 64)])
    return load_project(folder)


def all_rows(project):
    """Return every row of every table, as SQLite holds it."""
    with closing(sqlite3.connect(project.store_path)) as connection:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall() for table in TABLES}


@pytest.fixture(scope="session")
def acts():
    """Return the strategy of what may happen to a project."""
    return ACTS


@pytest.fixture(scope="session")
def make_project():
    return make


@pytest.fixture(scope="session")
def rows_of_store():
    return all_rows


@pytest.fixture(scope="session")
def answer():
    return answer_of


@pytest.fixture(scope="session")
def why():
    return WHY


@pytest.fixture(scope="session")
def pixels():
    return pixels_at


@pytest.fixture
def project(tmp_path):
    """Return a project with six crops: three classes, a merged one, a skip, an exclude; one undone, one given again."""
    acts = [
        ("answer", (1, 0, 0), "class", 1, "ada"),
        ("answer", (1, 0, 8), "class", 2, "+bob"),
        ("answer", (1, 8, 16), "skip", None, "ada"),
        ("answer", (2, 16, 8), "class", 3, "ada"),
        ("answer", (3, 16, 8), "class", 1, "ada"),
        ("answer", (2, 0, 0), "exclude", None, "ada"),
        ("answer", (2, 8, 8), "class", 2, "ada"),
        ("undo", 0),
        ("answer", (1, 0, 0), "class", 2, "ada"),
        ("merge", 3, 1),
        ("rename", 2, "=fibres"),
    ]
    return make(tmp_path / "neurons", acts)
