"""Arriving frames: a folder is watched on its own thread, and new frames are scored in the background."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from qtpy.QtCore import QObject, Signal

from costal.frames.watch import watch
from costal.labels.project import Project
from costal.types import Arrival
from costal.workbench.arrivals import FramePriority, PriorityRequest
from napari_costal.engine.calls import Caller
from napari_costal.engine.latest import Latest, Ticket
from napari_costal.label_crops.arrivals_part import ArrivalsPart, Row

MOST_RESCORED = 20


class Intake(QObject):
    """The watched folder of the open project. `keep` stores the files seen, so a restart does not read them again."""

    _changed = Signal(object, object)
    _failed = Signal(object, str)

    def __init__(
        self,
        part: ArrivalsPart,
        caller: Caller,
        keep: Callable[[list[Arrival]], None],
        say: Callable[[str], None],
        complain: Callable[[str], None],
        is_free: Callable[[], bool],
    ) -> None:
        super().__init__(part)
        self._part, self._caller, self._keep, self._say, self._is_free = part, caller, keep, say, is_free
        self._project: Project | None = None
        self._annotator, self._device = "", "auto"
        self._newest = Latest()
        self._stop: threading.Event | None = None
        self._thread: threading.Thread | None = None
        self._unscored: deque[str] = deque()
        self._begun: set[str] = set()
        self._changed.connect(self._take)
        self._failed.connect(lambda ticket, reason: ticket.only(complain)(reason))

    def follow(
        self, project: Project, known: list[Arrival], annotator: str, device: str, begun: Iterable[str] = ()
    ) -> None:
        """Watch the folder of a project from now on, if it has one; `begun` are the sources of frames with answers."""
        self.stop()
        self._begun = set(begun)
        self._project, self._annotator, self._device = project, annotator, device
        self._part.model.clear()
        self._part.show_folder(project.intake.folder)
        if not project.intake.folder:
            return
        self._part.model.arrived(known)
        self._unscored.extend(each.path for each in known if each.state == "ready")
        self._part.show_counts(project.intake.folder)
        self._stop = stop = threading.Event()
        ticket = self._newest.ticket()
        self._thread = threading.Thread(
            target=watch,
            args=(
                Path(project.intake.folder),
                lambda arrivals: self._changed.emit(ticket, arrivals),
                lambda reason: self._failed.emit(ticket, reason),
                stop,
                known,
            ),
            name="costal-watch",
            daemon=True,
        )
        self._thread.start()
        self.score_next()

    def configured(self, project: Project) -> None:
        """Score with a project's new settings from now on."""
        self._project = project

    def stop(self) -> None:
        """Stop watching."""
        self._newest.renew()
        stop, thread = self._stop, self._thread
        self._stop, self._thread = None, None
        self._caller.cancel()
        self._unscored.clear()
        if stop is not None and thread is not None:
            stop.set()
            thread.join(2)

    def rescore(self) -> None:
        """Score the newest frames again: the models were trained."""
        newest = dict.fromkeys(row.arrival.path for row in self._part.model.rows if row.arrival.state == "ready")
        for path in list(newest)[:MOST_RESCORED]:
            if path not in self._unscored:
                self._unscored.append(path)
        self.score_next()

    def score_next(self) -> None:
        """Score the newest frame without scores, unless the engine works for the expert now."""
        project = self._project
        if project is None or self._caller.is_busy or not self._unscored or not self._is_free():
            return
        path = self._unscored.popleft()
        request = PriorityRequest(project, Path(project.intake.folder) / path, self._annotator, self._device)

        def scored(offers: tuple[FramePriority, ...]) -> None:
            self._part.model.offered(path, offers)
            self.score_next()

        def failed(reason: str) -> None:
            self._part.model.offered(path, (), reason)
            self.score_next()

        self._caller.call("costal.workbench.arrivals:offer", (request,), scored, failed, f"Scoring {path}")

    def best(self) -> Row | None:
        """Return the frame with the most valuable query among those without an answer, else the newest."""
        free = [row for row in self._part.model.rows if row.arrival.state == "ready" and not row.note]
        fresh = [
            row for row in free if not (row.offer.answered_count if row.offer is not None else self._is_begun(row))
        ]
        return max(fresh, key=lambda row: (row.offer.value if row.offer is not None else None) or 0.0, default=None)

    def begun(self, source: str) -> None:
        """Note that a frame has answers; its stored priority may not know them yet."""
        self._begun.add(source)

    def _is_begun(self, row: Row) -> bool:
        return self._project is not None and str(Path(self._project.intake.folder) / row.arrival.path) in self._begun

    def _take(self, ticket: Ticket, arrivals: list[Arrival]) -> None:
        if not ticket.is_current or self._project is None:
            return
        if not arrivals:
            self._say(f"{self._project.intake.folder} can be read again.")
        self._keep(arrivals)
        self._part.model.arrived(arrivals)
        self._part.show_counts(self._project.intake.folder)
        self._unscored.extendleft(
            each.path for each in arrivals if each.state == "ready" and each.path not in self._unscored
        )
        self.score_next()
