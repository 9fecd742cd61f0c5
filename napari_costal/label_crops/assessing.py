"""The model is assessed in the background after each training, and a line shows its accuracy.

The job has its own engine process of the lowest priority, so no query waits for it. The process ends with the job.
"""

from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QLabel

from costal.labels.project import Project
from costal.workbench.assessing import FEWEST_LABELS, AssessmentRequest
from costal.workbench.assessment import Assessment, Kept, kept_now
from napari_costal.engine.calls import Caller, Thread
from napari_costal.engine.client import Engine
from napari_costal.engine.latest import Latest
from napari_costal.label_crops.frame_session import FrameSession
from napari_costal.label_crops.open_project import OpenProject
from napari_costal.label_crops.query_session import QuerySession

LOOKS_AFTER_MS = 1000
"""Labels that follow each other within this time are handled once."""
NOT_YET = "Accuracy in cross-validation: not yet. "


class OwnEngine:
    """An engine process for one job at a time; it ends with the job to free its memory."""

    def __init__(self, parent: QObject) -> None:
        self._engine = Engine(parent)

    def start(self, function: str, message: Any) -> Any:
        """Start a job (see `Engine.start`)."""
        job = self._engine.start(function, message, self)
        for ending in (job.result, job.failed):
            ending.connect(lambda *_: QTimer.singleShot(0, self.stop))
        return job

    def cancel(self, _job: Any) -> None:
        """End the process: nothing is half written."""
        self.stop()

    def stop(self) -> None:
        """End the process now."""
        self._engine.stop()


class Assessing(QObject):
    """One assessment at a time, on the newest labels; a request that comes meanwhile follows."""

    assessed = Signal()
    """There is a new assessment in the project's folder."""

    def __init__(
        self,
        parent: QObject,
        label: QLabel,
        session: OpenProject,
        frame: FrameSession,
        query: QuerySession,
        pixels: Thread,
        device: str = "auto",
        engine: Any = None,
    ) -> None:
        super().__init__(parent)
        self._label, self._session, self._device = label, session, device
        self._engine = engine if engine is not None else OwnEngine(self)
        self._caller = Caller(pixels, self._engine, lambda _: None)
        self._pixels = pixels
        self._again = False
        self._failure = ""
        self._looking = Latest()
        self._timer = QTimer(self, interval=LOOKS_AFTER_MS, singleShot=True)
        self._timer.timeout.connect(self.look)
        session.opened.connect(self._opened)
        session.leaving.connect(self.cancel)
        session.changed.connect(self._changed)
        query.learned.connect(self.assess)
        frame.relabelled.connect(self._relabelled)

    @property
    def is_busy(self) -> bool:
        """Whether an assessment runs."""
        return self._caller.is_busy

    def _opened(self) -> None:
        self.look()

    def _changed(self, _before: Project, _project: Project) -> None:
        self._timer.start()

    def _relabelled(self, _before: Any, _label: Any) -> None:
        self._timer.start()

    def assess(self) -> None:
        """Assess the project on the current labels; a read-only window starts nothing."""
        project_session, project = self._session.project_session, self._session.project
        if project is None or project_session is None or project_session.holder is not None:
            return
        if self._caller.is_busy:
            self._again = True
            return
        if self._why_not(project):
            self.look()
            return

        def done(outcome: Assessment | str) -> None:
            again, self._again = self._again, False
            self._failure = outcome if isinstance(outcome, str) else ""
            self.look()
            self.assessed.emit()
            if again:
                self.assess()

        request = AssessmentRequest(project, self._device)
        function = "costal.workbench.assessing:assess_quietly"
        self._caller.call(function, (request,), done, done, "Assessing")

    def look(self) -> None:
        """Show the line of the stored assessment."""
        project, ticket = self._session.project, self._looking.renew()
        if project is None:
            return
        shown = ticket.only(self._show)
        self._session.store.run(kept_now, project, then=shown, failed=ticket.only(self._unread))

    def _show(self, kept: Kept | None) -> None:
        project = self._session.project
        reason = self._why_not(project) if project is not None else ""
        missing = NOT_YET + (reason or self._failure or "It is measured after the next training.")
        self._label.setText(missing if kept is None or reason else kept.line)
        self._label.setToolTip("" if kept is None else kept.assessment.sentence)

    def _why_not(self, project: Project) -> str:
        """Return why no assessment is needed or possible; empty if one can start."""
        if project.choices.backbone == "gal2017":
            return "With gal2017 it would take as long as ten trainings. See the controls in the dashboard instead."
        lacking = FEWEST_LABELS - self._session.label_count
        return f"It needs {FEWEST_LABELS} labels, {lacking} more than now." if lacking > 0 else ""

    def _unread(self, _reason: str) -> None:
        self._label.setText("")

    def cancel(self) -> None:
        """Stop assessing: the project is closed."""
        self._again, self._failure = False, ""
        self._timer.stop()
        self._looking.renew()
        self._caller.cancel()

    def stop(self) -> None:
        """Leave no process or timer behind."""
        self.cancel()
        self._engine.stop()
