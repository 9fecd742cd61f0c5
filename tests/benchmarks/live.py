"""What learning between two answers costs the expert: 100 crops labelled by real keys in each of the three ways.

Run ``xvfb-run -a -s "-screen 0 1500x1000x24" python -m tests.benchmarks.live``: prints JSON and keeps it as
``resources/benchmarks/live.json``. A script looks at each crop for a while and presses its key; what the store says
that this took is compared with the script. Whether a fit changes the efforts is judged by two one-sided t tests (TOST).
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication
from scipy import stats

from costal.agent.cards import EFFICIENTNET_LITE0
from costal.frames.simulate import CLASS_NAMES, SimulatedField, simulate_field
from costal.labels.effort import derive, replay
from costal.labels.project import Project
from costal.labels.project_file import create_project, load_project, save_project
from costal.labels.records import PresentationRow
from costal.labels.store import Store
from napari_costal.label_crops.widget import LabelCrops
from napari_costal.ui.preferences import Preferences
from tests.benchmarks.answering import learn_from
from tests.benchmarks.keystroke import ANNOTATOR, PATIENCE_S, Typist, wait
from tests.benchmarks.stalls import kept, machine, spread

MARGIN_MS = 25.0
"""Efforts with and without a fit are equal when their means surely differ by less: said before any run."""
LIMITS_MS = {"painted, median": 50.0, "painted, p99": 80.0, "drawn, median": 1500.0, "effort error, most": 50.0}
CROP, SIDE, LABELLED, ANSWERS = 64, 1280, 200, 100
LOOK_S = (1.0, 2.0)
WAYS = ("answer", "query", "hand")


def labelled_project(folder: Path, way: str, answers: int) -> tuple[Project, SimulatedField]:
    """Return a project with `LABELLED` labels of one frame and a model, and the frame that is labelled next."""
    project = create_project(folder, CLASS_NAMES)
    n = 10 if way == "query" else answers
    choices = replace(project.choices, n=n, backbone=EFFICIENTNET_LITE0, retrain=way, repeat_share=0.0)
    save_project(replace(project, tiling=replace(project.tiling, crop=CROP, stride=CROP), choices=choices))
    learn_from(folder, simulate_field((SIDE, SIDE), CROP, seed=0), LABELLED, ANNOTATOR)
    return load_project(folder), simulate_field((SIDE, SIDE), CROP, seed=1)


class Expert(Typist):
    """Looks at each crop for a time drawn beforehand, and presses the key of its class."""

    def __init__(self, dock: LabelCrops, window: int, field: SimulatedField, answers: int) -> None:
        super().__init__(dock, window, {})
        self._classes_N = field.classes_N
        self._looks_s = np.random.default_rng(0).uniform(*LOOK_S, answers)
        self.scripted_ms: list[float] = []
        self.keys_ns: list[int] = []
        self.is_fitting: list[bool] = []

    def run(self) -> None:
        from tests.faults.day import Hands

        try:
            self._hands = Hands()
            self._hands.focus(self._window)
            for look_s in self._looks_s:
                now = self._shown()
                time.sleep(max(look_s - (time.perf_counter_ns() - now.state.shown_ns) / 1e9, 0))
                key = str(1 + int(self._classes_N[now.index]))
                self.is_fitting.append(self._dock.query.is_fitting)
                began_ns = time.perf_counter_ns()
                self.keys_ns.append(began_ns)
                self.scripted_ms.append((began_ns - now.state.shown_ns) / 1e6)
                self._hands.press(key)
                if len(self.keys_ns) < len(self._looks_s):
                    after = self._shown(unlike=now)
                    self.took_ms["answer"].append((after.state.shown_ns - began_ns) / 1e6)
        except Exception as error:  # what a thread dies of must reach the report
            self.error = repr(error)


class Watch:
    """When fits began, when the heads were fitted, and when the heatmap was drawn, on the monotonic clock in ns."""

    def __init__(self, dock: LabelCrops) -> None:
        self.begun_ns: list[int] = []
        self.fitted_ns: list[int] = []
        self.drawn_ns: list[int] = []
        self._call, self._take = dock.live._caller.call, dock.labelling.model_changed
        dock.live._caller.call = self.call
        dock.labelling.model_changed = self.drawn

    def call(self, function: str, arguments: Any, then: Any, failed: Any, title: str) -> None:
        """Begin a fit, and note when its scoring begins."""
        self.begun_ns.append(time.perf_counter_ns())
        count = len(self.begun_ns)

        def heard(progress: Any) -> None:
            if progress.message in ("Reading", "Scoring") and len(self.fitted_ns) < count:
                self.fitted_ns.append(time.perf_counter_ns())

        self._call(function, arguments, then, failed, title, heard)

    def drawn(self, found: Any) -> None:
        """Note that the heatmap was drawn: the order follows it."""
        self._take(found)
        self.drawn_ns.append(time.perf_counter_ns())

    def since_keys(self, keys_ns: list[int]) -> Mapping[str, list[float]]:
        """Return the ms from the newest key before each fit to its stages."""
        stages: dict[str, list[float]] = {"heads fitted": [], "rescored and drawn": []}
        for begun, fitted, drawn in zip(self.begun_ns, self.fitted_ns, self.drawn_ns, strict=False):
            key = max((each for each in keys_ns if each <= begun), default=begun)
            stages["heads fitted"].append((fitted - key) / 1e6)
            stages["rescored and drawn"].append((drawn - key) / 1e6)
        return stages


def in_a_window(project: Project, field: SimulatedField, answers: int) -> tuple[Expert, Watch, list[PresentationRow]]:
    """Label a frame by real keys; return who did, what was seen, and what the store says of it."""
    viewer = napari.Viewer(show=True)
    window = viewer.window._qt_window
    window.setGeometry(0, 0, 1500, 1000)
    chosen = Preferences(ANNOTATOR, project.folder.parent, "cpu", recent_file=project.folder.parent / "recent")
    dock = LabelCrops(viewer, chosen)
    viewer.window.add_dock_widget(dock, name="Label crops")
    wait(lambda: False, 2)
    dock.session.open(project.folder)
    wait(lambda: dock.session.project is not None, PATIENCE_S)
    viewer.add_image(field.pixels_Y_X, name="frame")
    wait(lambda: dock.frame.loaded is not None, PATIENCE_S)
    dock.labelling.keeps_going = project.choices.retrain == "query"
    watch = Watch(dock)
    dock.labelling.label_query()
    wait(lambda: (now := dock.labelling.current) is not None and now.is_shown, PATIENCE_S)
    expert = Expert(dock, int(window.winId()), field, answers)
    expert.start()
    wait(lambda: not expert.is_alive(), answers * LOOK_S[1] * 3)
    wait(lambda: False, 1)
    viewer.close()
    wait(lambda: False, 1)
    with Store(project.store_path, read_only=True) as store:
        rows = [row for row in store.presentations()[LABELLED:] if row.kind == "class"]
    return expert, watch, rows


def figures_of(expert: Expert, watch: Watch, rows: list[PresentationRow], idle_limit_s: float) -> dict[str, Any]:
    """Return the times of every stage, and how far stored efforts are from the script, in milliseconds."""
    if not rows:
        raise SystemExit(f"Nothing was labelled: {expert.error or 'the keys did not come'}.")
    active_ms = [1e3 * derive(replay(row.events, round(idle_limit_s * 1e9))).active_s for row in rows]
    errors_ms = np.subtract(active_ms[: len(expert.scripted_ms)], expert.scripted_ms[: len(active_ms)])
    during = np.array([row.during_fit for row in rows])[: len(errors_ms)]
    painted = np.array(expert.took_ms["answer"])
    fitting = np.array(expert.is_fitting[: len(painted)], bool)
    stages = watch.since_keys(expert.keys_ns)
    return {
        "error": expert.error,
        "answers": len(rows),
        "presentations during a fit": int(during.sum()),
        "fits that ended": len(watch.drawn_ns),
        "key to next crop painted": spread(painted.tolist()),
        "the same while a fit ran": spread(painted[fitting].tolist()) if fitting.any() else None,
        **{f"key to {name}": spread(each) for name, each in stages.items() if each},
        "effort less script": spread(errors_ms.tolist()),
        "effort error, most": round(float(np.abs(errors_ms).max()), 1),
        "errors": [[round(float(error), 2), bool(fit)] for error, fit in zip(errors_ms, during, strict=True)],
    }


def equivalence(with_fit_ms: np.ndarray, without_ms: np.ndarray) -> dict[str, Any]:
    """Return the two one-sided t tests of whether the means differ by less than the margin."""
    low = stats.ttest_ind(with_fit_ms + MARGIN_MS, without_ms, equal_var=False, alternative="greater").pvalue
    high = stats.ttest_ind(with_fit_ms - MARGIN_MS, without_ms, equal_var=False, alternative="less").pvalue
    return {
        "margin": MARGIN_MS,
        "with a fit": len(with_fit_ms),
        "without": len(without_ms),
        "difference of means": round(float(with_fit_ms.mean() - without_ms.mean()), 3),
        "p": float(max(low, high)),
        "are equal": bool(max(low, high) < 0.05),
    }


def main() -> None:
    """Label in each way, and report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--answers", type=int, default=ANSWERS)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    asked = parser.parse_args()
    application = QApplication.instance() or QApplication([])
    application.setQuitOnLastWindowClosed(False)
    ways, errors = {}, []
    for way in asked.ways:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            project, field = labelled_project(Path(folder) / "project", way, asked.answers)
            ways[way] = figures_of(*in_a_window(project, field, asked.answers), project.idle_limit_s)
        errors += ways[way].pop("errors")
    fits = [np.array([error for error, fit in errors if fit is which]) for which in (True, False)]
    figures = {
        "machine": machine(),
        "labels before": LABELLED,
        "limits_ms": LIMITS_MS,
        "ms": ways,
        "effort with and without a fit": equivalence(*fits) if min(map(len, fits)) > 1 else None,
    }
    print(kept("live", figures))
    QTimer.singleShot(0, application.quit)


if __name__ == "__main__":
    main()
