"""A day at the microscope, scripted: a window, a watched folder, and an expert who presses real keys of the X server.

Run ``python day.py PROJECT ACKNOWLEDGED.jsonl REPORT.json --crops 200 --seed 0`` under Xvfb. Each label is written to
the first file as soon as the screen has moved on, so that whoever kills this process knows what was acknowledged. The
report holds, for each crop, the scripted effort, and how late a 10 ms heartbeat of the GUI thread was.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TextIO

import napari
import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPoint, QTimer
from qtpy.QtWidgets import QApplication, QWidget
from superqt.utils import ensure_main_thread
from vispy.scene import SceneCanvas
from Xlib import XK, X, display
from Xlib.ext import xtest

from costal.frames.microscope import number_of, truth_of
from costal.labels.project import Project
from costal.labels.project_file import create_project, load_project, save_project
from napari_costal.label_crops.widget import LabelCrops
from napari_costal.labelling.presentation import Presentation
from napari_costal.ui.preferences import Preferences

SHAPE, CROP, IDLE_LIMIT_S = (192, 192), 32, 1.0
IDLE_EVERY, AWAY_EVERY, AWAY_S = 20, 25, 1.0
BEAT_MS, POLL_S, PATIENCE_S = 10, 0.002, 60.0


def project_for_a_day(folder: Path) -> tuple[Project, Path]:
    """Return a project that watches a folder of its own, and that folder."""
    inbox = folder / "inbox"
    inbox.mkdir()
    project = create_project(folder / "project", ("background", "puncta", "fibres", "rings"))
    tiling = replace(project.tiling, crop=CROP, stride=CROP)
    intake = replace(project.intake, folder=str(inbox))
    save_project(replace(project, tiling=tiling, intake=intake, idle_limit_s=IDLE_LIMIT_S))
    return load_project(project.folder), inbox


@contextmanager
def microscope(inbox: Path, frames: int, every: float, seed: int = 0) -> Iterator[None]:
    """Let a simulated microscope write into a folder meanwhile."""
    asked = ["--frames", frames, "--every", every, "--seed", seed, "--shape", SHAPE[0], "--crop", CROP, "--planes", 1]
    command = [sys.executable, "-m", "costal.cli", "microscope", inbox, *asked]
    process = subprocess.Popen([str(each) for each in command], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


@cache
def truth(seed: int, number: int) -> NDArray[np.intp]:
    """Return the class of every crop of a frame, simulated once: that takes the time of a keystroke."""
    return truth_of(seed, number, SHAPE, CROP).classes_N


@dataclass(frozen=True)
class Scripted:
    """What the expert did with one crop: how long it looked before it pressed the key, and what came in between."""

    label_id: int
    frame: str
    index: int
    class_id: int
    looked_s: float
    interruption: str


class Pulse:
    """How late each beat of the GUI thread came, by phase; how long that thread was at work meanwhile, and drew.

    For the rest of a late beat it waited: for a core, for Python's lock, or for the renderer's threads.
    """

    def __init__(self, phase: Callable[[], str]) -> None:
        self._phase = phase
        self.beats: dict[str, list[tuple[float, float, float]]] = {}
        self._drawn_s = 0.0
        self._last = self._now()
        draw = SceneCanvas.on_draw

        def timed_draw(canvas: SceneCanvas, event: Any) -> None:
            began = time.perf_counter()
            draw(canvas, event)
            self._drawn_s += time.perf_counter() - began

        SceneCanvas.on_draw = timed_draw

    def _now(self) -> tuple[str, float, float, float]:
        return self._phase(), time.perf_counter(), time.thread_time(), self._drawn_s

    def beat(self) -> bool:
        """Note a beat (late, at work, drawing; ms) in the later of the phases at its ends; return if they differ."""
        (was, *before), (is_now, *now) = self._last, self._now()
        took, worked, drawn = ((after - then) * 1e3 for then, after in zip(before, now, strict=True))
        self.beats.setdefault(max(was, is_now), []).append((max(0.0, took - BEAT_MS), worked, drawn))
        self._last = is_now, *now
        return was != is_now


class Hands:
    """Keyboard and mouse, through the X server."""

    def __init__(self) -> None:
        self._display = display.Display()
        root = self._display.screen().root
        self._elsewhere = root.create_window(0, 0, 1, 1, 0, self._display.screen().root_depth)
        self._elsewhere.map()
        self._display.sync()

    def focus(self, window: int | None) -> None:
        there = self._display.create_resource_object("window", window) if window is not None else self._elsewhere
        there.set_input_focus(X.RevertToParent, X.CurrentTime)
        self._display.sync()

    def press(self, key: str) -> None:
        code = self._display.keysym_to_keycode(XK.string_to_keysym(key))
        for kind in (X.KeyPress, X.KeyRelease):
            xtest.fake_input(self._display, kind, code)
        self._display.sync()

    def move(self, x: int, y: int) -> None:
        xtest.fake_input(self._display, X.MotionNotify, x=x, y=y)
        self._display.sync()

    def click(self, spot: QPoint) -> None:
        self.move(spot.x(), spot.y())
        for kind in (X.ButtonPress, X.ButtonRelease):
            xtest.fake_input(self._display, kind, 1)
        self._display.sync()


@ensure_main_thread(await_return=True)
def spot_of(dock: LabelCrops, widget: QWidget) -> QPoint:
    """Bring the tab of a widget to the front and return where the widget is on the screen."""
    for tab in (dock.setup.project_tab, dock.setup.frames_tab, dock.setup.label_tab):
        if tab.isAncestorOf(widget):
            dock.setup.show_tab(tab)
            QApplication.processEvents()
    return widget.mapToGlobal(widget.rect().center())


class Expert(threading.Thread):
    """Labels crops until it has done its share; everything it does goes through the X server."""

    def __init__(self, dock: LabelCrops, window: int, asked: argparse.Namespace, acknowledged: TextIO) -> None:
        super().__init__(name="scripted expert", daemon=True)
        self._dock, self._window, self._file = dock, window, acknowledged
        self._crops, self._seed, self._look_round_s = asked.crops, asked.seed, asked.look_round
        self._rng = random.Random(asked.seed)
        self.done: list[Scripted] = []
        self.error = ""
        self.has_begun = False

    def run(self) -> None:
        try:
            self._hands = Hands()
            self._hands.focus(self._window)
            while len(self.done) < self._crops:
                self._ask_for_more() if self._is_bench_empty() else self._label_one()
        except Exception as error:  # what a thread dies of must reach the report
            self.error = repr(error)

    def _is_bench_empty(self) -> bool:
        """Return whether nothing is asked, and not just between two crops."""
        since = time.monotonic()
        while self._dock.labelling.current is None:
            if time.monotonic() > since + 0.5:
                return True
            time.sleep(POLL_S)
        return False

    def _ask_for_more(self) -> None:
        """Open a frame when none is open or it has no crop left, else ask for the next query."""
        dock = self._dock
        frame, model = dock.frame, dock.setup.arrivals.model
        is_over = frame.loaded is None or len(frame.labels) >= len(frame.grid) - 10
        if is_over:
            self._until(lambda: dock.intake.best() is not None, "no frame has arrived")
            before = frame.loaded
            self._hands.click(spot_of(dock, dock.setup.arrivals.next_button))
            self._until(lambda: frame.loaded is not None and frame.loaded is not before, f"{model.rows[:2]}")
            time.sleep(self._look_round_s)
        self._hands.click(spot_of(dock, dock.setup.label_button))
        self._until(lambda: dock.labelling.current is not None, f"no crop came: {dock.status.text()}")

    def _label_one(self) -> None:
        dock, number = self._dock, len(self.done) + 1
        self._until(lambda: dock.labelling.current is None or dock.labelling.current.is_shown, "never painted")
        now = dock.labelling.current
        if now is None:
            return
        self.has_begun = True
        frame = dock.frame.layer_view.source
        class_id = 1 + int(truth(self._seed, number_of(Path(frame)))[now.index])
        wanted_s, interruption, away_s = self._rng.uniform(0.2, 0.4), "", 0.0
        if number % IDLE_EVERY == 0:
            interruption = "idle"
            self._fall_asleep(now)
        elif number % AWAY_EVERY == 0:
            interruption = "focus"
            away_s = self._look_away(now.state.shown_ns, wanted_s)
        else:
            self._wait_until(now.state.shown_ns, wanted_s)
        looked_s = (time.perf_counter_ns() - now.state.shown_ns) / 1e9 - away_s
        self._hands.press(str(class_id))
        labels = dock.frame.labels
        self._until(lambda: now.index in labels and dock.labelling.current is not now, "the answer was not taken")
        done = Scripted(labels[now.index].label_id, frame, now.index, class_id, looked_s, interruption)
        self._file.write(json.dumps(asdict(done)) + "\n")
        self._file.flush()
        self.done.append(done)

    def _fall_asleep(self, now: Presentation) -> None:
        """Do nothing for longer than the idle limit, then uncover the crop by a class key and look again."""
        self._until(lambda: now.is_paused, "it was not noticed that nothing happened")
        self._hands.press("1")
        self._until(lambda: not now.is_paused, "a key did not uncover the crop")
        time.sleep(0.5)

    def _look_away(self, shown_ns: int, wanted_s: float) -> float:
        """Look for half of the time, work in another window, come back and look on; return how long that took."""
        self._wait_until(shown_ns, wanted_s / 2)
        left = time.perf_counter()
        self._hands.focus(None)
        time.sleep(AWAY_S)
        self._hands.focus(self._window)
        away_s = time.perf_counter() - left
        time.sleep(wanted_s / 2)
        return away_s

    def _wait_until(self, shown_ns: int, seconds: float) -> None:
        while time.perf_counter_ns() < shown_ns + seconds * 1e9:
            time.sleep(POLL_S / 2)

    def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"{otherwise}. {self._situation()}")
            time.sleep(POLL_S)

    def _situation(self) -> str:
        """Return what can be said of the window when the expert waits in vain."""
        dock, now = self._dock, self._dock.labelling.current
        focused, bench = QApplication.focusWidget(), dock.labelling_page
        crop = f"{now.state.phase}, paused by {sorted(now.state.pauses)}, {now.events[-3:]}" if now else "none"
        busy = [name for name in ("_saving", "_waiting", "_query_size") if getattr(dock.labelling, name)]
        seen = f"shown {bench.crop_view.isVisible()}, focus {focused}, {QApplication.applicationState()}"
        return f"Status: {dock.status.text()!r}; bench: {bench._message.text()!r}; crop: {crop}; {busy}; {seen}"


def phase_of(dock: LabelCrops, expert: Expert) -> str:
    """Return what goes on; the name that is last in the alphabet is most wanted to be smooth."""
    if not expert.has_begun:
        return "before the first crop"
    is_busy = dock.query.is_busy or dock.intake._caller.is_busy
    return "training and scoring" if is_busy else "labelling alone"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("project", type=Path)
    parser.add_argument("acknowledged", type=Path)
    parser.add_argument("report", type=Path)
    parser.add_argument("--crops", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--frames", type=int, default=10, help="how many the microscope writes: their truth is prepared"
    )
    parser.add_argument("--look-round", type=float, default=2.0, help="seconds that the expert looks over a new frame")
    asked = parser.parse_args()
    for number in range(asked.frames):
        truth(asked.seed, number)
    viewer = napari.Viewer(show=True)
    window = viewer.window._qt_window
    window.setGeometry(0, 0, 1500, 1000)
    dock = LabelCrops(viewer, Preferences("expert", asked.project.parent, "cpu", recent_file=asked.project / "recent"))
    viewer.window.add_dock_widget(dock, name="Label crops")
    dock.setup.keeps_going.value = True
    dock.session.open(asked.project)

    def beat() -> None:
        if pulse.beat():
            asked.report.with_suffix(".phase").write_text(phase_of(dock, expert))
        if not expert.is_alive():
            QApplication.instance().quit()

    with asked.acknowledged.open("a") as file:
        expert = Expert(dock, int(window.winId()), asked, file)
        pulse = Pulse(lambda: phase_of(dock, expert))
        QTimer.singleShot(500, expert.start)
        timer = QTimer(interval=BEAT_MS)
        QTimer.singleShot(600, timer.start)
        timer.timeout.connect(beat)
        QApplication.instance().exec()
        report = {
            "error": expert.error,
            "screen": os.environ.get("DISPLAY", ""),
            "classes": len(load_project(asked.project).offered),
            "beats": pulse.beats,
            "done": [asdict(each) for each in expert.done],
        }
    asked.report.write_text(json.dumps(report))


if __name__ == "__main__":
    main()
