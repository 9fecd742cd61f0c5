"""The classes of a project in a table: names and keys are edited in place, the rest by a menu."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from qtpy.QtCore import QPoint, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QColorDialog,
    QMenu,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from costal.labels.classes import (
    free_name,
    merge_classes,
    new_class,
    recolour_class,
    rekey_class,
    rename_class,
    restore_class,
    retire_class,
)
from costal.labels.project import LabelClass, Project
from napari_costal.ui.parts import beside, push_button
from napari_costal.ui.tables import NARROWEST_PX, dress, swatch
from napari_costal.ui.tools import LABELLING_KEYS, TOOLS

KEY, NAME, LABELS = range(3)
CLASS_ID = Qt.ItemDataRole.UserRole
TIP = "Double-click a name or key to change it. Right-click, or use 'Edit class', to recolour, merge or retire a class."


class ClassTable(QWidget):
    """Shows the active classes; `edited` carries a function from the project to the edited one."""

    edited = Signal(object)

    def __init__(self, tool_keys: Mapping[str, str] = LABELLING_KEYS) -> None:
        super().__init__()
        tools = {TOOLS[name].word: key for name, key in tool_keys.items()}
        self._rekey = partial(rekey_class, tools=tools)
        self._project: Project | None = None
        self._is_filling = False
        self.table = table = QTableWidget(0, 3)
        table.setHorizontalHeaderLabels(["key", "class", "labels"])
        table.horizontalHeader().setMinimumSectionSize(NARROWEST_PX)
        dress(table, 26, {KEY: 56, LABELS: 62}, wide=NAME)
        table.setMinimumHeight(136)
        table.setToolTip(TIP)
        table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        table.customContextMenuRequested.connect(self._open_menu_at)
        table.itemChanged.connect(self._item_changed)
        self.add_button = push_button("Add class", "Add a class with the next free key.")
        self.menu_button = push_button("Edit class", TIP)
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self._fill_menu)
        self.menu_button.setMenu(self._menu)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(table)
        column.addLayout(beside(self.add_button, self.menu_button))

    def fill(self, project: Project, counts: Mapping[int, int]) -> None:
        """Show the classes of a project and how many crops each has."""
        self._project, self._is_filling = project, True
        try:
            self.table.setRowCount(len(project.offered))
            for row, each in enumerate(project.offered):
                items = (
                    QTableWidgetItem(swatch(each.colour), each.key),
                    QTableWidgetItem(each.name),
                    QTableWidgetItem(),
                )
                items[LABELS].setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
                for column, item in enumerate(items):
                    item.setData(CLASS_ID, each.id)
                    self.table.setItem(row, column, item)
        finally:
            self._is_filling = False
        self.show_counts(project, counts)

    def show_counts(self, project: Project, counts: Mapping[int, int]) -> None:
        """Show how many crops each class has; labels of a merged class count for its target."""
        totals = dict.fromkeys((each.id for each in project.offered), 0)
        for class_id, number in counts.items():
            label_class = project.class_of(class_id)
            if label_class is not None and label_class.id in totals:
                totals[label_class.id] += number
        self._is_filling = True
        for row, total in enumerate(totals.values()):
            item = self.table.item(row, LABELS)
            if item is not None:
                item.setText(str(total))
        self._is_filling = False

    def add(self, project: Project) -> Project:
        """Return the project with one more class, which has a free name and key."""
        return new_class(project, free_name(project))

    def _item_changed(self, item: QTableWidgetItem) -> None:
        if self._is_filling:
            return
        edit = rename_class if item.column() == NAME else self._rekey
        class_id, text = item.data(CLASS_ID), item.text().strip()
        self._tell(lambda project: edit(project, class_id, text))

    def _tell(self, edit: Callable[[Project], Project]) -> None:
        self.edited.emit(edit)

    def _chosen(self) -> LabelClass | None:
        row = self.table.currentRow()
        offered = self._project.offered if self._project is not None else ()
        return offered[row] if 0 <= row < len(offered) else None

    def _open_menu_at(self, position: QPoint) -> None:
        self._menu.popup(self.table.viewport().mapToGlobal(position))

    def _fill_menu(self) -> None:
        """List the actions for the chosen class, and the classes that can be restored."""
        self._menu.clear()
        project, chosen = self._project, self._chosen()
        if project is None or chosen is None:
            self._menu.addAction("Choose a class in the table first").setEnabled(False)
        else:
            self._menu.addAction("Colour …", partial(self._ask_colour, chosen))
            merge = self._menu.addMenu(f"Merge '{chosen.name}' into")
            for other in project.offered:
                if other.id != chosen.id:
                    self._act(merge, other.name, merge_classes, chosen.id, other.id)
            self._act(self._menu, f"Retire '{chosen.name}'", retire_class, chosen.id)
        for gone in (each for each in (project.classes if project else ()) if not each.is_offered):
            how = "retired" if gone.retired else "merged"
            self._act(self._menu, f"Restore '{gone.name}' ({how})", restore_class, gone.id)

    def _act(self, menu: QMenu, text: str, edit: Callable[..., Project], *ids: int) -> None:
        action: Any = menu.addAction(text)
        action.triggered.connect(lambda _=False: self._tell(lambda project: edit(project, *ids)))

    def _ask_colour(self, chosen: LabelClass) -> None:
        colour = QColorDialog.getColor(QColor(chosen.colour), self, f"Colour of '{chosen.name}'")
        if colour.isValid():
            self._tell(lambda project: recolour_class(project, chosen.id, colour.name()))
