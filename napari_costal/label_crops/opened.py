"""The state of *Label crops* for the other docks of the window: values, never the dock itself."""

from collections.abc import Callable
from dataclasses import dataclass

from napari.layers import Image
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QWidget

from costal.labels.project import Project
from costal.labels.records import CropLabel
from costal.workbench.session import ProjectSession
from napari_costal.canvas.layer_frames import PlaneChoice
from napari_costal.engine.calls import Thread
from napari_costal.engine.client import main_window_of
from napari_costal.label_crops.frame_session import FrameSession
from napari_costal.label_crops.open_project import OpenProject
from napari_costal.label_crops.query_session import QuerySession


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What another dock needs to give labels: the open project, the current frame and its scores."""

    session: OpenProject
    frame: FrameSession
    query: QuerySession


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """The project, the layer chosen in the form, all layers of the frame, and the choice of planes.

    `project_session` is used only on the thread `store`; `relabelled` takes a label that was given elsewhere, and
    `label_at` presents the crop of a layer at a pixel (y, x).
    """

    project: Project | None = None
    layer: Image | None = None
    layers: tuple[Image, ...] = ()
    planes: PlaneChoice | None = None
    work: Work | None = None
    project_session: ProjectSession | None = None
    store: Thread | None = None
    relabelled: Callable[[CropLabel], None] = lambda _label: None
    label_at: Callable[[Image, tuple[int, int]], None] = lambda _layer, _place: None


class Opening(QObject):
    """A child of the dock that other docks find; `look` returns what is open now."""

    def __init__(self, parent: QObject, look: Callable[[], Opened]) -> None:
        super().__init__(parent)
        self.look = look


class Predicting(QObject):
    """A child of a dock that shows predictions; `is_seen` returns whether they are visible."""

    def __init__(self, parent: QObject, is_seen: Callable[[], bool]) -> None:
        super().__init__(parent)
        self.is_seen = is_seen


def predictions_beside(widget: QWidget) -> bool:
    """Return whether another dock in the window shows predictions."""
    window = main_window_of(widget)
    return window is not None and any(each.is_seen() for each in window.findChildren(Predicting))


def opened_beside(widget: QWidget) -> Opened:
    """Return what is open in the window of a widget; empty if *Label crops* is not there."""
    window = main_window_of(widget)
    opening = window.findChild(Opening) if window is not None else None
    return opening.look() if opening is not None else Opened()
