"""Windows that the command line opens: napari with one of the plugin's docks."""

from collections.abc import Sequence
from pathlib import Path

import napari
from qtpy.QtGui import QGuiApplication

from costal.labels.project_file import load_project
from costal.paper.plan import Arm, Experiment
from costal.workbench.file_axes import kinds_with
from napari_costal.canvas.opening import open_image

WIDE_PX, HIGH_PX = 1400, 900


def open_mosaic(data: str, experiment: Experiment, arm: Arm) -> None:
    """Open napari with *MNIST mosaic*, run this arm, and return when the window is closed."""
    viewer = napari.Viewer(title="napari-costal demo")
    enlarge(viewer)
    _, widget = viewer.window.add_plugin_dock_widget("napari-costal", "MNIST mosaic")
    widget.configure(data, experiment, arm)
    widget.run()
    napari.run()


def enlarge(viewer: napari.Viewer) -> None:
    """Enlarge the window for a mosaic beside its curves, as far as the screen allows."""
    room = QGuiApplication.primaryScreen().availableSize()
    _, _, width, height = viewer.window.geometry()
    viewer.window.resize(max(width, min(WIDE_PX, room.width())), max(height, min(HIGH_PX, room.height())))


def open_label_crops(images: Sequence[Path], project: Path | None, axes: str | None = None) -> None:
    """Open napari with *Label crops*, these images and this project, and return when the window is closed."""
    kinds = kinds_with(axes, map(str, images)) if axes is not None else {}
    known = {**(load_project(project).axes if project is not None else {}), **kinds}
    opened = [open_image(path, known) for path in images]
    viewer = napari.Viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-costal", "Label crops")
    for frame, limits in opened:
        widget.opener.add(frame, limits)
    widget.file_axes.set.update(kinds)
    if project is not None:
        widget.session.open(project, lambda: widget.session.change(widget.file_axes.put_into))
    napari.run()
