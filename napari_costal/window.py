"""Windows that the command line opens: napari with one of the docks, ready to go."""

from collections.abc import Sequence
from pathlib import Path

import napari

from costal.labels.project_file import load_project
from costal.paper.plan import Arm, Experiment
from costal.workbench.file_axes import kinds_with
from napari_costal.canvas.opening import open_image


def open_mosaic(data: str, experiment: Experiment, arm: Arm) -> None:
    """Open napari with *MNIST mosaic* running this arm, until the window is closed."""
    viewer = napari.Viewer(title="napari-costal demo")
    _, widget = viewer.window.add_plugin_dock_widget("napari-costal", "MNIST mosaic")
    widget.configure(data, experiment, arm)
    widget.controller.run()
    napari.run()


def open_label_crops(images: Sequence[Path], project: Path | None, axes: str | None = None) -> None:
    """Open napari with *Label crops*, these images as layers and this project, until the window is closed."""
    kinds = kinds_with(axes, map(str, images)) if axes is not None else {}
    known = {**(load_project(project).axes if project is not None else {}), **kinds}
    found = [open_image(path, known) for path in images]
    viewer = napari.Viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-costal", "Label crops")
    for frame, limits in found:
        widget.opener.add(frame, limits)
    widget.file_axes.set.update(kinds)
    if project is not None:
        widget.session.open(project, lambda: widget.session.change(widget.file_axes.put_into))
    napari.run()
