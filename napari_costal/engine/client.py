"""The window's side of the engine process: start it, send jobs, show progress, cancel, restart it when it dies."""

import logging
import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from qtpy.QtCore import QObject, QProcess, QProcessEnvironment, QTimer, Signal
from qtpy.QtWidgets import QMainWindow, QWidget

from napari_costal.engine.messages import Message, Unframer, framed

LOG = logging.getLogger(__name__)
PATIENCE_MS = 3000
"""The time that a cancelled job gets to stop before the process is killed."""


def main_window_of(widget: QWidget) -> QMainWindow | None:
    """Return the main window of a docked or floating widget, None if it has none."""
    home: QObject | None = widget
    while home is not None and not isinstance(home, QMainWindow):
        home = home.parent()
    return home


class EngineJob(QObject):
    """One call; exactly one of `result`, `failed` and `cancelled` is emitted, after all `progress`."""

    progress = Signal(object)
    result = Signal(object)
    failed = Signal(str)
    cancelled = Signal()

    def __init__(self, parent: QObject, number: int, function: str, request: Message) -> None:
        super().__init__(parent)
        self.number, self.function, self.request = number, function, request
        self.begun_again = False
        self.unwanted = False
        self.is_quiet = False


class Engine(QObject):
    """One engine process, shared by the docks of a window, started with the first job.

    Jobs run one after another. If the process dies, `notice` says so, and the process and its job start again. A job
    starts again only once; this is safe because jobs are pure or write atomically.
    """

    notice = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._users: set[int] = set()
        self._waiting: deque[EngineJob] = deque()
        self._running: EngineJob | None = None
        self._process: QProcess | None = None
        self._unframer = Unframer()
        self._count = 0

    @staticmethod
    def of(widget: QWidget) -> "Engine":
        """Return the engine of the widget's main window, or of the widget if it has no window; make it if needed."""
        home = main_window_of(widget) or widget
        engine_there = next((child for child in home.children() if isinstance(child, Engine)), None)
        engine = engine_there or Engine(home)
        engine._users.add(id(widget))
        return engine

    def start(self, function: str, request: Message, user: object, is_quiet: bool = False) -> EngineJob:
        """Return the job that calls ``module:function`` with the values of a message; `user` owns the job.

        A quiet job has one thread of low priority (see `quiet`).
        """
        self._count += 1
        job = EngineJob(self, self._count, function, request)
        job.setProperty("user", id(user))
        job.is_quiet = is_quiet
        self._waiting.append(job)
        QTimer.singleShot(0, self._next)
        return job

    def cancel(self, job: EngineJob) -> None:
        """Ask a job to stop; after three seconds the process is killed, and started again for the next job."""
        if job in self._waiting:
            self._waiting.remove(job)
            self._close(job, job.cancelled.emit)
        elif job is self._running and not job.unwanted:
            job.unwanted = True
            self._send(("cancel", job.number))
            QTimer.singleShot(PATIENCE_MS, lambda: self._lose_patience(job))

    def leave(self, widget: QWidget) -> None:
        """Cancel the jobs of a dock; the process ends with the last dock."""
        self._users.discard(id(widget))
        for job in [*self._waiting, *([self._running] if self._running else [])]:
            if job.property("user") == id(widget):
                self.cancel(job)
        if not self._users:
            self.stop()

    def stop(self) -> None:
        """End the process now. Nothing is lost, because it writes files atomically."""
        process, self._process = self._process, None
        running, self._running = self._running, None
        if process is not None:
            process.finished.disconnect(self._died)
            process.kill()
            process.waitForFinished(2000)
            process.deleteLater()
        if running is not None:
            self._close(running, running.cancelled.emit)

    @property
    def pid(self) -> int:
        """The process id, 0 if the process does not run."""
        return int(self._process.processId()) if self._process is not None else 0

    def _next(self) -> None:
        if self._running is not None or not self._waiting:
            return
        self._running = job = self._waiting.popleft()
        if self._process is None:
            self._launch()
        self._send(("run", job.number, job.function, job.request, job.is_quiet))

    def _launch(self) -> None:
        self._process = process = QProcess(self)
        environment = QProcessEnvironment.systemEnvironment()
        if not environment.contains("OMP_WAIT_POLICY"):
            environment.insert("OMP_WAIT_POLICY", "PASSIVE")  # otherwise waiting threads would use the window's cores
        process.setProcessEnvironment(environment)
        process.readyReadStandardOutput.connect(self._read)
        process.readyReadStandardError.connect(self._log)
        process.finished.connect(self._died)
        process.errorOccurred.connect(self._not_started)
        self._unframer = Unframer()
        process.start(sys.executable, ["-m", "napari_costal.engine.process"])

    def _send(self, message: object) -> None:
        if self._process is not None:
            self._process.write(framed(message))

    def _read(self) -> None:
        if self._process is None:
            return
        for kind, number, *rest in self._unframer.feed(bytes(self._process.readAllStandardOutput())):
            job = self._running
            if job is None or job.number != number:
                continue
            if kind != "progress":
                self._finish(job, kind, rest)
            elif not job.unwanted:
                job.progress.emit(rest[0])

    def _finish(self, job: EngineJob, kind: str, rest: list[Any]) -> None:
        """Emit the outcome of a job; a cancelled job has no other outcome."""
        self._running = None
        emit: Callable[[], None] = job.cancelled.emit
        if kind == "result":
            try:
                emit = partial(job.result.emit, None if job.unwanted else rest[0].unpack())
            except OSError as error:
                emit = partial(job.failed.emit, f"The result of the engine could not be read: {error}. Try again.")
            rest[0].discard()
        elif kind == "failed":
            if rest[1]:
                LOG.error("%s", rest[1])
            emit = partial(job.failed.emit, rest[0])
        self._close(job, job.cancelled.emit if job.unwanted else emit)
        self._next()

    def _close(self, job: EngineJob, emit: Callable[[], None]) -> None:
        job.request.discard()
        emit()
        job.deleteLater()

    def _log(self) -> None:
        if self._process is not None:
            text = bytes(self._process.readAllStandardError()).decode(errors="replace").rstrip()
            if text:
                LOG.warning("engine process: %s", text)

    def _died(self, code: int, _status: object) -> None:
        """Go on after the process crashed or was killed."""
        self._log()
        process, self._process = self._process, None
        if process is not None:
            process.deleteLater()
        job, self._running = self._running, None
        if job is None:
            self.notice.emit("The engine process ended while it was idle. It starts again with the next job.")
        elif job.unwanted:
            self._close(job, job.cancelled.emit)
        elif job.begun_again:
            reason = f"The engine process ended unexpectedly twice (code {code}). Your labels are safe. Try again."
            self._close(job, lambda: job.failed.emit(reason))
        else:
            job.begun_again = True
            self._waiting.appendleft(job)
            self.notice.emit("The engine process ended unexpectedly. It was restarted, and the job started again.")
        self._next()

    def _not_started(self, error: QProcess.ProcessError) -> None:
        """Report that the process could not be started; in this case `finished` is never emitted."""
        if error == QProcess.ProcessError.FailedToStart:
            job, self._running, self._process = self._running, None, None
            reason = f"The engine process could not be started with {sys.executable}. Install the plugin again."
            if job is not None:
                self._close(job, lambda: job.failed.emit(reason))

    def _lose_patience(self, job: EngineJob) -> None:
        if self._running is job and self._process is not None:
            self._process.kill()
