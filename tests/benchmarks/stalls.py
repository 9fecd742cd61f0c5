"""How long the window stands still while the engine works: a 10 ms heartbeat on the GUI thread.

Run ``xvfb-run -a python tests/benchmarks/stalls.py``: prints how late the beats came, as JSON. The time that a
software renderer needs to paint the canvas is in it; `moves` are the slider's own milliseconds, without painting.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from costal.frames.simulate import simulate_field
from napari_costal._preferences import Preferences
from napari_costal.label_crops import LabelCrops

BEAT_MS = 10


class Heartbeat:
    """Notes, for each phase, how much later than due each beat came, in milliseconds."""

    def __init__(self) -> None:
        self.late_ms: dict[str, list[float]] = {}
        self.phase = ""
        self._last = time.perf_counter()
        self._timer = QTimer(interval=BEAT_MS)
        self._timer.timeout.connect(self._beat)
        self._timer.start()

    def _beat(self) -> None:
        now = time.perf_counter()
        self.late_ms.setdefault(self.phase, []).append(max(0.0, (now - self._last) * 1e3 - BEAT_MS))
        self._last = now


def main() -> None:
    """Label 12 crops of a field, retrain and score, and report the stalls of each phase."""
    with tempfile.TemporaryDirectory() as folder:
        viewer = napari.Viewer(show=True)
        dock = LabelCrops(viewer, Preferences("bench", Path(folder), "cpu"))
        viewer.window.add_dock_widget(dock)
        field = simulate_field((512, 512), 32, seed=0)
        viewer.add_image(field.pixels_Y_X, contrast_limits=(0, 60))
        dock.setup.crop.value = 32
        pump(2)
        heart = Heartbeat()
        heart.phase = "idle window, for comparison"
        pump(2)
        heart.phase = "first query, torch imported"
        dock.setup.label_button.click()
        wait(lambda: dock.sitting.current is not None)
        heart.phase = "labelling"
        while dock.sitting.current is not None:
            now = dock.sitting.current
            wait(lambda now=now: now.is_shown)
            pump(0.2)
            dock.sitting.answer(1 + int(field.classes_N[now.index] > 1))
            wait(lambda now=now: dock.sitting.current is not now)
        heart.phase = "training and scoring"
        pump(0.5)
        wait(lambda: not dock.controller.is_busy)
        heart.phase = "moving the slider"
        moves = []
        for beta in np.linspace(0, 2, 40):
            began = time.perf_counter()
            dock.setup.beta.setValue(float(beta))
            moves.append((time.perf_counter() - began) * 1e3)
            pump(0.03)
        torch_is_here = "torch" in sys.modules
        viewer.close()
    figures = summary(heart.late_ms | {"moves": moves})
    print(json.dumps({"torch in the window's process": torch_is_here} | figures, indent=1))


def summary(late_ms: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Return count, median, 99th percentile and longest stall of each phase, in milliseconds."""
    return {
        phase: {
            "beats": len(each),
            "median_ms": round(float(np.median(each)), 1),
            "p99_ms": round(float(np.percentile(each, 99)), 1),
            "longest_ms": round(max(each), 1),
        }
        for phase, each in late_ms.items()
        if phase
    }


def pump(seconds: float) -> None:
    """Let the window work for some time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.001)


def wait(condition: "object", patience_s: float = 300) -> None:
    """Let the window work until a condition holds."""
    end = time.monotonic() + patience_s
    while not condition():  # type: ignore[operator]
        if time.monotonic() > end:
            raise SystemExit("Waited in vain.")
        pump(0.01)


if __name__ == "__main__":
    main()
