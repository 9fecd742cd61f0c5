"""Follows what *Label crops* has open: project, frame, scores and the colours of the layers."""

from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QWidget

from costal.labels.records import CropLabel
from napari_costal.gallery.looks import PLAIN, Looks, looks_of
from napari_costal.label_crops.opened import Opened, Work, opened_beside

EVERY_MS = 300


class Following(QObject):
    """Checks what is open while its widget is visible, and emits a signal when that changes.

    `looks` are the colours of the frame `own_frame`, which is 0 if no frame is open.
    """

    changed = Signal(object)
    """Another project, frame, scores or settings; carries the work, None without a project."""
    recoloured = Signal()
    relabelled = Signal(object)
    """A crop has another label; carries the label given or taken back, and the current one."""
    blinded = Signal()
    """A query begins or ends."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._widget = widget
        self.work: Work | None = None
        self.looks: Looks = PLAIN
        self.own_frame = 0
        self._seen: tuple[Any, ...] = ()
        self._timer = QTimer(self, interval=EVERY_MS)
        self._timer.timeout.connect(self.look)
        self._timer.start()

    @property
    def is_blind(self) -> bool:
        """Whether a query is open; predictions are hidden during it."""
        return self.work is not None and self.work.query.is_blind

    def look(self) -> None:
        """Check what is open now."""
        if not self._widget.isVisible():
            return
        opened = opened_beside(self._widget)
        self._hear(opened.work)
        self._look_at_layers(opened)
        work, seen = self.work, tuple[Any, ...]()
        if work is not None and work.session.project is not None:
            project = work.session.project
            shown = project.classes, project.tiling, project.choices, work.frame.grid
            seen = self.own_frame, shown, _ById(work.session.project_session), _ById(work.query.frame_scores)
        if seen != self._seen:
            self._seen = seen
            self.changed.emit(work if seen else None)

    def _look_at_layers(self, opened: Opened) -> None:
        rgb = opened.project is not None and opened.project.intake.rgb
        loaded = self.work.frame.loaded if self.work is not None else None
        now = looks_of(opened.layers, rgb), loaded.stored.id if loaded is not None else 0
        if now != (self.looks, self.own_frame):
            self.looks, self.own_frame = now
            self.recoloured.emit()

    def _hear(self, work: Work | None) -> None:
        """Listen to the sessions of this work, and to no others."""
        before = self.work
        if before is not None and work is not None and before.session is work.session:
            return
        if before is not None:
            before.frame.relabelled.disconnect(self._relabelled, missing_ok=True)
            before.query.blinded.disconnect(self._blinded, missing_ok=True)
            before.session.renewed.disconnect(self._renewed, missing_ok=True)
        self.work = work
        if work is not None:
            work.frame.relabelled.connect(self._relabelled)
            work.query.blinded.connect(self._blinded)
            work.session.renewed.connect(self._renewed)
        self.blinded.emit()

    def _relabelled(self, before: CropLabel | None, label: CropLabel | None) -> None:
        crop_label = label or before
        if crop_label is not None:
            self.relabelled.emit((crop_label, label))

    def _renewed(self) -> None:
        self._seen = ()

    def _blinded(self, _is_blind: bool) -> None:
        self.blinded.emit()

    def stop(self) -> None:
        """Stop following."""
        self._timer.stop()
        self._hear(None)


class _ById:
    """Compares a thing by identity, and keeps it, so that no other gets its place in memory."""

    def __init__(self, thing: object) -> None:
        self._thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and self._thing is other._thing

    def __hash__(self) -> int:
        return id(self._thing)
