"""The page of *Label crops* that shows one crop, in the colours of the frame's layers."""

from collections.abc import Callable, Sequence

import numpy as np
from napari.layers import Image
from napari.viewer import Viewer
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QStackedWidget

from costal.frames.normalise import IntensityRange
from costal.labels.project import Project
from napari_costal.canvas.predictions import Predictions
from napari_costal.label_crops.crop_pictures import CropPictures
from napari_costal.label_crops.frame_canvas import DRAWING_MS
from napari_costal.label_crops.opened import predictions_beside
from napari_costal.labelling.labelling_page import LabellingPage


class CropPage(QObject):
    """Shows crops on the labelling page and brings it to the front of the `pages`; the first page is the settings."""

    predictions_seen = Signal()
    """A layer that shows the predicted class may have become visible."""
    turned = Signal()
    """Another crop is being labelled, or none any more."""
    left = Signal()
    message = Signal(str, bool)
    """A sentence under the crop, and whether it is an alarm."""

    def __init__(
        self,
        viewer: Viewer,
        labelling_page: LabellingPage,
        pages: QStackedWidget,
        layers: Callable[[], Sequence[Image]],
        complain: Callable[[str], None],
    ) -> None:
        super().__init__(labelling_page)
        self._labelling_page, self._pages, self.complain = labelling_page, pages, complain
        self.pictures = CropPictures(layers)
        self.predictions = Predictions(viewer, self.predictions_seen.emit)
        self.pixel_um: Callable[[], float | None] = lambda: None

    @property
    def is_open(self) -> bool:
        """Whether the labelling page is in front, with or without a crop."""
        return self._pages.currentWidget() is self._labelling_page

    def present(
        self,
        project: Project,
        pixels_C_H_W: NDArray[np.generic],
        crop: tuple[int, int, int],
        limits: IntensityRange,
        title: str,
        active_s: Callable[[], float],
        left_s: float,
    ) -> None:
        """Show a crop to label."""
        self._pages.setCurrentWidget(self._labelling_page)
        self._labelling_page.begin(project.offered)
        image = self.pictures.now(pixels_C_H_W, crop, limits)
        self._labelling_page.present(image, crop, self.pixel_um(), title, active_s, left_s)
        self.turned.emit()

    def prepare(self, pixels_C_H_W: NDArray[np.generic], crop: tuple[int, int, int], limits: IntensityRange) -> None:
        """Render the next crop while this one is looked at."""
        QTimer.singleShot(DRAWING_MS, lambda: self.pictures.rendered(pixels_C_H_W, crop, limits))

    def recolour(self) -> None:
        """Show the crop being labelled with the layer's new contrast; its timer runs on."""
        self._labelling_page.crop_view.recolour(self.pictures.again())

    def cover(self, text: str) -> None:
        """Cover the crop, or uncover it with an empty text."""
        self._labelling_page.cover(text)

    def page_says(self, text: str, alarming: bool) -> None:
        """Show a sentence under the crop."""
        self._labelling_page.say(text, alarming)
        self.message.emit(text, alarming)

    def hold_back_predictions(self, are_held_back: bool) -> None:
        """Hide the layers that show the predicted class, or show them again."""
        if are_held_back:
            self.predictions.hold_back()
        else:
            self.predictions.give_back()

    def shows_predictions(self) -> bool:
        """Return whether a layer of the plugin or another dock shows the predicted class now."""
        return self.predictions.are_shown or predictions_beside(self._labelling_page)

    def leave_page(self) -> None:
        """Go back to the settings."""
        self._labelling_page.end()
        self._pages.setCurrentIndex(0)
        self.turned.emit()
        self.left.emit()
