"""Progress of a job on the terminal."""

import time
from collections.abc import Callable
from contextlib import closing

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from costal.types import Job, Result, finish, map_progress
from costal.types import Progress as JobProgress

LINE_S = 10.0
"""Seconds between two lines of progress where the output is not a terminal."""


class ProgressBar:
    """A bar that several jobs share, one after another; lines now and then where the output is not a terminal."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock, self._printed_at = Console(stderr=True), clock, clock()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> "ProgressBar":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def drain(self, job: Job[Result], title: str = "") -> Result:
        """Return the job's result, drawing its progress; the job is closed when this is interrupted."""

        def draw(progress: JobProgress) -> JobProgress:
            description = f"{title}: {progress.message}" if title else progress.message
            self._bar.update(self._task, description=description, completed=progress.done, total=progress.total)
            if not self._console.is_terminal and self._clock() - self._printed_at >= LINE_S:
                self._printed_at = self._clock()
                self._console.print(f"{description} ({progress.done:,} of {progress.total:,})", highlight=False)
            return progress

        with closing(job), closing(map_progress(job, draw)) as drawn:
            return finish(drawn)
