"""What opening a dock adds to napari, in a process of its own: ``python -m tests.benchmarks.docks NAME``.

Prints one JSON object. A second part measures how late the window's heart beats while the engine imports torch.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from costal.types import Job, Progress

BEAT_MS, REST_S, PATIENCE_S = 10, 2.0, 120.0


def waking() -> Job[bool]:
    """Return whether torch was imported here, in the engine process."""
    yield Progress(0, 1, "Importing torch")
    import torch

    return bool(torch.zeros(1).numel())


def open_dock(name: str) -> dict[str, Any]:
    """Return the seconds that a dock takes in a napari that is open, and the beats before and while torch loads."""
    import napari
    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QApplication

    from napari_costal.engine.messages import pack

    def live(until: Callable[[], bool]) -> None:
        began = time.monotonic()
        while not until() and time.monotonic() - began < PATIENCE_S:
            QApplication.processEvents()
            time.sleep(0.001)

    def rest(seconds: float) -> None:
        began = time.monotonic()
        live(lambda: time.monotonic() - began > seconds)

    viewer = napari.Viewer()
    rest(REST_S)
    wall, cpu = time.perf_counter(), time.process_time()
    _, dock = viewer.window.add_plugin_dock_widget("napari-costal", name)
    QApplication.processEvents()
    opened = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    rest(REST_S)
    late_ms: list[float] = []
    last = [time.perf_counter()]

    def beat() -> None:
        now = time.perf_counter()
        late_ms.append(max((now - last[0]) * 1e3 - BEAT_MS, 0.0))
        last[0] = now

    timer = QTimer(interval=BEAT_MS)
    timer.timeout.connect(beat)
    last[0] = time.perf_counter()
    timer.start()
    rest(REST_S)
    before = list(late_ms)
    ended: list[bool] = []
    late_ms.clear()
    began = time.perf_counter()
    job = dock.start("tests.benchmarks.docks:waking", pack(()))
    job.result.connect(ended.append)
    live(lambda: bool(ended))
    timer.stop()
    found = opened | {
        "torch_in_window": "torch" in sys.modules,
        "torch_import_s": time.perf_counter() - began,
        "late_before_ms": before,
        "late_during_ms": late_ms,
        "is_woken": bool(ended),
    }
    viewer.close()
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(open_dock(sys.argv[1])) + "\n")
