"""The form of *Label crops* in three tabs: project, frames, label. It holds values and emits their changes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, LineEdit
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLabel, QMenu, QSlider, QTabWidget, QVBoxLayout, QWidget
from superqt import QLabeledDoubleSlider

from costal.agent.cards import default_backbone, offered_names
from costal.frames.grid import crop_um
from costal.labels.lock import Holder
from costal.labels.project import PROJECT_FILE, Choices, Intake, Project, Tiling
from costal.numerals import counted
from costal.settings import key_of
from costal.types import Grid
from costal.workbench.new_project import NEW_ACQUISITION
from napari_costal.canvas.layer_frames import PLANE_CHOICES
from napari_costal.label_crops.arrivals_part import ArrivalsPart
from napari_costal.label_crops.channel_list import ChannelList
from napari_costal.label_crops.class_table import ClassTable
from napari_costal.label_crops.start_tab import StartTab
from napari_costal.label_crops.view import SHOWN
from napari_costal.ui.colour_bar import ColourBar
from napari_costal.ui.fields import setting_field
from napari_costal.ui.parts import form, part, push_button, row, scrolled, sentence, stacked
from napari_costal.ui.tools import LABELLING_KEYS

STRONGEST_BETA = 2.0
ABOUT_BACKBONES = (
    "The network that turns crops into features. gal2017 is trained from scratch for every model. efficientnet_lite0 "
    "was trained on ImageNet and stays fixed: it is better with few labels, and training takes about a second. Add "
    "other backbones with 'costal backbone add' or 'costal backbone download'. Train again after a change."
)


class SetupPage(QTabWidget):
    """All settings of a project and a frame; `acts` are the buttons below all tabs.

    `frames_place` is the place of the list of the project's frames.
    """

    frame_changed = Signal()
    tiling_changed = Signal()
    choices_changed = Signal(bool)

    def __init__(
        self, layers: Callable[[Any], list[Any]], annotator: str, tool_keys: Mapping[str, str] = LABELLING_KEYS
    ) -> None:
        super().__init__()
        self._is_filling = False
        self._fields: dict[type, dict[str, Any]] = {kind: {} for kind in (Tiling, Choices, Intake, Project)}
        self.frames_place = QVBoxLayout()
        self.arrivals = ArrivalsPart()
        self.classes = ClassTable(tool_keys)
        self.project_tab = stacked(self._project_part(), self._advanced_part(annotator))
        self.frames_tab = stacked(self._frame_part(layers), self.frames_place, self.arrivals, tall=1)
        self.label_tab = stacked(part("Classes", self.classes), self._query_part(), tall=0)
        self.start = StartTab()
        tabs = (self.start, self.project_tab, self.frames_tab, self.label_tab)
        self._areas: dict[QWidget, QWidget] = {tab: scrolled(tab) for tab in tabs}
        for area, title in zip(self._areas.values(), ("Start", "Project", "Frames", "Label"), strict=True):
            self.addTab(area, title)
        self.setDocumentMode(True)
        self.help_button = push_button("Help", "How to label, and what each key does.")
        self.setCornerWidget(self.help_button)
        self._connect()

    def show_tab(self, tab: QWidget) -> None:
        """Bring a tab to the front."""
        self.setCurrentWidget(self._areas[tab])

    def is_at(self, tab: QWidget) -> bool:
        """Return whether a tab is in front."""
        return self.currentWidget() is self._areas[tab]

    def remove_start(self) -> None:
        """Take away the tab of the first steps; a hidden tab would leave its place empty."""
        if (place := self.indexOf(self._areas[self.start])) >= 0:
            self.removeTab(place)

    def _field(self, kind: type, name: str, label: str, **options: Any) -> Any:
        """Return the field of a setting; it is filled, read and connected like the others of its kind."""
        self._fields[kind][name] = field = setting_field(kind, name, label, **options)
        return field

    def _project_part(self) -> QWidget:
        self.project_label = sentence("No project is open. A new one is made when you start to label.")
        self.new_button = push_button("New …", "Make a project in a new folder.")
        self.open_button = push_button("Open …", "Open the folder of a project.")
        self.holder_label = sentence()
        self.holder_label.setStyleSheet("background: #6b4a12; color: white; padding: 4px;")
        self.holder_label.hide()
        self.recent_button = push_button("Recent", "Projects that you opened before.")
        self.recent_menu = QMenu(self)
        self.recent_button.setMenu(self.recent_menu)
        self.dashboard_button = push_button("Dashboard", "The accuracy, effort and models of the project.")
        self.apply_button = push_button("Apply …", "Run the trained classifier on layers, files and folders.")
        opening = row(self.new_button, self.open_button, self.recent_button)
        self.exchange_button = push_button("Export", "Export and import labels: tables, COCO, GeoJSON, images, JSON.")
        tools = row(self.dashboard_button, self.apply_button, self.exchange_button)
        self.accuracy_label = sentence()
        return part("Project", self.project_label, self.holder_label, opening, tools, self.accuracy_label)

    def _frame_part(self, layers: Callable[[Any], list[Any]]) -> QWidget:
        self.layer = ComboBox(label="layer", choices=layers, nullable=True)
        self.crop = self._field(Tiling, "crop", "crop size (px)")
        self.grid_label = sentence("Choose an image layer, or open an image.")
        self.channels = ChannelList()
        self.open_image_button = push_button("Open image …", "TIFF, OME-TIFF, PNG or JPEG, with its pixel size.")
        return part("Frame", form(self.layer, self.crop), self.channels, self.grid_label, row(self.open_image_button))

    def _query_part(self) -> QWidget:
        self.beta = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.beta.setRange(0.0, STRONGEST_BETA)
        self.beta.setDecimals(2)
        self.beta.setValue(key_of(Choices, "beta").default)
        self.beta.setToolTip(key_of(Choices, "beta").setting.meaning)
        slider = row(QLabel("informative"), self.beta, QLabel("cheap"), shares=(0, 1))
        self.n = self._field(Choices, "n", "ask for (n)")
        self.minutes = self._field(Choices, "minutes", "", min=0.1, step=1.0, visible=False)
        self.by = self._field(Choices, "by", "")
        self.gallery_button = push_button(
            "Gallery …", "Many crops at a glance: label several at once, accept predictions."
        )
        self.keeps_going = CheckBox(text="go on while the models learn", value=False)
        self.keeps_going.tooltip = "The next query begins at once, while the models learn in the background."
        self.still = CheckBox(text="keep the order fixed", value=False)
        self.still.tooltip = (
            "Change the heatmap and the order only when the query ends, even if the models learn during the query."
        )
        self.shown = ComboBox(label="heatmap shows", choices=list(SHOWN), value=SHOWN[0])
        self.colour_bar = ColourBar()
        self.score_button = push_button("Score", "Let the models score every crop of the frame.")
        self.label_button = push_button("Label 10 crops", "Show the best crops one after another.")
        self.label_button.setStyleSheet("font-weight: bold;")
        self.train_button = push_button("Train", "Retrain both models on all labels now.")
        self.acts = row(self.score_button, self.label_button, self.train_button, shares=(1, 2, 1))
        self.boxes_label = sentence()
        self.boxes_label.hide()
        self.starving_label = sentence()
        self.starving_label.hide()
        fields = form((self.n, self.minutes, self.by), self.shown)
        return part(
            "Query",
            slider,
            self.starving_label,
            fields,
            self.colour_bar,
            self.boxes_label,
            row(self.keeps_going.native, self.gallery_button),
            self.still.native,
        )

    def _advanced_part(self, annotator: str) -> QWidget:
        default, lacking = default_backbone()
        self.alpha = self._field(Choices, "alpha", "α", step=0.1)
        self.passes = self._field(Choices, "passes", "passes T")
        self.acquisition = self._field(Choices, "acquisition", "acquisition", value=NEW_ACQUISITION)
        own = {"tooltip": ABOUT_BACKBONES, "choices": list(offered_names()), "value": default}
        self.backbone = self._field(Choices, "backbone", "backbone", **own)
        self.features = self._field(Project, "features_mb", "features (MB)", step=100)
        self.stride = self._field(Tiling, "stride", "stride (px)")
        self.edge = self._field(Tiling, "edge", "at the edge")
        self.normalise = self._field(Tiling, "normalise", "normalise by")
        self.new_range = CheckBox(text="measure the intensity range again", value=False)
        self.new_range.tooltip = (
            "If 'normalise by' is 'project', the first training fixes the intensity range of all frames. Tick this to "
            "measure it again, once, at the next training."
        )
        self.planes = ComboBox(label="planes", choices=list(PLANE_CHOICES), value=PLANE_CHOICES[0])
        self.diverse = self._field(Choices, "diverse", "skip near-duplicates and direct neighbours")
        self.control_share = self._field(Choices, "control_share", "control share", step=0.05)
        self.retrain = self._field(Choices, "retrain", "learn after")
        self.repeat_share = self._field(Choices, "repeat_share", "repeats", step=0.01)
        self.z, self.t = (self._field(Intake, axis, f"{axis.upper()} of files") for axis in "zt")
        self.axes = LineEdit(label="axes of files")
        self.axes.tooltip = (
            "Axes of an image, such as ZCYX, if the axes in its file are missing or wrong. They are used for the next "
            "image that you open; Enter also sets them for the image shown. The project remembers them for all files "
            "with the same ending and the same axes in the file. Empty: use the axes in the file."
        )
        self.idle_limit = self._field(Project, "idle_limit_s", "idle limit (s)", min=0.01)
        self.annotator = LineEdit(label="annotator", value=annotator, enabled=False)
        self.annotator.tooltip = "Change this in napari's preferences, under napari-costal."
        drawn = (self.control_share, self.repeat_share)
        decided = (self.backbone, self.acquisition, (self.passes, self.alpha), drawn, self.diverse)
        cut = ((self.stride, self.edge), self.normalise, self.new_range, self.planes, (self.z, self.t), self.axes)
        settings = form(*decided, *cut, (self.retrain, self.idle_limit), (self.features, self.annotator))
        return part("Advanced", *([sentence(lacking)] if lacking else []), settings)

    def _connect(self) -> None:
        for each in (self.crop, self.stride):
            each.native.setKeyboardTracking(False)  # a number counts once it is typed completely
        self.layer.changed.connect(lambda _: self.frame_changed.emit())
        self.planes.changed.connect(lambda _: self.frame_changed.emit())
        self.crop.changed.connect(self._follow_with_stride)
        for name, field in self._fields[Tiling].items():
            if name != "crop":
                field.changed.connect(lambda _: self._tell(self.tiling_changed.emit))
        for kind in (Choices, Intake, Project):
            for field in self._fields[kind].values():
                field.changed.connect(lambda _: self._tell(lambda: self.choices_changed.emit(True)))
        for each in (self.by, self.n, self.minutes):
            each.changed.connect(lambda _: self._name_query())
        self.beta.valueChanged.connect(lambda _: self._tell(lambda: self.choices_changed.emit(False)))
        for slider in self.beta.findChildren(QSlider):
            slider.sliderReleased.connect(lambda: self.choices_changed.emit(True))

    def _name_query(self) -> None:
        """Show the size of the query on the button, and the number field that applies."""
        by_crops = self.by.value == "crops"
        self.n.visible, self.minutes.visible = by_crops, not by_crops
        size = counted(self.n.value, "crop") if by_crops else f"for {self.minutes.value:g} min"
        self.label_button.setText(f"Label {size}")

    def _tell(self, emit: Callable[[], None]) -> None:
        if not self._is_filling:
            emit()

    def _follow_with_stride(self, crop: int) -> None:
        """Keep crops side by side: for an overlap, the stride is set afterwards."""
        if not self._is_filling:
            with self.stride.changed.blocked():
                self.stride.value = crop
            self.tiling_changed.emit()

    def new_range_wanted(self) -> bool:
        """Return whether the next training measures the project's range again, and clear the tick."""
        is_ticked, self.new_range.value = bool(self.new_range.value), False
        return is_ticked

    def with_tiling(self, project: Project) -> Project:
        """Return the project with the tiling that the form shows."""
        shown = self._shown(Tiling)
        return replace(
            project, tiling=replace(project.tiling, **shown | {"stride": min(shown["stride"], shown["crop"])})
        )

    def with_choices(self, project: Project) -> Project:
        """Return the project with the agent's settings that the form shows."""
        choices = replace(project.choices, beta=round(float(self.beta.value()), 3), **self._shown(Choices))
        intake = replace(project.intake, **self._shown(Intake))
        return replace(project, choices=choices, intake=intake, **self._shown(Project))

    def _shown(self, kind: type) -> dict[str, Any]:
        return {name: field.value for name, field in self._fields[kind].items()}

    def fill(self, project: Project, counts: dict[int, int]) -> None:
        """Show a project's settings and classes, without a signal."""
        self._is_filling = True
        try:
            self.project_label.setText(f"<b>{project.name}</b><br><small>{project.folder}</small>")
            self.project_label.setToolTip(str(project.folder / PROJECT_FILE))
            own = project.choices.backbone  # its weights may be missing on this machine
            self.backbone.choices = list(dict.fromkeys((*offered_names(), own)))
            for settings in (project.tiling, project.choices, project.intake, project):
                for name, field in self._fields[type(settings)].items():
                    field.value = getattr(settings, name)
            self.beta.setMaximum(max(STRONGEST_BETA, project.choices.beta))
            self.beta.setValue(project.choices.beta)
            self.classes.fill(project, counts)
        finally:
            self._is_filling = False

    def show_holder(self, holder: Holder | None) -> None:
        """Show that another window or program writes to the project, and allow no changes here."""
        self.holder_label.setVisible(holder is not None)
        self.holder_label.setText(f"Read only: {holder} writes to this project." if holder is not None else "")
        for each in (self.label_button, self.train_button, self.classes):
            each.setEnabled(holder is None)

    def show_recent(self, folders: Sequence[Path], open_project: Callable[[Path], None]) -> None:
        """List the projects that were opened before."""
        self.recent_menu.clear()
        for folder in folders:
            action = self.recent_menu.addAction(f"{folder.name}  —  {folder.parent}")
            action.triggered.connect(lambda _=False, folder=folder: open_project(folder))
        self.recent_button.setEnabled(bool(folders))

    def show_query(self, crop_count: int, drawn: int) -> None:
        """Show how many crops of the query have a box over the frame, if there are too many for all."""
        self.boxes_label.setText(
            f"Boxes are drawn for the first {drawn} of {crop_count} crops; the query has all of them."
        )
        self.boxes_label.setVisible(crop_count > drawn)

    def show_starving(self, text: str) -> None:
        """Show below the slider that a class is rarely queried because it takes long; empty hides the text."""
        self.starving_label.setText(text)
        self.starving_label.setVisible(bool(text))

    def show_grid(self, grid: Grid | None, pixel_um: float | None) -> None:
        """Show the number and size of the frame's crops, and the pixels left out at the edge."""
        if grid is None:
            self.grid_label.setText("Choose an image layer, or open an image.")
            return
        side_um = crop_um(grid, pixel_um)
        size = f"{grid.crop} px" + (f" = {side_um:.3g} µm" if side_um else "")
        below = grid.height - (grid.rows - 1) * grid.stride - grid.crop
        beside = grid.width - (grid.cols - 1) * grid.stride - grid.crop
        rows, columns = counted(max(below, 0), "row"), counted(max(beside, 0), "column")
        left_out = f"<br><small>left out: {rows}, {columns} of pixels</small>"
        has_rest = below > 0 or beside > 0
        self.grid_label.setText(
            f"{grid.rows} × {grid.cols} = <b>{counted(len(grid), 'crop')}</b> of {size}{left_out if has_rest else ''}"
        )
