"""The crops that the gallery lists: those of the open project, by a filter and in an order. No Qt.

They are collected and ordered on a thread. New labels never move a crop; only *List again* orders the list again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from costal.labels.records import CropLabel
from costal.scoring.bands import as_sent
from costal.workbench.assessment import Doubt
from costal.workbench.gallery import Filter, GalleryCrops, Places, Sort, ordered
from costal.workbench.gallery_crops import Gallery, collect, doubts_by_row, label_code
from costal.workbench.gallery_frames import FrameAtWork
from costal.workbench.gallery_pixels import CropPixels
from costal.workbench.poor_crops import counts_of, with_poor
from napari_costal.engine.calls import Thread
from napari_costal.engine.latest import Latest
from napari_costal.gallery.model import CropKey, PredictionPage
from napari_costal.label_crops.opened import Work

Change = tuple[CropLabel, CropLabel | None]
"""A label that was given or taken back, and the current label of its crop."""


class GalleryShown(Protocol):
    """The widget that shows the gallery."""

    def say(self, text: str) -> None: ...
    def complain(self, text: str) -> None: ...
    def show_gallery(self, gallery: Gallery | None) -> None: ...
    def list_crops(self, gallery: Gallery, rows_n: NDArray[np.intp]) -> None: ...
    def list_offer(self, gallery: Gallery, offered: PredictionPage | None) -> None: ...
    def show_labels(self, gallery: Gallery) -> None: ...
    def forget_choice(self) -> None: ...


class Listing:
    """One gallery at a time, or the page of predictions that is offered instead."""

    def __init__(self, view: GalleryShown, reading: Thread) -> None:
        self.view, self.reading = view, reading
        self.work: Work | None = None
        self.gallery: Gallery | None = None
        self.pixels: CropPixels | None = None
        self.offer: PredictionPage | None = None
        self.chosen = Filter()
        self.sort: Sort = "place in the frame"
        self.like: CropKey | None = None
        self._newest, self._ordering = Latest(), Latest()
        self._places: Places | None = None
        self._poor_N: NDArray[np.int64] | None = None
        self.is_deaf = False

    def follow(self, work: Work | None) -> None:
        """Show the open project, with its current frame and scores."""
        self.work = work
        project_session = work.session.project_session if work is not None else None
        project = work.session.project if work is not None else None
        ticket = self._newest.renew()
        if work is None or project_session is None or project is None:
            self._take(None)
            return
        loaded, grid, at_work = work.frame.loaded, work.frame.grid, None
        if loaded is not None and grid is not None:
            at_work = FrameAtWork(loaded.stored.id, grid, as_sent(loaded.plane_C_Y_X), work.query.frame_scores)

        def collected() -> tuple[Gallery, Places] | None:
            if not ticket.is_current:
                return None
            gallery = collect(project, at_work)
            return gallery, Places(gallery.crops)

        self.reading.run(collected, then=ticket.only(self._take), failed=ticket.only(self.view.complain))

    def _take(self, collected: tuple[Gallery, Places] | None) -> None:
        gallery, self._places = collected or (None, None)
        before = self.gallery
        if gallery is None or before is None or gallery.project.folder != before.project.folder:
            self.chosen, self.like = Filter(), None
        self.gallery, self.offer, self._poor_N = gallery, None, None
        self.pixels = CropPixels(gallery) if gallery is not None else None
        self.view.show_gallery(gallery)
        self.list_again()

    def list_again(self) -> None:
        """List the crops of the filter in the chosen order, by the current labels."""
        gallery, ticket = self.gallery, self._ordering.renew()
        if gallery is None:
            return
        like = self.row_of(self.like) if self.like is not None else None
        chosen, sort, pixels, is_looked_at = self.chosen, self.sort, self.pixels, self._poor_N is not None
        if chosen.poor and not is_looked_at:
            self.view.say(f"Checking {len(gallery.crops):,} crops …")

        def order() -> tuple[GalleryCrops, NDArray[np.intp]] | None:
            if not ticket.is_current:
                return None
            crops = gallery.crops
            if chosen.poor and not is_looked_at and pixels is not None:
                crops = with_poor(crops, pixels.read)
            return crops, ordered(crops, chosen, sort, like)

        def listed(outcome: tuple[GalleryCrops, NDArray[np.intp]] | None) -> None:
            if outcome is None or self.gallery is None or self.offer is not None:
                return
            crops, rows_n = outcome
            if crops is not gallery.crops and len(crops) == len(self.gallery.crops):
                self._poor_N = crops.poor_N
                self.gallery = replace(self.gallery, crops=replace(self.gallery.crops, poor_N=crops.poor_N))
                self.view.say(", ".join(f"{count:,} {name}" for name, count in counts_of(crops).items()) + ".")
            self.view.list_crops(self.gallery, rows_n)

        self.reading.run(order, then=ticket.only(listed), failed=ticket.only(self.view.complain))

    def row_of(self, place: CropKey) -> int | None:
        """Return the row of a crop, None when it is not in the gallery."""
        return self._places.row(place) if self._places is not None else None

    def hear(self, change: Change) -> None:
        """Show that a crop got another label elsewhere; an action of the gallery shows all its labels at once."""
        if not self.is_deaf:
            self.relabelled([change])

    def relabelled(self, changes: Sequence[Change]) -> None:
        """Show that crops have other labels now; the list keeps its order and place."""
        gallery = self.gallery
        if gallery is None:
            return
        pairs = [(self.row_of((each.frame_id, each.y, each.x, each.side)), label) for each, label in changes]
        labels = {row: label for row, label in pairs if row is not None}
        codes = [label_code(gallery.project, each) for each in labels.values()]
        if self.offer is not None:
            self.offer.follow(dict(zip(labels, codes, strict=True)))
        are_single = [each is not None and each.given == "single" for each in labels.values()]
        crops = gallery.crops.labelled(list(labels), codes, are_single)
        self.gallery = replace(gallery, crops=crops)
        self.view.show_labels(self.gallery)

    def doubt(self, doubts: Iterable[Doubt], are_settled: bool) -> None:
        """Show that labels are doubted no longer, or again; the list keeps its order."""
        gallery = self.gallery
        if gallery is None:
            return
        settled = doubts_by_row(gallery.crops, doubts)
        numbers = {row: number for number, row in enumerate(gallery.doubts, 1)}
        crops = gallery.crops.settled(list(settled))
        if not are_settled:
            crops.doubt_N[list(settled)] = [numbers.get(row, len(numbers) + 1) for row in settled]
        self.gallery = replace(gallery, crops=crops)
        self.view.show_labels(self.gallery)
