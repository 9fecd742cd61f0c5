"""The class guide below the crop: description and examples of each class. Classes are added and edited here."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QGridLayout, QLabel, QScrollArea, QToolButton, QVBoxLayout, QWidget
from superqt import QCollapsible

from costal.labels.classes import free_name, new_class
from costal.labels.project import Project
from costal.workbench.class_guide import ClassExamples, Example, read_guide
from napari_costal.canvas.render import render
from napari_costal.engine.calls import Thread
from napari_costal.engine.latest import Latest
from napari_costal.label_crops.class_dialog import THUMB_PX, ask_class, pixmap_of
from napari_costal.label_crops.frame_session import FrameSession
from napari_costal.label_crops.labelling_session import LabellingSession
from napari_costal.label_crops.open_project import OpenProject
from napari_costal.label_crops.page import CropPage
from napari_costal.label_crops.query_session import QuerySession
from napari_costal.ui.parts import push_button, sentence
from napari_costal.ui.tables import swatch

EVERY = 10
"""Number of labels after which the examples are chosen again."""
HEIGHT_PX, LEAST_PX = 190, 44


class GuideView(QCollapsible):
    """A row per class: key, name, description, examples and a button that edits it; `edited` carries the class's id."""

    edited = Signal(int)
    added = Signal()

    def __init__(self) -> None:
        super().__init__("Classes: what they mean and look like")
        self.setDuration(0)
        self._page = QWidget()
        self._rows = QGridLayout(self._page)
        self._rows.setContentsMargins(0, 0, 4, 0)
        self._rows.setVerticalSpacing(2)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(self._page)
        scroll.setMinimumHeight(LEAST_PX)  # in a low window the guide shrinks before the crop
        self._scroll = scroll
        self.add_button = push_button("Add class", "Add a class with the next free key.", self.added.emit)
        self.add_button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(scroll)
        column.addWidget(self.add_button)
        self.setContent(inner)
        self.expand(animate=False)

    def fill(self, classes: Sequence[ClassExamples], picture: Callable[[Example], Any]) -> None:
        """Show classes with their examples; `picture` renders an example as RGBA pixels."""
        self.clear()
        for at, each in enumerate(classes):
            self._add_row(2 * at, each, [pixmap_of(picture(example)) for example in each.shown])
        self._rows.setRowStretch(2 * len(classes), 1)
        self._scroll.setMaximumHeight(min(self._page.sizeHint().height() + 4, HEIGHT_PX))
        if self.isExpanded():
            self.expand(animate=False)  # to the height of its new content

    def clear(self) -> None:
        """Show no class."""
        while (item := self._rows.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()

    def _add_row(self, row: int, each: ClassExamples, pictures: Sequence[Any]) -> None:
        label_class = each.label_class
        mark = QLabel()
        mark.setPixmap(swatch(label_class.colour).pixmap(14, 14))
        text = f"<b>{label_class.key}</b>&nbsp; {label_class.name}"
        caption = sentence(f"{text}<br><small>{label_class.description}</small>" if label_class.description else text)
        button = QToolButton()
        button.setText("…")
        button.setToolTip(f"Edit name, description and examples of '{label_class.name}'. The timer pauses meanwhile.")
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        button.setObjectName(f"edit-class-{label_class.id}")
        button.clicked.connect(partial(self._tell, label_class.id))
        for column, widget in enumerate((mark, caption, button)):
            self._rows.addWidget(widget, row, column, Qt.AlignmentFlag.AlignTop)
            widget.show()  # a widget that is added to a page in sight takes no room until it is shown
        self._rows.setColumnStretch(1, 1)
        strip = QLabel()
        strip.setPixmap(in_a_row(pictures)) if pictures else strip.setText("<small>no example yet</small>")
        self._rows.addWidget(strip, row + 1, 1, 1, 2)
        strip.show()

    def _tell(self, class_id: int, _checked: bool = False) -> None:
        self.edited.emit(class_id)


def in_a_row(pictures: Sequence[Any]) -> Any:
    """Return pictures side by side as one."""
    from qtpy.QtGui import QPainter, QPixmap

    whole = QPixmap((THUMB_PX + 3) * len(pictures), THUMB_PX)
    whole.fill(Qt.GlobalColor.transparent)
    painter = QPainter(whole)
    for at, each in enumerate(pictures):
        painter.drawPixmap(at * (THUMB_PX + 3), 0, each)
    painter.end()
    return whole


class ClassGuide:
    """Fills the guide from the store while crops are labelled, and edits classes from there."""

    def __init__(
        self,
        page: CropPage,
        dock: QWidget,
        session: OpenProject,
        frame: FrameSession,
        query: QuerySession,
        labelling: LabellingSession,
        pixels: Thread,
    ) -> None:
        self._page, self._dock, self._session, self._frame = page, dock, session, frame
        self._labelling, self._pixels = labelling, pixels
        self._newest, self._since = Latest(), 0
        self._classes: tuple[ClassExamples, ...] = ()
        self._index_at_work: int | None = None
        self.view = GuideView()
        self.view.edited.connect(self.edit)
        self.view.added.connect(self.add)
        session.renewed.connect(self.refresh)
        session.changed.connect(self._changed)
        query.learned.connect(self.refresh)
        frame.relabelled.connect(self._relabelled)
        labelling.presented.connect(self._presented)

    def refresh(self) -> None:
        """Choose the examples again, on another thread."""
        project, ticket = self._session.project, self._newest.renew()
        self._since = 0
        if project is not None:
            self._pixels.run(read_guide, project, then=ticket.only(self._show), failed=ticket.only(self._page.complain))

    def _changed(self, before: Project, project: Project) -> None:
        if project.classes != before.classes:
            self.refresh()

    def _relabelled(self, _before: Any, _label: Any) -> None:
        self._since += 1
        if self._since >= EVERY:
            self.refresh()

    def _show(self, classes: tuple[ClassExamples, ...]) -> None:
        self._classes = classes
        self._draw()

    def _presented(self, index: int | None) -> None:
        """Draw again if the crop being labelled is an example: it would reveal the crop's earlier label."""
        before, self._index_at_work = self._index_at_work, index
        if any(self._is_at_work(each, at) for at in (before, index) for row in self._classes for each in row.shown):
            self._draw()

    def _is_at_work(self, example: Example, index: int | None) -> bool:
        loaded, grid, label = self._frame.loaded, self._frame.grid, example.label
        if loaded is None or grid is None or index is None or label.frame_id != loaded.stored.id:
            return False
        return (label.y, label.x) == grid.origin(index)

    def _draw(self) -> None:
        rows = [
            ClassExamples(
                each.label_class, tuple(one for one in each.shown if not self._is_at_work(one, self._index_at_work))
            )
            for each in self._classes
        ]
        self.view.fill(rows, self._picture)

    def _picture(self, example: Example) -> Any:
        return render(example.pixels_C_H_W, self._page.pictures.layers(), example.limits)

    def add(self) -> None:
        """Add a class with a free name and ask for its name at once."""
        project = self._session.project
        if project is None or not self._session.may_write():
            return
        self._session.change(lambda project: new_class(project, free_name(project)))
        changed = self._session.project
        if changed is not None and changed is not project:
            self.edit(changed.classes[-1].id)

    def edit(self, class_id: int) -> None:
        """Ask for another name, description and examples of a class; the timer is paused meanwhile."""
        project = self._session.project
        label_class = project.class_of(class_id) if project is not None else None
        if label_class is None or not self._session.may_write():
            return
        candidates = next((each.candidates for each in self._classes if each.label_class.id == class_id), ())
        edit = ask_class(self._dock, self._labelling.presenter, label_class, candidates, self._picture)
        if edit is not None:
            self._session.change(edit)
