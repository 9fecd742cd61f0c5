"""Calls to the engine process, one at a time for each `Caller`; outdated results are dropped."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from costal.types import Progress
from napari_costal.engine.latest import Latest
from napari_costal.engine.messages import Message, pack


class Thread(Protocol):
    """A thread that runs functions one after another (see `Background`)."""

    def run(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        then: Callable[[Any], None] | None = None,
        failed: Callable[[str], None] | None = None,
    ) -> None: ...


class Caller:
    """Runs ``module:function`` in the engine process; a new call or `cancel` makes the previous call outdated."""

    def __init__(self, thread: Thread, engine: Any, show_progress: Callable[[Progress | None], None]) -> None:
        self._thread, self._engine, self._show_progress = thread, engine, show_progress
        self._newest = Latest()
        self._job: Any = None
        self.is_busy = False

    def call(
        self,
        function: str,
        arguments: tuple[Any, ...] | Callable[[], tuple[Any, ...]],
        then: Callable[[Any], None],
        failed: Callable[[str], None],
        title: str,
        heard: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        """Start a call; exactly one of `then` and `failed` is called, unless it is cancelled.

        `arguments` may be a function, which is called on the thread; `heard` takes the progress of the call.
        """
        self.cancel()
        self.is_busy = True
        self._show_progress(Progress(0, 0, f"{title}: starting the engine …"))
        ticket = self._newest.ticket()

        def ending(act: Callable[[Any], None]) -> Callable[[Any], None]:
            def end(outcome: Any) -> None:
                self._end()
                act(outcome)

            return ticket.only(end)

        def start(message: Message | None) -> None:
            if message is None:
                return
            if not ticket.is_current:
                message.discard()
                return
            self._job = job = self._engine.start(function, message)
            job.progress.connect(ticket.only(lambda each: self._show_progress(titled(each))))
            job.progress.connect(ticket.only(heard))
            job.result.connect(ending(then))
            job.failed.connect(ending(failed))

        def titled(progress: Progress) -> Progress:
            return progress if progress.message == title else replace(progress, message=f"{title}: {progress.message}")

        def packed() -> Message | None:
            if not ticket.is_current:
                return None
            return pack(arguments() if callable(arguments) else arguments)

        self._thread.run(packed, then=start, failed=ending(failed))

    def cancel(self) -> bool:
        """Stop the running call, and return whether there was one; neither of its functions is called afterwards."""
        was_busy = self.is_busy
        self._newest.renew()
        job = self._job
        self._end()
        if job is not None:
            self._engine.cancel(job)
        return was_busy

    def _end(self) -> None:
        self._job = None
        if self.is_busy:
            self.is_busy = False
            self._show_progress(None)
