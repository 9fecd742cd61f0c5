"""After a training: how many crops of the frame changed class, where, and a button to the previous model."""

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from costal.labels.models import ModelVersion
from costal.scoring.changes import ClassChanges, class_changes
from costal.scoring.scores import FrameScores
from costal.workbench.overview import roll_back_to
from napari_costal.label_crops.frame_canvas import FrameCanvas
from napari_costal.label_crops.frame_session import FrameSession
from napari_costal.label_crops.open_project import OpenProject
from napari_costal.label_crops.query_session import QuerySession
from napari_costal.label_crops.view import Words
from napari_costal.ui.parts import beside, push_button, sentence


class ChangesView(QWidget):
    """A sentence, a checkbox that shows where, and a button that goes back; hidden when there is nothing to report."""

    shown = Signal(bool)
    went_back = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.text = sentence()
        self.where = QCheckBox("Show where")
        self.where.toggled.connect(self.shown)
        self.back_button = push_button("Back", "Make the previous model the newest again. Labels stay.")
        self.back_button.clicked.connect(lambda: self.went_back.emit())
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 0, 8, 0)
        column.addWidget(self.text)
        column.addLayout(beside(self.where, self.back_button, shares=(1,)))
        self.hide()

    def say(self, changes: ClassChanges) -> None:
        """Show what changed; the checkbox draws where."""
        self.text.setText(changes.text)
        self.where.setVisible(bool(changes.changed_N.any()))
        self.back_button.setText(f"Back to model {changes.before}")
        self.show()


class AfterTraining(QObject):
    """Compares the frame's scores before and after a training."""

    def __init__(
        self,
        parent: QObject,
        words: Words,
        canvas: FrameCanvas,
        session: OpenProject,
        frame: FrameSession,
        query: QuerySession,
    ) -> None:
        super().__init__(parent)
        self._words, self._canvas, self._session, self._query = words, canvas, session, query
        self._before: FrameScores | None = None
        self.changes: ClassChanges | None = None
        self.view = ChangesView()
        self.view.shown.connect(lambda _: self._draw())
        self.view.went_back.connect(self.go_back)
        query.learned.connect(self._learned)
        query.scored.connect(self._scored)
        frame.left.connect(self.forget)

    def forget(self) -> None:
        """Hide the changes: another frame or another model follows."""
        self._before = self.changes = None
        self.view.hide()
        self.view.where.setChecked(False)
        self._canvas.clear_changes()

    def _learned(self) -> None:
        before = self._query.frame_scores
        self.forget()
        self._before = before

    def _scored(self, frame_scores: FrameScores) -> None:
        self.changes, self._before = class_changes(self._before, frame_scores), None
        if self.changes is not None:
            self.view.say(self.changes)

    def _draw(self) -> None:
        if self.changes is not None:
            self._canvas.show_changes(self.changes.changed_N, self.view.where.isChecked())

    def go_back(self) -> None:
        """Save the previous model as the newest, then score with it."""
        project, changes = self._session.project, self.changes
        if project is None or changes is None or not self._session.may_write():
            return

        def rolled_back(model_version: ModelVersion) -> None:
            self.forget()
            self._query.trainer.learned(model_version.provenance)
            self._words.say(f"Model {model_version.number} is now the newest. It is a copy of model {changes.before}.")
            self._query.score()

        complain = self._words.complain
        self._session.store.run(roll_back_to, project.folder, changes.before, then=rolled_back, failed=complain)
