"""What a worker receives, how it is admitted, and how it notices that its task is no longer needed."""

import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from filelock import FileLock, Timeout

from costal.errors import CostalError
from costal.paper.environment import Environment, environment, source_fingerprint

LOOK_EVERY_S = 1.0


class Work(Protocol):
    """The work that is spread, as a worker receives it beside each task.

    `fingerprint` is computed on the worker: that of the crops it would use. `name` is what a person calls the work, and
    `needs` what a worker has to load for it.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def needs(self) -> str: ...  # noqa: D102
    def fingerprint(self) -> str: ...  # noqa: D102


W = TypeVar("W", bound=Work)


@dataclass(frozen=True, slots=True)
class WorkerContext(Generic[W]):
    """What a worker receives: the work and where its results are stored.

    `token` is a file that is in the folder while the work is spread, `here` the environment it was started in.
    """

    work: W
    folder: Path
    token: Path
    here: Environment


def comparable(fingerprint: str) -> Environment:
    """Return what must be the same on all workers: results depend on it, or may do."""
    own = environment("cpu", fingerprint)
    minor = ".".join(own.python.split(".")[:2])
    return replace(own, python=minor, system="", processor="", device="")


def admit_scheduler(source: str, name: str) -> None:
    """Raise CostalError when the scheduler, which passes the tasks on, has other code."""
    if source_fingerprint() != source:
        raise CostalError(
            f"The scheduler has other source code than the process that started the {name} "
            f"(MD5 {source_fingerprint()} and {source}). Install the same version there, restart the scheduler, and "
            "run the same command again."
        )


def admit(context: WorkerContext[Any], dask_worker: Any) -> None:
    """Raise CostalError when this worker's results would differ from those of others, or would be lost."""
    me = f"The worker {dask_worker.address} on {socket.gethostname()}"
    if not context.token.exists():
        raise CostalError(
            f"{me} does not see {context.folder}. Choose a folder with --out that all machines share under one path."
        )
    try:
        with tempfile.TemporaryFile(dir=context.folder):
            pass
        fingerprint = context.work.fingerprint()
    except OSError as error:
        raise CostalError(
            f"{me} cannot write to {context.folder}: {error.strerror}. Give its user the permission to write there."
        ) from error
    except CostalError as error:
        raise CostalError(f"{me} cannot load '{context.work.needs}': {error}") from error
    differences = context.here.differences(comparable(fingerprint))
    if differences:
        raise CostalError(
            f"{me} differs from the process that started the {context.work.name} (its value comes first): "
            f"{'; '.join(differences)}. Install the same versions there, restart the worker, and run the same command "
            "again."
        )


def look_for() -> tuple[Any, Callable[[], None]]:
    """Return this worker, and a function that ends its task when the task is no longer needed."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def look() -> None:
        from distributed import Reschedule

        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled" or worker.status.name not in ("running", "paused"):
            raise Reschedule

    return worker, look


@contextmanager
def alone(path: Path, look: Callable[[], None]) -> Iterator[None]:
    """Hold a lock, because a worker that counts as lost may still run the task; `look` may raise while this waits."""
    lock = FileLock(path)
    while not lock.is_locked:
        look()
        with suppress(Timeout):
            lock.acquire(timeout=LOOK_EVERY_S)
    try:
        yield
    finally:
        lock.release()
