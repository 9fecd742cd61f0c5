"""The buttons of the classes: name, key and colour, in two columns, many in three."""

from collections.abc import Callable, Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QPushButton

from costal.labels.project import LabelClass
from napari_costal.labelling.keys import labelled_with

FEW_CLASSES = 8


def lay_out_classes(grid: QGridLayout, classes: Sequence[LabelClass], give: Callable[[int], None]) -> None:
    """Replace the content of a grid with a button for each class, which calls `give`."""
    while (item := grid.takeAt(0)) is not None:
        if (widget := item.widget()) is not None:
            widget.hide()
            widget.deleteLater()
    columns = 2 if len(classes) <= FEW_CLASSES else 3
    for place, each in enumerate(classes):
        button = QPushButton(labelled_with(each.name, each.key, "{key}  {text}"))
        button.setObjectName(f"class-{each.id}")
        button.setToolTip(each.description)
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        button.setStyleSheet(f"border-left: 6px solid {each.colour}; padding: 5px; text-align: left;")
        button.clicked.connect(lambda _=False, class_id=each.id: give(class_id))
        grid.addWidget(button, place // columns, place % columns)
