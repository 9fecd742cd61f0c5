"""The pictures of the gallery: thumbnails, and the current crop enlarged, in the colours of the frame's layers."""

from collections.abc import Callable, Sequence

import numpy as np
from qtpy.QtCore import QObject, Qt

from costal.workbench.gallery_crops import Gallery
from costal.workbench.gallery_pixels import CropPixels
from napari_costal.engine.calls import Thread
from napari_costal.gallery.following import Following
from napari_costal.gallery.looks import picture
from napari_costal.gallery.model import GalleryModel
from napari_costal.gallery.thumbnails import Thumbnail, Thumbnails
from napari_costal.gallery.view import GalleryView
from napari_costal.labelling.crop_view import CropView


class CropPainting(QObject):
    """Makes the pictures of a view on a separate thread."""

    def __init__(self, model: GalleryModel, view: GalleryView, following: Following, thread: Thread) -> None:
        super().__init__(view)
        self._model, self._view, self._following, self._thread = model, view, following, thread
        self._gallery: Gallery | None = None
        self._pixels: CropPixels | None = None
        self.thumbnails = Thumbnails(thread, self._rows_in_sight, self)
        self.thumbnails.arrived.connect(view.viewport().update)
        self.enlarged = CropView()
        self.enlarged.setParent(view)
        self.enlarged.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.enlarged.hide()
        view.draw_with(self.thumbnails)
        view.selectionModel().currentChanged.connect(lambda *_: self._show_enlarged())
        view.resized.connect(lambda: self.enlarged.setGeometry(view.viewport().geometry()))
        following.recoloured.connect(self.repaint_all)

    def take(self, gallery: Gallery | None) -> None:
        """Paint the crops of another gallery."""
        self._gallery = gallery
        self._pixels = CropPixels(gallery) if gallery is not None else None
        self.enlarged.hide()
        self.repaint_all()

    def repaint_all(self) -> None:
        """Make all pictures again."""
        self.thumbnails.begin(self._painter(), self.thumbnails.side)
        self._view.viewport().update()
        self._show_enlarged()

    def resize(self, side: int) -> None:
        """Set the size of the thumbnails."""
        self.thumbnails.side = side
        self._view.draw_with(self.thumbnails)
        self.repaint_all()

    def enlarge(self) -> None:
        """Show the current crop enlarged, or hide it."""
        if self.enlarged.isVisible():
            self.enlarged.hide()
        elif self._view.currentIndex().isValid():
            self.enlarged.setGeometry(self._view.viewport().geometry())
            self.enlarged.show()
            self._show_enlarged()

    def _show_enlarged(self) -> None:
        index, gallery = self._view.currentIndex(), self._gallery
        if not self.enlarged.isVisible() or not index.isValid() or gallery is None or not self._model.rowCount():
            return
        row = int(self._model.rows_n[index.row()])
        pixel_um = gallery.frames[int(gallery.crops.frame_id_N[row])].record.pixel_um

        def show(pictures: dict[int, Thumbnail]) -> None:
            shown = pictures[row]
            self.enlarged.cover(shown if isinstance(shown, str) else "")
            if not isinstance(shown, str):
                opaque = np.full((*shown.shape[:2], 4), 255, np.uint8)
                opaque[..., :3] = shown
                self.enlarged.show_crop(opaque, (0, 0, shown.shape[0]), pixel_um)

        self._thread.run(self._painter(), [row], then=show, failed=self.enlarged.cover)

    def _rows_in_sight(self) -> set[int]:
        in_sight = self._view.positions_in_sight()
        return set(self._model.rows_n[in_sight.start : in_sight.stop].tolist())

    def _painter(self) -> Callable[[Sequence[int]], dict[int, Thumbnail]]:
        """Return a function that makes the pictures of rows, on the thread."""
        pixels, gallery, looks, own = self._pixels, self._gallery, self._following.looks, self._following.own_frame

        def paint(rows: Sequence[int]) -> dict[int, Thumbnail]:
            pictures: dict[int, Thumbnail] = {}
            if pixels is None or gallery is None:
                return pictures
            for row, crop in pixels.read(rows).items():
                frame = gallery.frames[int(gallery.crops.frame_id_N[row])]
                is_own = frame.id == own
                pictures[row] = crop if isinstance(crop, str) else picture(crop, looks, frame.range, is_own)
            return pictures

        return paint
