"""The tab *Start* of *Label crops*: three steps from an empty window to the first labels, each ticked off when done."""

from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_costal.ui.parts import heading, push_button, row, sentence

OPEN = "OME-TIFF, PNG or JPEG, an image layer of napari, or a folder that a microscope writes to."
NAME = "What do you want to distinguish, such as cells and background? Two classes are enough to begin."
LABEL = "You see a crop and press the key of its class; the next crop follows. After ten crops the models learn."
LOOP = (
    "From then on <b>Label</b> asks for the crops that teach the models the most in the least time. The heatmap shows "
    "where they are. All settings are in the tabs <b>Project</b>, <b>Frames</b> and <b>Label</b>."
)
DONE = "#3fae5a"


class Step(QWidget):
    """One step: its number or a tick, title, text and buttons."""

    def __init__(self, number: int, title: str, text: str, *buttons: QPushButton) -> None:
        super().__init__()
        self._number = str(number)
        self.mark, self.is_done = QLabel(self._number), False
        self.mark.setFixedWidth(22)
        column = QVBoxLayout()
        column.setSpacing(4)
        for each in (heading(title), sentence(text), row(*buttons)):
            column.addWidget(each)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.mark)
        line.addLayout(column, 1)
        self.tick(False)

    def tick(self, is_done: bool) -> None:
        """Show whether the step is done."""
        self.is_done = is_done
        self.mark.setText("✓" if is_done else self._number)
        self.mark.setStyleSheet(f"font-size: 15pt; font-weight: bold; {f'color: {DONE};' if is_done else ''}")


class StartTab(QWidget):
    """Three steps with their buttons."""

    def __init__(self) -> None:
        super().__init__()
        self.open_button = push_button("Open image …", "Open a file as the frame to label.")
        self.watch_button = push_button("Watch folder …", "Take frames from a folder that a microscope writes to.")
        self.sample_button = push_button("Sample data", "Open a simulated STED image to try the plugin.")
        self.names_button = push_button("Name classes", "Make a project and name its classes.")
        self.label_button = push_button("Label the first crops", "Show the first crops, one after another.")
        self.project_button = push_button("Open project …", "Continue an existing project.")
        opening = (self.open_button, self.watch_button, self.sample_button)
        self.steps = (
            Step(1, "Open images", OPEN, *opening),
            Step(2, "Name your classes", NAME, self.names_button),
            Step(3, "Label", LABEL, self.label_button),
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 4)
        column.setSpacing(10)
        for each in (*self.steps, sentence(LOOP), row(self.project_button)):
            column.addWidget(each)
        column.addStretch(1)

    def tick(self, *are_done: bool) -> None:
        """Tick off the steps that are done."""
        for step, is_done in zip(self.steps, are_done, strict=True):
            step.tick(is_done)
