"""What *Label crops* has open, for the docks beside it in a window: values, never the dock itself."""

from collections.abc import Callable
from dataclasses import dataclass

from napari.layers import Image
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QWidget

from costal.labels.project import Project
from napari_costal.canvas.layer_frames import PlaneChoice
from napari_costal.engine.client import main_window_of


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """The project, the layer that the form names, all that form the frame with it, and which planes of them."""

    project: Project | None = None
    layer: Image | None = None
    layers: tuple[Image, ...] = ()
    planes: PlaneChoice | None = None


class Opening(QObject):
    """Lies in the dock, where others find it, and tells what is open by now."""

    def __init__(self, parent: QObject, look: Callable[[], Opened]) -> None:
        super().__init__(parent)
        self.look = look


def opened_beside(widget: QWidget) -> Opened:
    """Return what is open in the window that a widget lies in; nothing where *Label crops* is not there."""
    window = main_window_of(widget)
    opening = window.findChild(Opening) if window is not None else None
    return opening.look() if opening is not None else Opened()
