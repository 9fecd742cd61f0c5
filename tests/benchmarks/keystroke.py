"""What a keystroke costs when a project has 100,000 labels: from the key to the next crop painted, and to the disk.

Run ``xvfb-run -a -s "-screen 0 1500x1000x24" python -m tests.benchmarks.keystroke``: prints JSON and keeps it as
``resources/benchmarks/keystroke.json``. Keys are real ones of the X server, in a real window.
"""

import argparse
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from costal.frames.grid import tile
from costal.frames.read import Planes, frame_from_array
from costal.labels.effort import Event, EventKind
from costal.labels.project import Project
from costal.labels.project_file import create_project, load_project, save_project
from costal.labels.records import AnswerRecord
from costal.scoring.frame_planes import frame_of
from costal.types import Frame
from costal.workbench.session import ProjectSession, recorded
from napari_costal.label_crops.class_table import LABELS
from napari_costal.label_crops.widget import LabelCrops
from napari_costal.ui.preferences import Preferences
from tests.benchmarks.stalls import kept, machine, spread
from tests.faults.day import Hands

ALL = Planes(None, None, None)

SIDE, CROP, FRAMES, CLASSES = 72, 32, 31, 4
IN_THE_OPEN_FRAME, OTHER_NUMBERS = 4000, 3200
COMMITS, ANSWERS, TAKEN_BACK, OPENINGS = 100, 100, 20, 5
ANNOTATOR, PATIENCE_S, LOOK_S = "expert", 60.0, 0.2
EVENTS = (("shown", 0), ("activity", 400), ("answered", 900))


def large_project(folder: Path, labels: int) -> tuple[Project, Frame]:
    """Return a project with so many labels, inserted all at once, and the frame of which thousands have one."""
    project = create_project(folder, tuple(f"class {number}" for number in range(1, CLASSES + 1)))
    tiling, choices = replace(project.tiling, crop=CROP, stride=CROP), replace(project.choices, n=2 * ANSWERS)
    save_project(replace(project, tiling=tiling, choices=choices))
    rng, grid = np.random.default_rng(0), tile((SIDE * CROP, SIDE * CROP), CROP)
    opened, left = None, labels
    for number in range(FRAMES):
        plane = rng.integers(0, 4000, (1, SIDE * CROP, SIDE * CROP), dtype=np.uint16)
        frame = frame_from_array(plane, "CYX", None, f"layer:frame {number}")
        opened = opened or frame
        with ProjectSession(folder, ANNOTATOR) as bench:
            frame_id = bench.place(recorded(frame_of(frame, ALL))).id
        count = min(IN_THE_OPEN_FRAME if number == 0 else OTHER_NUMBERS, left)
        insert_labels(project.store_path, frame_id, plane, grid.origin, labels - left, count)
        left -= count
    if left or opened is None:
        raise SystemExit(f"{left} labels found no place.")
    return load_project(folder), opened


def insert_labels(
    store: Path, frame_id: int, plane: np.ndarray, origin: Callable[[int], tuple[int, int]], before: int, count: int
) -> None:
    """Add `count` labelled crops of a frame, each presented with its events, in one transaction."""
    now = time.time_ns()
    crops, presentations, events, labels = [], [], [], []
    for index in range(count):
        row = before + index + 1
        y, x = origin(index)
        pixels = np.ascontiguousarray(plane[:, y : y + CROP, x : x + CROP]).astype("<u2").tobytes()
        crops.append((row, frame_id, y, x, CROP, "<u2", 1, pixels))
        presentations.append((row, row, ANNOTATOR, 0, index + 1, 0, now))
        events += [(row, kind, row * 10**9 + ms * 10**6, now + ms * 10**6) for kind, ms in EVENTS]
        labels.append((row, row, row, "class", 1 + row % CLASSES, now))
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.executemany(
            "INSERT INTO crop (id, frame_id, y, x, side, dtype, channels, pixels) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            crops,
        )
        connection.executemany(
            """INSERT INTO presentation (id, crop_id, annotator, generation, rank, prediction_shown, utc_ns)
            VALUES (?, ?, ?, ?, ?, ?, ?)""",
            presentations,
        )
        connection.executemany("INSERT INTO event (presentation_id, kind, perf_ns, utc_ns) VALUES (?, ?, ?, ?)", events)
        connection.executemany(
            "INSERT INTO label (id, crop_id, presentation_id, kind, class_id, utc_ns) VALUES (?, ?, ?, ?, ?, ?)", labels
        )


def without_a_window(project: Project, frame: Frame) -> dict[str, Any]:
    """Return how long opening, reading and committing take, in milliseconds."""
    opening, counting, reading, commits = [], [], [], []
    for _ in range(OPENINGS):
        began = time.perf_counter()
        with ProjectSession(project.folder, ANNOTATOR) as bench:
            opening.append(ms_since(began))
            began = time.perf_counter()
            bench.store.label_counts()
            counting.append(ms_since(began))
            began = time.perf_counter()
            frame_id = bench.place(recorded(frame_of(frame, ALL))).id
            bench.store.labels(frame_id)
            reading.append(ms_since(began))
    grid = tile(frame.pixels.shape[1:], CROP)
    with ProjectSession(project.folder, ANNOTATOR) as bench:
        for index in range(IN_THE_OPEN_FRAME, IN_THE_OPEN_FRAME + COMMITS):
            y, x = grid.origin(index)
            events = tuple(Event(EventKind(kind), ms * 10**6, ms * 10**6) for kind, ms in EVENTS)
            pixels = frame.pixels[:, y : y + CROP, x : x + CROP]
            answer = AnswerRecord(frame_id, y, x, pixels, "class", 1, ANNOTATOR, events)
            began = time.perf_counter()
            bench.answer(answer)
            commits.append(ms_since(began))
    return {
        "opening": spread(opening),
        "counting by class": spread(counting),
        "reading the frame's labels": spread(reading),
        "commit": spread(commits),
    }


def ms_since(began: float) -> float:
    """Return the milliseconds since a moment of the monotonic clock."""
    return (time.perf_counter() - began) * 1e3


class Typist(threading.Thread):
    """Presses keys and measures from each to the paint of the crop that follows, for redo to the label, in ms."""

    def __init__(self, dock: LabelCrops, window: int, keys: dict[str, str]) -> None:
        super().__init__(name="typist", daemon=True)
        self._dock, self._window, self._keys = dock, window, keys
        self.took_ms: dict[str, list[float]] = {"answer": [], "undo": [], "redo": []}
        self.error = ""

    def run(self) -> None:
        try:
            self._hands = Hands()
            self._hands.focus(self._window)
            for number in range(ANSWERS):
                self._press(str(1 + number % CLASSES), "answer")
            for _ in range(TAKEN_BACK):
                self._press(self._keys["undo"], "undo")
            for _ in range(TAKEN_BACK):
                self._redo()
        except Exception as error:  # what a thread dies of must reach the report
            self.error = repr(error)

    def _press(self, key: str, act: str) -> None:
        before = self._shown()
        time.sleep(LOOK_S)
        began_ns = time.perf_counter_ns()
        self._hands.press(key)
        after = self._shown(unlike=before)
        self.took_ms[act].append((after.state.shown_ns - began_ns) / 1e6)

    def _redo(self) -> None:
        """Press redo and wait until the label stands again: the crop being labelled need not be another one then."""
        before = len(self._dock.frame.labels)
        time.sleep(LOOK_S)
        began_ns = time.perf_counter_ns()
        self._hands.press(self._keys["redo"])
        end = time.monotonic() + PATIENCE_S
        while len(self._dock.frame.labels) == before:
            if time.monotonic() > end:
                raise TimeoutError(f"nothing was redone: {self._dock.labelling_page._message.text()}")
            time.sleep(0.001)
        self.took_ms["redo"].append((time.perf_counter_ns() - began_ns) / 1e6)

    def _shown(self, unlike: Any = None) -> Any:
        """Return the presentation on the bench once it is painted."""
        end = time.monotonic() + PATIENCE_S
        while (now := self._dock.labelling.current) is None or now is unlike or not now.is_shown:
            if time.monotonic() > end:
                raise TimeoutError(
                    f"no crop was painted: {self._dock.status.text()} {self._dock.labelling_page._message.text()}"
                )
            time.sleep(0.001)
        return now


def in_a_window(project: Project, frame: Frame, labels: int) -> dict[str, Any]:
    """Return how long opening in the dock takes, and from keys to the paint of the next crop, in milliseconds."""
    viewer = napari.Viewer(show=True)
    window = viewer.window._qt_window
    window.setGeometry(0, 0, 1500, 1000)
    chosen = Preferences(ANNOTATOR, project.folder.parent, "cpu", recent_file=project.folder.parent / "recent")
    dock = LabelCrops(viewer, chosen)
    viewer.window.add_dock_widget(dock, name="Label crops")
    wait(lambda: False, 2)
    began = time.perf_counter()
    dock.session.open(project.folder)
    wait(lambda: counted(dock) == labels, PATIENCE_S)
    opened_ms = ms_since(began)
    began = time.perf_counter()
    viewer.add_image(frame.pixels[0], name="frame 0")
    wait(lambda: dock.frame.loaded is not None, PATIENCE_S)
    placed_ms = ms_since(began)
    wait(lambda: False, 3)
    dock.labelling.label_query()
    wait(lambda: (now := dock.labelling.current) is not None and now.is_shown, PATIENCE_S)
    typist = Typist(dock, int(window.winId()), dict(chosen.keys))
    typist.start()
    timer = QTimer(interval=20)
    timer.timeout.connect(lambda: None if typist.is_alive() else QApplication.instance().quit())
    timer.start()
    QApplication.instance().exec()  # quitting closes the window too
    timer.stop()
    drawn = len(dock.frame.labels)
    return {
        "error": typist.error,
        "opening in the dock": round(opened_ms, 1),
        "placing the frame": round(placed_ms, 1),
        "labels in the open frame": drawn,
        "key to next crop painted, redo to the label": {
            act: spread(each) for act, each in typist.took_ms.items() if each
        },
    }


def counted(dock: LabelCrops) -> int:
    """Return the sum of the class table's counts."""
    table = dock.setup.classes.table
    cells = (table.item(row, LABELS) for row in range(table.rowCount()))
    return sum(int(cell.text() or 0) for cell in cells if cell is not None)


def wait(condition: Callable[[], bool], seconds: float) -> None:
    """Let the window work until a condition holds, or for these seconds."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.001)


def main() -> None:
    """Make the project, measure, and report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--labels", type=int, default=100_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project, frame = large_project(Path(folder) / "project", asked.labels)
        size_mb = round(project.store_path.stat().st_size / 1e6)
        headless = without_a_window(project, frame)
        shown = in_a_window(project, frame, asked.labels + COMMITS)
    figures = {"machine": machine(), "labels": asked.labels, "store_MB": size_mb, "ms": {"headless": headless} | shown}
    print(kept("keystroke", figures))


if __name__ == "__main__":
    main()
