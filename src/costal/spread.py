"""An experiment spread over processes and machines: the one place that knows dask.

A task is some arms and repeats of the plan (see `runner.tasks`). Workers keep finished rounds in the run's folder
themselves and nothing travels back, so a task begun anew, here or elsewhere, goes on from what is on disk.
"""

import functools
import hashlib
import json
import logging
import re
import socket
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from costal.errors import CostalError
from costal.paper.archive import arm_folder
from costal.paper.datasets import load_dataset
from costal.paper.environment import Environment, environment, source_fingerprint
from costal.paper.plan import Plan
from costal.paper.runner import Task, progress_of, rounds_left, run_task, tasks
from costal.paper.sources import Dataset
from costal.types import Job

CONNECT_S, LOOK_EVERY_S = 10.0, 1.0
LOCAL, ADDRESS = re.compile(r"local:([1-9]\d*)"), re.compile(r"(tcp|tls)://.+")
DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
FORMS = (
    "local:4 for four processes on this machine, tcp://HOST:PORT or tls://HOST:PORT for a scheduler, or the path of a "
    "scheduler file"
)


@dataclass(frozen=True, slots=True)
class _Errand:
    """What a worker is sent: a plan and where its rounds are kept.

    `token` is a file that is in the folder while the experiment is spread, `here` the environment it was started in.
    """

    plan: Plan
    folder: Path
    token: Path
    here: Environment


def run_spread(plan: Plan, folder: Path, where: str, fingerprint: str) -> Job[None]:
    """Run what is left of a plan on dask workers, which keep each round in `folder`; yields progress in rounds.

    `where` is ``local:K`` for K processes on this machine, a scheduler's ``tcp://`` or ``tls://`` address, or the path
    of a scheduler file. Workers may come, go and be killed meanwhile. `fingerprint` is that of the crops here. Closed,
    the job stops the workers' tasks within seconds.

    Raises
    ------
    CostalError
        When dask.distributed is not installed, `where` says nothing or nobody is there; when a worker has another
        version, other source code or other crops, or does not share the folder, with the difference; when the
        scheduler is lost or workers die of a task; and what `run_task` raises.
    """
    folder = folder.absolute()
    left = {task: rounds_left(plan, task, folder) for task in tasks(plan)}
    if not any(left.values()):
        return
    yield progress_of(plan, left, "looking for workers")
    with _connected(where) as client, tempfile.NamedTemporaryFile(prefix=".spread-", dir=folder) as token:
        errand = _Errand(plan, folder, Path(token.name), _comparable(fingerprint))
        try:
            _require_alike(client, errand)
            yield from _watched(client, errand, left)
        except (OSError, CancelledError) as error:
            raise CostalError(
                f"The scheduler of {where} was lost. What was finished is in {folder}: start a scheduler again, and "
                "run the same command to go on from there."
            ) from error


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise CostalError(
            f'To spread an experiment needs dask.distributed ({error}). Install it: pip install "napari-costal'
            '[distributed]"'
        ) from error
    return distributed


@contextmanager
def _connected(where: str) -> Iterator[Any]:
    """Provide a client of the scheduler that `where` says; one of this machine lasts no longer than the client."""
    local = LOCAL.fullmatch(where)
    address = "" if local else _address(where)
    distributed = _distributed()
    with ExitStack() as stack:
        # What a person has to know is raised or told as progress; dask would print more between that.
        stack.enter_context(distributed.utils.silence_logging_cmgr(logging.CRITICAL))
        if local:
            # Without a limit no worker is stopped for its memory; a port of its own, for several may run at once.
            settings = {"threads_per_worker": 1, "memory_limit": 0, "dashboard_address": "127.0.0.1:0"}
            # Ctrl+C reaches every process of a terminal; workers are stopped from here.
            settings |= {"silence_logs": logging.CRITICAL, "preload": [DEAF]}
            cluster = distributed.LocalCluster(int(local[1]), **settings)
            address = stack.enter_context(cluster).scheduler_address
        try:
            client = distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise CostalError(
                f"There is no scheduler to be reached at {address} ({_shown(error)}). Start one by 'dask scheduler', "
                "or correct the address; for tls:// dask's configuration (distributed.comm.tls) must name certificates."
            ) from error
        yield stack.enter_context(client)


def _address(where: str) -> str:
    """Return the address of the scheduler that `where` says."""
    if ADDRESS.fullmatch(where):
        return where
    if not Path(where).is_file():
        raise CostalError(f"'{where}' says no place to run at, and there is no such file. Use {FORMS}.")
    try:
        return str(json.loads(Path(where).read_text("utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CostalError(
            f"{where} is no scheduler file ({type(error).__name__}: {error}). 'dask scheduler --scheduler-file FILE' "
            f"writes one; or use {FORMS}."
        ) from error


def _comparable(fingerprint: str) -> Environment:
    """Return what must be the same on all workers: results depend on it, or may do."""
    found = environment("cpu", fingerprint)
    minor = ".".join(found.python.split(".")[:2])
    return replace(found, python=minor, system="", processor="", device="")


def _require_alike(client: Any, errand: _Errand) -> None:
    """Look at every worker that is there by now, a later one is before its first task; and at the scheduler's code."""
    answers = client.run(_admit, errand, on_error="return")
    asked = {f"worker {address}": error for address, error in answers.items()}
    try:
        client.run_on_scheduler(_admit_scheduler, errand.here.source)
    except Exception as error:  # whatever it ends with where the code is another
        asked["scheduler"] = error
    for name, refusal in asked.items():
        if isinstance(refusal, CostalError):
            raise refusal
        if refusal is not None:
            raise CostalError(
                f"The {name} cannot be asked ({_shown(refusal)}). Start it from a Python in which the same "
                "napari-costal is installed as here."
            ) from refusal


def _watched(client: Any, errand: _Errand, left: dict[Task, int]) -> Job[None]:
    """Have the tasks run that have rounds left, and tell how far they are by what is in the folder."""
    plan, folder = errand.plan, errand.folder
    digest = hashlib.md5(repr((plan, folder, errand.here)).encode(), usedforsecurity=False).hexdigest()
    pending = {
        client.submit(_run, errand, task, key=f"{plan.name}-{digest}-{number}"): task
        for number, task in enumerate(left)
        if left[task]
    }
    at_last_death = dict(left)
    while pending:
        workers = len(client.nthreads())
        waiting = f"waiting for a worker: dask worker {client.scheduler.address}"
        yield progress_of(plan, left, f"tasks to go: {len(pending)}, workers: {workers}" if workers else waiting)
        with client.as_current(), suppress(TimeoutError):
            _distributed().wait(list(pending), timeout=LOOK_EVERY_S, return_when="FIRST_COMPLETED")
        done = [each for each in pending if each.done()]
        # Looked at after that: the round before a worker's death counts.
        left |= {task: rounds_left(plan, task, folder) for task in pending.values()}
        for future in done:
            task = pending[future]
            error = future.exception()
            if isinstance(error, _distributed().KilledWorker) and left[task] < at_last_death[task]:
                at_last_death[task] = left[task]
                future.retry()
                continue
            if error is not None:
                raise _as_told(error, task.name(plan), folder)
            del pending[future]


def _as_told(error: BaseException, name: str, folder: Path) -> BaseException:
    """Return what a task ended with, so that a person can read it."""
    if isinstance(error, CostalError | CancelledError):
        return error
    if isinstance(error, _distributed().KilledWorker):
        return CostalError(
            f"'{name}' ended every worker that ran it before a round was finished: most often the memory does not "
            f"suffice. Lower stack or pool_size, or run fewer workers on a machine. What was finished is in {folder}."
        )
    told = CostalError(f"'{name}' failed on a worker ({_shown(error)}). What was finished is in {folder}.")
    told.__cause__ = error
    return told


def _shown(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


# on a worker, or the scheduler


@functools.lru_cache(1)
def _dataset(choice: str) -> Dataset:
    return load_dataset(choice)


def _admit_scheduler(source: str) -> None:
    """Raise CostalError when the scheduler, which hands the tasks on, may not know them."""
    if source_fingerprint() != source:
        raise CostalError(
            f"The scheduler has other source code than the process that the experiment was started from "
            f"(MD5 {source_fingerprint()} and {source}). Give it the same, restart it, and run the same command again."
        )


def _admit(errand: _Errand, dask_worker: Any) -> None:
    """Raise CostalError when this worker's rounds would not be those of any other, or would go astray."""
    me = f"The worker {dask_worker.address} on {socket.gethostname()}"
    if not errand.token.exists():
        raise CostalError(
            f"{me} does not see {errand.folder}. Choose a folder with --out that all machines share under one path."
        )
    try:
        with tempfile.TemporaryFile(dir=errand.folder):
            pass
        fingerprint = _dataset(errand.plan.data).fingerprint
    except OSError as error:
        raise CostalError(f"{me} cannot write to {errand.folder}: {error.strerror}. Give it the right to.") from error
    except CostalError as error:
        raise CostalError(f"{me} cannot load '{errand.plan.data}': {error}") from error
    found = errand.here.differences(_comparable(fingerprint))
    if found:
        raise CostalError(
            f"{me} is not like the process that the experiment was started from (told first): {'; '.join(found)}. "
            "Give it the same, restart it, and run the same command again."
        )


def _run(errand: _Errand, task: Task) -> None:
    """Run what is left of a task on this worker, as long as it is wanted."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def look() -> None:
        from distributed import Reschedule

        asked = worker.state.tasks.get(key)
        if asked is None or asked.state == "cancelled" or worker.status.name not in ("running", "paused"):
            raise Reschedule

    _admit(errand, worker)
    plan, (arm, repeat) = errand.plan, task.runs[0]
    first = arm_folder(errand.folder, plan.arms[arm].name, repeat)
    first.mkdir(parents=True, exist_ok=True)
    with _alone(first / "task.lock", look), closing(run_task(plan, task, errand.folder, _dataset(plan.data))) as job:
        for _ in job:
            look()


@contextmanager
def _alone(path: Path, look: Callable[[], None]) -> Iterator[None]:
    """Hold a lock, for a worker given up for lost may still be at the task; `look` may raise while this waits."""
    lock = FileLock(path)
    while not lock.is_locked:
        look()
        with suppress(Timeout):
            lock.acquire(timeout=LOOK_EVERY_S)
    try:
        yield
    finally:
        lock.release()
