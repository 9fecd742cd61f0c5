"""Progress of a job on the terminal."""

from contextlib import closing

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from costal.types import Job, Result, finish, retold
from costal.types import Progress as Told


class ProgressBar:
    """A bar that several jobs share, one after another."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
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

        def draw(progress: Told) -> Told:
            description = f"{title}: {progress.message}" if title else progress.message
            self._bar.update(self._task, description=description, completed=progress.done, total=progress.total)
            return progress

        with closing(job), closing(retold(job, draw)) as drawn:
            return finish(drawn)
