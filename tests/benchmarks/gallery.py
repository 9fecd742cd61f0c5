"""How the gallery keeps up: thousands of thumbnails scrolled from end to end, in the real dock.

Run ``xvfb-run -a -s "-screen 0 1500x1000x24" python -m tests.benchmarks.gallery``; prints JSON and keeps it as
``resources/benchmarks/gallery.json``. A turn is what the GUI thread does from one move of the scroll bar to the next.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import napari
from napari.viewer import Viewer
from qtpy.QtWidgets import QApplication

from costal.errors import CostalError
from costal.frames.grid import SMALLEST_CROP
from costal.labels.project_file import create_project, save_project
from costal.seeds import rng_for
from napari_costal.gallery.widget import CropGallery
from napari_costal.label_crops.widget import LabelCrops
from napari_costal.ui.preferences import Preferences
from tests.benchmarks.gui import made_up
from tests.benchmarks.stalls import kept, machine, spread

CROPS, MOVES = 10_000, 200
PATIENCE_S, PAUSE_S = 120.0, 0.01


def main() -> None:
    """Scroll and report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--crops", type=int, default=CROPS)
    parser.add_argument("--moves", type=int, default=MOVES)
    asked = parser.parse_args()
    before = machine()
    viewer = napari.Viewer()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        figures = scrolled(viewer, Path(folder), asked.crops, asked.moves)
    viewer.close()
    print(kept("gallery", {"machine": before} | figures))


def scrolled(viewer: Viewer, folder: Path, crops: int, moves: int) -> dict[str, Any]:
    """Return how long turns of the GUI thread were while so many thumbnails were scrolled through, in milliseconds.

    Raises
    ------
    CostalError
        When the gallery does not come to rest.
    """
    viewer.window.resize(1400, 900)
    dock, gallery = opened(viewer, folder, crops)
    bar = gallery.view.verticalScrollBar()
    cpu_ms, wall_ms = [], []
    for move in range(moves + 1):
        began_s, worked_s = time.perf_counter(), time.thread_time()
        bar.setValue(round(bar.maximum() * move / moves))
        QApplication.processEvents()
        cpu_ms.append((time.thread_time() - worked_s) * 1e3)
        wall_ms.append((time.perf_counter() - began_s) * 1e3)
        until_s = time.perf_counter() + PAUSE_S
        while time.perf_counter() < until_s:
            worked_s = time.thread_time()
            QApplication.processEvents()
            cpu_ms.append((time.thread_time() - worked_s) * 1e3)
            time.sleep(0.001)
    in_sight = [int(gallery.model.rows_n[each]) for each in gallery.view.positions_in_sight()]
    waited_s = _wait(lambda: all(gallery.painting.thumbnails.get(row) is not None for row in in_sight))
    figures = {
        "crops": gallery.model.rowCount(),
        "moves": moves,
        "turns_cpu_ms": spread(cpu_ms),
        "turns_wall_ms": spread(wall_ms),
        "last_page_s": round(waited_s, 2),
        "last_page": len(in_sight),
    }
    gallery.close()
    dock.close()
    return figures


def opened(viewer: Viewer, folder: Path, crops: int) -> tuple[LabelCrops, CropGallery]:
    """Return both docks with a made-up frame of so many crops, scored by a made-up model."""
    project = create_project(folder / "project", ("a", "b", "c", "d"))  # as many as are made up
    tiling = replace(project.tiling, crop=SMALLEST_CROP, stride=SMALLEST_CROP)
    save_project(replace(project, tiling=tiling, choices=replace(project.choices, control_share=0.0)))
    preferences = Preferences("bench", folder, "cpu", recent_file=folder / "recent.json")
    dock = LabelCrops(viewer, preferences)
    viewer.window.add_dock_widget(dock, name="Label crops")
    side = round(crops**0.5) * SMALLEST_CROP
    viewer.add_image(rng_for(0, "pixels").integers(0, 255, (side, side), dtype="uint8"), name="frame")
    dock.session.open(project.folder)
    _wait(lambda: dock.frame.loaded is not None)
    gallery = CropGallery(viewer, preferences)
    viewer.window.add_dock_widget(gallery, name="Crop gallery", tabify=True).raise_()
    dock.query.frame_scores = made_up(round(crops**0.5) ** 2, 0)
    _wait(lambda: gallery.model.rowCount() > 0 and bool(gallery.listing.gallery.crops.predicted_N.any()))
    return dock, gallery


def _wait(condition: Callable[[], bool]) -> float:
    """Let the window work until something is so, and return the seconds that it took."""
    began_s = time.perf_counter()
    while not condition():
        QApplication.processEvents()
        time.sleep(0.002)
        if time.perf_counter() - began_s > PATIENCE_S:
            raise CostalError("The gallery did not come to rest. Close other programs and try again.")
    return time.perf_counter() - began_s


if __name__ == "__main__":
    main()
