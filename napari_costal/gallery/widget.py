"""The dock widget *Crop gallery*: shows many crops, and labels several at once. Every callback is one call."""

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.viewer import Viewer
from numpy.typing import NDArray
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QVBoxLayout

from costal.workbench.gallery import SMALLEST_WITH_PLANTED, Filter
from costal.workbench.gallery_crops import Gallery
from napari_costal.engine.threads import Background
from napari_costal.gallery.following import Following
from napari_costal.gallery.listing import Listing
from napari_costal.gallery.model import MOST_LISTED, CropKey, GalleryModel, PredictionPage
from napari_costal.gallery.painting import CropPainting
from napari_costal.gallery.parts import ClassButtons, FilterRow, OfferRow
from napari_costal.gallery.session import GallerySession
from napari_costal.gallery.view import ACCEPT, CLOSE, ENLARGE, LEAVE_OUT, GalleryView
from napari_costal.label_crops.opened import Predicting, Work
from napari_costal.ui.dock import Dock
from napari_costal.ui.parts import beside, pages, push_button, sentence
from napari_costal.ui.preferences import Preferences, preferences

NO_PROJECT = "No project is open in <i>Label crops</i>. Open one there; its crops appear here."
LOOKING_AGAIN = (
    "Select labels: Enter keeps them, a class key changes them. They stay in this list until you press 'List again'."
)
BLIND = "A query is open. The gallery is hidden until the query ends, because predictions would influence your answers."


class CropGallery(Dock):
    """Crops of the project that *Label crops* has open, as thumbnails."""

    def __init__(self, napari_viewer: Viewer, chosen: Preferences | None = None) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._keys = (chosen or preferences()).keys
        self._reading, self._drawing = Background("gallery", self), Background("thumbnails", self)
        self._kept: tuple[set[CropKey], CropKey | None] | None = None
        self.model = GalleryModel()
        self.view = GalleryView(self.model, self._keys)
        self.following = Following(self)
        self.painting = CropPainting(self.model, self.view, self.following, self._drawing)
        self.listing = Listing(self, self._reading)
        self.session = GallerySession(self.listing)
        self._predicting = Predicting(self, lambda: self.view.isVisible())
        self._lay_out()
        self._connect()
        self._cover()

    def _lay_out(self) -> None:
        self.filters, self.classes, self.offers = FilterRow(), ClassButtons(), OfferRow(self._keys)
        self.count_label, self.covered_label = sentence(), sentence(NO_PROJECT)
        self.list_button = push_button("List again", "Order and filter again by the current labels.")
        self.exclude_button = push_button(
            "Exclude all", "Exclude the selected crops, or all listed crops if none is selected."
        )
        self.exclude_button.hide()
        self._wants_look_again = False
        self.covered_label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._pages = pages()
        self._pages.addWidget(self.covered_label)
        self._pages.addWidget(self.view)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 4, 6, 6)
        column.setSpacing(4)
        column.addWidget(self.filters)
        column.addLayout(beside(self.count_label, self.exclude_button, self.list_button, shares=(1,)))
        column.addWidget(self._pages, 1)
        column.addWidget(self.classes)
        column.addWidget(self.offers)
        column.addWidget(self.status)

    def _connect(self) -> None:
        view, session, offers = self.view, self.session, self.offers
        self.following.changed.connect(self._follow)
        self.following.relabelled.connect(self.listing.hear)
        self.following.blinded.connect(self._cover)
        view.selectionModel().selectionChanged.connect(lambda *_: self._choice_changed())
        view.class_given.connect(self._give)
        view.active.connect(session.active)
        acts: dict[str, Callable[[], None]] = {
            ACCEPT: self.accept,
            ENLARGE: self.painting.enlarge,
            LEAVE_OUT: self._leave_out,
            CLOSE: self._escape,
            "undo": session.undo,
            "redo": session.redo,
        }
        view.act_requested.connect(lambda name: acts[name]())
        self.classes.class_chosen.connect(self._give)
        self.filters.changed.connect(self._filter_changed)
        self.filters.similarity_requested.connect(self._compare)
        self.filters.resized.connect(self._resize)
        self.list_button.clicked.connect(lambda: self.listing.list_again())
        self.exclude_button.clicked.connect(lambda: session.exclude(self._chosen_rows() or self.model.rows_n.tolist()))
        offers.offered.connect(self._offer_changed)
        offers.accept_button.clicked.connect(self.accept)
        offers.undo_button.clicked.connect(session.undo)
        offers.redo_button.clicked.connect(session.redo)
        application = QGuiApplication.instance()
        if isinstance(application, QGuiApplication):
            application.applicationStateChanged.connect(self._application_changed)

    def _follow(self, work: Work | None) -> None:
        self.listing.follow(work)

    def _cover(self) -> None:
        """Show the crops, or the reason why they are hidden."""
        is_there, is_blind = self.listing.gallery is not None, self.following.is_blind
        self.covered_label.setText(BLIND if is_blind else "" if is_there else NO_PROJECT)
        self._pages.setCurrentIndex(int(is_there and not is_blind))
        for each in (self.filters, self.classes, self.offers, self.list_button):
            each.setEnabled(is_there and not is_blind)

    # What the session shows

    def show_gallery(self, gallery: Gallery | None) -> None:
        """Show another gallery: its frames and classes in the filters; `list_crops` shows its crops."""
        self._kept = self._kept_choice() if gallery is not None and self.model.offer is None else None
        if gallery is None:
            self.model.show(None, np.zeros(0, np.intp))
        else:
            self.filters.fill(gallery, self.listing.chosen)
            self.classes.fill(gallery.project.offered)
            self.view.bind({each.key: each.id for each in gallery.project.offered})
            if self._wants_look_again:
                self._wants_look_again = False
                self.filters.look_again()
                self.say(LOOKING_AGAIN)
        self.painting.take(gallery)
        self.offers.show_offer(None)
        self._count()
        self._cover()

    def list_crops(self, gallery: Gallery, rows_n: NDArray[np.intp]) -> None:
        """List crops in this order; selection and scroll position stay."""
        choice, self._kept = self._kept or (self._kept_choice() if self.model.offer is None else None), None
        self.model.show(gallery, rows_n)
        if choice is not None:
            self._restore(*choice)
        self._count()

    def list_offer(self, gallery: Gallery, offered: PredictionPage | None) -> None:
        """List a page of predictions; with None none is offered."""
        self.offers.show_offer(offered)
        if offered is not None:
            self.model.show(gallery, offered.page.rows_n, offered)
            self.view.scrollToTop()
            self.view.setCurrentIndex(self.model.index(0))
            self.view.clearSelection()
        self._count()

    def show_labels(self, gallery: Gallery) -> None:
        """Show new labels; the crops stay where they are."""
        self.model.relabelled(gallery)
        self._count()

    def forget_choice(self) -> None:
        """Clear the selection; the current crop stays."""
        self.view.selectionModel().clearSelection()

    def _count(self) -> None:
        shown, chosen = self.model.rowCount(), len(self.view.selectionModel().selectedIndexes())
        text = f"{shown:,} predictions offered" if self.listing.offer is not None else f"{shown:,} crops"
        if shown == MOST_LISTED:
            text = f"The first {shown:,} crops in this order"
        self.count_label.setText(text + (f", {chosen:,} selected" if chosen else ""))

    # Choosing

    def _kept_choice(self) -> tuple[set[CropKey], CropKey | None]:
        """Return the selected crops, and the first visible crop if it is not the first of all."""
        in_sight = self.view.positions_in_sight()
        top = self.model.place(in_sight.start) if len(in_sight) and in_sight.start else None
        return {self.model.place(each) for each in self.view.chosen()}, top

    def _restore(self, chosen: set[CropKey], top: CropKey | None) -> None:
        rows = {self.listing.row_of(each): each for each in (*chosen, *([top] if top is not None else []))}
        at = {rows[row]: position for position, row in enumerate(self.model.rows_n.tolist()) if row in rows}
        self.view.choose([at[each] for each in chosen if each in at])
        if top is not None and top in at:
            self.view.scrollTo(self.model.index(at[top]), GalleryView.ScrollHint.PositionAtTop)

    def _chosen_rows(self) -> list[int]:
        return [int(self.model.rows_n[each]) for each in self.view.chosen()]

    def _choice_changed(self) -> None:
        self.session.choose(len(self.view.selectionModel().selectedIndexes()))
        self._count()

    def _give(self, class_id: int) -> None:
        rows = self._chosen_rows()
        if rows:
            self.session.label(rows, class_id)
        else:
            self.say("Select crops first: click (with Shift or Ctrl), drag a frame around them, or press Ctrl+A.")

    def _leave_out(self) -> None:
        """Leave predictions out of the offered page; without a page exclude crops."""
        if self.listing.offer is None:
            self.session.exclude(self._chosen_rows())
        else:
            self.session.leave_out(self._chosen_rows())

    def _escape(self) -> None:
        if self.painting.enlarged.isVisible():
            self.painting.enlarge()
        else:
            self.forget_choice()

    # Order, filter and pages

    def _filter_changed(self) -> None:
        listing, filters = self.listing, self.filters
        listing.chosen = Filter(filters.frame_id, filters.predicted, filters.label)
        listing.sort = filters.sort
        self.exclude_button.setVisible(bool(listing.chosen.poor))
        self.view.scrollToTop()
        if listing.offer is not None:
            self._offer_changed()
        else:
            listing.list_again()

    def look_again(self) -> None:
        """List the labels that the other labels contradict, the most doubtful first."""
        self._wants_look_again = True
        self.listing.follow(self.following.work)  # there may have been an assessment since the gallery was collected

    def _compare(self) -> None:
        """Order by similarity to the current crop."""
        index = self.view.currentIndex()
        if index.isValid() and self.model.rowCount():
            self.listing.like = self.model.place(index.row())
        else:
            self.say("Click a crop first, then choose the order 'similarity to a crop' again.")

    def _resize(self, side: int) -> None:
        _, top = self._kept_choice()
        self.painting.resize(side)
        self._restore({self.model.place(each) for each in self.view.chosen()}, top)

    def _offer_changed(self) -> None:
        if self.offers.is_offering:
            self.session.offer_page(self.offers.least, max(self.view.page_size, SMALLEST_WITH_PLANTED))
        else:
            self.session.close_page()

    def accept(self) -> None:
        """Accept the page once all of it has been visible, and offer the next; without a page keep doubted labels."""
        if self.listing.offer is None and self._chosen_rows():
            self.session.keep(self._chosen_rows())
        elif self.listing.offer is None:
            self.say("No predictions are offered. Press 'Offer predictions'; Enter then accepts a page.")
        elif not self.view.was_end_seen:
            self.view.scroll_on()
            self.say("The page continues below. Look at all of it, then press Enter again.")
        else:
            self.session.accept(self._offer_changed)

    # The window

    def _application_changed(self, state: Qt.ApplicationState) -> None:
        self.session.pause(state != Qt.ApplicationState.ApplicationActive)

    def showEvent(self, event: Any) -> None:
        """Check at once what is open, and start the clocks."""
        super().showEvent(event)
        self.session.pause(False)
        QTimer.singleShot(0, self.following.look)

    def hideEvent(self, event: Any) -> None:
        """Stop the clocks while the dock is hidden."""
        super().hideEvent(event)
        self.session.pause(True)

    def cancel_running(self) -> None:
        """Do nothing, because the gallery's jobs are short."""

    def shut_down(self) -> None:
        """Leave no timer, thread or callback behind. All labels are on disk already."""
        self.following.stop()
        application = QGuiApplication.instance()
        if isinstance(application, QGuiApplication):
            application.applicationStateChanged.disconnect(self._application_changed)
        self._reading.close()
        self._drawing.close()
        super().shut_down()
