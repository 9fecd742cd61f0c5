"""The form of *Label crops*: project, frame, classes and query. It holds values and tells when they change."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from magicgui.widgets import ComboBox, Container, FloatSpinBox, LineEdit, SpinBox
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QScrollArea,
    QSlider,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible, QLabeledDoubleSlider

from costal.frames.grid import crop_um
from costal.labels.project import LARGEST, PROJECT_FILE, Project
from costal.types import ACQUISITION_NAMES, Grid
from napari_costal._dock import heading, push_button
from napari_costal._label_controller import SHOWN
from napari_costal._layer_frames import PLANE_CHOICES

STRONGEST_BETA = 2.0


class SetupPage(QScrollArea):
    """All settings of a project and a frame, with the buttons that act on them."""

    frame_changed = Signal()
    tiling_changed = Signal()
    choices_changed = Signal(bool)
    class_renamed = Signal(int, str)

    def __init__(self, layers: Callable[[Any], list[Any]], annotator: str) -> None:
        super().__init__()
        self._is_filling = False
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(8, 4, 8, 4)
        column.setSpacing(5)
        for build in (self._project_part, lambda: self._frame_part(layers), self._class_part, self._query_part):
            column.addWidget(build())
        column.addWidget(self._advanced_part(annotator))
        column.addStretch(1)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(page)
        self._connect()

    def _project_part(self) -> QWidget:
        self.project_label = QLabel("None yet: one is made when you start, or choose your own.")
        self.project_label.setWordWrap(True)
        self.new_button = push_button("New …", "Make a project in a new folder.")
        self.open_button = push_button("Open …", "Open the folder of a project.")
        return _part("Project", self.project_label, _row(self.new_button, self.open_button))

    def _frame_part(self, layers: Callable[[Any], list[Any]]) -> QWidget:
        self.layer = ComboBox(label="layer", choices=layers, nullable=True)
        self.crop = SpinBox(label="crop size (px)", value=64, min=8, max=LARGEST)
        self.grid_label = QLabel("Choose an image layer, or open an image.")
        self.grid_label.setWordWrap(True)
        self.open_image_button = push_button("Open image …", "TIFF, OME-TIFF, PNG or JPEG, with its pixel size.")
        return _part("Frame", _form(self.layer, self.crop), self.grid_label, _row(self.open_image_button))

    def _class_part(self) -> QWidget:
        self.class_table = table = QTableWidget(0, 3)
        table.setHorizontalHeaderLabels(["key", "class", "labels"])
        header = table.horizontalHeader()
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(40)
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(26)
        table.setColumnWidth(0, 56)
        table.setColumnWidth(2, 62)
        table.setFixedHeight(136)
        table.setToolTip("Double-click a name to change it. The key labels a crop.")
        self.add_class_button = push_button("Add class", "A class more, with the next free key.")
        return _part("Classes", table, _row(self.add_class_button))

    def _query_part(self) -> QWidget:
        self.beta = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.beta.setRange(0.0, STRONGEST_BETA)
        self.beta.setDecimals(2)
        self.beta.setValue(0.3)
        self.beta.setToolTip("β in v = I^α / C^β: at 0 cost does not matter; further right, cheap crops come first.")
        slider = QWidget()
        row = QHBoxLayout(slider)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(QLabel("informative"))
        row.addWidget(self.beta, 1)
        row.addWidget(QLabel("cheap"))
        self.n = SpinBox(label="crops to label (n)", value=10, min=1, max=LARGEST)
        self.shown = ComboBox(label="heatmap shows", choices=list(SHOWN), value=SHOWN[0])
        self.score_button = push_button("Score", "Ask the models about every crop of the frame.")
        self.label_button = push_button("Label 10 crops", "Show the best crops one after another.")
        self.label_button.setStyleSheet("font-weight: bold;")
        self.train_button = push_button("Train", "Retrain both models on all labels now.")
        acts = _row(self.score_button, self.label_button, self.train_button)
        return _part("Query", slider, _form(self.n, self.shown), acts)

    def _advanced_part(self, annotator: str) -> QWidget:
        self.alpha = FloatSpinBox(label="α", value=1.0, min=0.0, max=100.0, step=0.1)
        self.passes = SpinBox(label="passes T", value=50, min=1, max=LARGEST)
        self.acquisition = ComboBox(label="acquisition", choices=list(ACQUISITION_NAMES), value="std")
        self.stride = SpinBox(label="stride (px)", value=64, min=1, max=LARGEST)
        self.edge = ComboBox(label="at the edge", choices=["drop", "pad"], value="drop")
        self.normalise = ComboBox(label="normalise by", choices=["frame", "project"], value="frame")
        self.planes = ComboBox(label="planes", choices=list(PLANE_CHOICES), value=PLANE_CHOICES[0])
        self.idle_limit = FloatSpinBox(label="idle limit (s)", value=20.0, min=0.01, max=1e6)
        self.annotator = LineEdit(label="annotator", value=annotator, enabled=False)
        self.annotator.tooltip = "Change it in napari's preferences, under napari-costal."
        section = QCollapsible("Advanced")
        section.setDuration(0)
        decided = (self.acquisition, self.passes, self.alpha)
        cut = (self.stride, self.edge, self.normalise, self.planes)
        section.addWidget(_form(*decided, *cut, self.idle_limit, self.annotator))
        return section

    def _connect(self) -> None:
        for each in (self.crop, self.stride):
            each.native.setKeyboardTracking(False)  # a number is meant when it is typed out
        self.layer.changed.connect(lambda _: self.frame_changed.emit())
        self.planes.changed.connect(lambda _: self.frame_changed.emit())
        self.crop.changed.connect(self._follow_with_stride)
        for each in (self.stride, self.edge, self.normalise):
            each.changed.connect(lambda _: self._tell(self.tiling_changed.emit))
        for each in (self.alpha, self.passes, self.acquisition, self.n, self.idle_limit):
            each.changed.connect(lambda _: self._tell(lambda: self.choices_changed.emit(True)))
        self.n.changed.connect(lambda n: self.label_button.setText(f"Label {n} crops"))
        self.beta.valueChanged.connect(lambda _: self._tell(lambda: self.choices_changed.emit(False)))
        for slider in self.beta.findChildren(QSlider):
            slider.sliderReleased.connect(lambda: self.choices_changed.emit(True))
        self.class_table.itemChanged.connect(self._item_changed)

    def _tell(self, emit: Callable[[], None]) -> None:
        if not self._is_filling:
            emit()

    def _follow_with_stride(self, crop: int) -> None:
        """Keep crops side by side: whoever wants an overlap sets the stride afterwards."""
        if not self._is_filling:
            with self.stride.changed.blocked():
                self.stride.value = crop
            self.tiling_changed.emit()

    def _item_changed(self, item: QTableWidgetItem) -> None:
        if item.column() == 1:
            self._tell(lambda: self.class_renamed.emit(item.row(), item.text().strip()))

    def with_tiling(self, project: Project) -> Project:
        """Return the project with the tiling that the form shows."""
        crop = int(self.crop.value)
        tiling = replace(
            project.tiling,
            crop=crop,
            stride=min(int(self.stride.value), crop),
            edge=self.edge.value,
            normalise=self.normalise.value,
        )
        return replace(project, tiling=tiling)

    def with_choices(self, project: Project) -> Project:
        """Return the project with the agent's settings that the form shows."""
        choices = replace(
            project.choices,
            alpha=float(self.alpha.value),
            beta=round(float(self.beta.value()), 3),
            passes=int(self.passes.value),
            acquisition=str(self.acquisition.value),
            n=int(self.n.value),
        )
        return replace(project, choices=choices, idle_limit_s=float(self.idle_limit.value))

    def fill(self, project: Project, counts: dict[int, int]) -> None:
        """Show a project's settings and classes, without telling that they changed."""
        self._is_filling = True
        try:
            self.project_label.setText(f"<b>{project.name}</b><br><small>{project.folder}</small>")
            self.project_label.setToolTip(str(project.folder / PROJECT_FILE))
            self.crop.value, self.stride.value = project.tiling.crop, project.tiling.stride
            self.edge.value, self.normalise.value = project.tiling.edge, project.tiling.normalise
            self.alpha.value, self.passes.value = project.choices.alpha, project.choices.passes
            self.acquisition.value, self.n.value = project.choices.acquisition, project.choices.n
            self.idle_limit.value = project.idle_limit_s
            self.beta.setMaximum(max(STRONGEST_BETA, project.choices.beta))
            self.beta.setValue(project.choices.beta)
            self._fill_classes(project, counts)
        finally:
            self._is_filling = False

    def _fill_classes(self, project: Project, counts: dict[int, int]) -> None:
        self.class_table.setRowCount(len(project.classes))
        for row, each in enumerate(project.classes):
            swatch = QPixmap(14, 14)
            swatch.fill(QColor(each.colour))
            key = QTableWidgetItem(QIcon(swatch), each.key)
            count = QTableWidgetItem(str(counts.get(each.id, 0)))
            for item in (key, count):
                item.setFlags(Qt.ItemFlag.ItemIsEnabled)
            for col, item in enumerate((key, QTableWidgetItem(each.name), count)):
                self.class_table.setItem(row, col, item)

    def show_grid(self, grid: Grid | None, pixel_um: float | None) -> None:
        """Say how many crops of which size the frame has, and what is left out at the edge."""
        if grid is None:
            self.grid_label.setText("Choose an image layer, or open an image.")
            return
        side_um = crop_um(grid, pixel_um)
        size = f"{grid.crop} px" + (f" = {side_um:.3g} µm" if side_um else "")
        below = grid.height - (grid.rows - 1) * grid.stride - grid.crop
        beside = grid.width - (grid.cols - 1) * grid.stride - grid.crop
        left_out = f"<br><small>left out: {max(below, 0)} rows, {max(beside, 0)} columns of pixels</small>"
        has_rest = below > 0 or beside > 0
        self.grid_label.setText(
            f"{grid.rows} × {grid.cols} = <b>{len(grid)} crops</b> of {size}{left_out if has_rest else ''}"
        )


def _part(title: str, *widgets: QWidget) -> QWidget:
    part = QWidget()
    column = QVBoxLayout(part)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(4)
    for widget in (heading(title), *widgets):
        column.addWidget(widget)
    return part


def _row(*widgets: QWidget) -> QWidget:
    row = QWidget()
    line = QHBoxLayout(row)
    line.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        line.addWidget(widget)
    return row


def _form(*fields: Any) -> QWidget:
    form = Container(widgets=list(fields))
    form.margins = (0, 0, 0, 0)
    native: QWidget = form.native
    native.setProperty("container", form)  # magicgui's side must live as long as Qt's
    return native
