"""The dashboard's page *Replay*: what other settings would have saved on the project's labels and times."""

from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QProgressBar, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from costal.paper.replay_table import HEADS, ReplayTable
from costal.types import Progress
from napari_costal.engine.calls import Caller, Thread
from napari_costal.ui.parts import ALARM, beside, paint, push_button, sentence
from napari_costal.ui.tables import dress, show_only

REPLAYED = "costal.paper.replay:replay_table"
WHAT = (
    "A replay simulates the labelling of this project again, with the labels that it has. It compares three ways to "
    "choose crops: at random, with the project's settings, and with these settings but without cost (or with cost, "
    "if β is 0). Each label costs the seconds that you needed. A replay takes about 20 seconds for 200 labels and does "
    "not change the project."
)


class ReplayPage(QWidget):
    """A button that replays, and the result; it has its own engine, so that labelling and training go on."""

    def __init__(self, thread: Thread, engine: Any) -> None:
        super().__init__()
        self._engine, self._folder = engine, Path()
        self._caller = Caller(thread, self, self._show_progress)
        self.what, self.message, self.notes = sentence(), sentence(), sentence()
        self.what.setText(WHAT)
        self.button = push_button("Replay", "Start the replay in the background.", self.replay)
        self.cancel_button = push_button("Cancel", "Stop the replay.", self.cancel_running)
        self.progress = QProgressBar()
        self.table = QTableWidget(0, len(HEADS))
        self.table.setHorizontalHeaderLabels(HEADS)
        show_only(self.table)
        dress(self.table, self.table.verticalHeader().defaultSectionSize(), {})
        self.table.horizontalHeader().setStretchLastSection(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 4)
        column.addWidget(self.what)
        column.addLayout(beside(self.button, self.progress, self.cancel_button, shares=(0, 1)))
        for each in (self.message, self.table, self.notes):
            column.addWidget(each, 100 * (each is self.table))
        column.addStretch(1)  # without a table the sentences stay at the top
        self._show_progress(None)
        self.turn_to(None)

    def turn_to(self, folder: Path | None) -> None:
        """Show another project, or none; the result of the previous project is cleared."""
        self.cancel_running()
        self._folder = folder or Path()
        self.button.setEnabled(folder is not None)
        self._say("")
        self.notes.setText("")
        self.table.setRowCount(0)
        self.table.hide()

    def replay(self) -> None:
        """Replay the project's labels."""
        self._say("")
        self._caller.call(REPLAYED, (self._folder,), self._show, self._complain, "Replay")

    def cancel_running(self) -> None:
        """Stop the replay, if one runs."""
        self._caller.cancel()

    def start(self, function: str, message: Any) -> Any:
        """Start a job in the page's engine process (see `Engine.start`)."""
        return self._engine.start(function, message, self)

    def cancel(self, job: Any) -> None:
        """Cancel a job (see `Engine.cancel`)."""
        self._engine.cancel(job)

    def stop(self) -> None:
        """Leave no process behind."""
        self.cancel_running()
        self._engine.stop()

    def _show(self, replay: ReplayTable) -> None:
        self._say("<br>".join(replay.sentences))
        self.notes.setText("<small>" + "<br>".join(replay.notes) + "</small>")
        self.table.setRowCount(len(replay.rows))
        for row, cells in enumerate(replay.rows):
            for column, text in enumerate(cells):
                self.table.setItem(row, column, QTableWidgetItem(text))
        self.table.resizeColumnsToContents()
        self.table.show()

    def _complain(self, text: str) -> None:
        self._say(text, ALARM)

    def _say(self, text: str, colour: str = "") -> None:
        paint(self.message, colour)
        self.message.setText(text)

    def _show_progress(self, progress: Progress | None) -> None:
        is_busy = progress is not None
        self.button.setVisible(not is_busy)
        self.progress.setVisible(is_busy)
        self.cancel_button.setVisible(is_busy)
        if progress is not None:
            self.progress.setRange(0, progress.total)
            self.progress.setValue(progress.done)
            self.progress.setFormat(progress.message)
