"""Connection to dask workers, their admission, and tasks followed to their end."""

import hashlib
import json
import logging
import re
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from costal.errors import CostalError, in_one_line
from costal.spread.workers import LOOK_EVERY_S, Work, WorkerContext, admit, admit_scheduler, comparable
from costal.types import Job, Progress

CONNECT_S = 10.0
LOCAL, ADDRESS = re.compile(r"local:([1-9][0-9]*)(\+dashboard)?"), re.compile(r"(tcp|tls)://.+")
WORKER_ENVIRON = "distributed.nanny.pre-spawn-environ"
DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
FORMS = (
    "local:4 for four processes on this machine, local:4+dashboard to watch them in a browser, tcp://HOST:PORT or "
    "tls://HOST:PORT for a scheduler, or the path of a scheduler file"
)


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tasks(Generic[T]):
    """The tasks of some work, and how to follow them by the files in the folder.

    A worker calls `run` with its context and a task. `left` is the work that each task has left, `left_of` measures it
    again, and `progress` makes the progress of all. `name_of` names a task, `piece` is the unit that it finishes, and
    `remedy` is the advice when it takes too much memory.
    """

    key: str
    run: Callable[[Any, T], None]
    left: dict[T, int]
    left_of: Callable[[T], int]
    progress: Callable[[dict[T, int], str], Progress]
    name_of: Callable[[T], str]
    piece: str
    remedy: str


def run_on_workers(tasks: Tasks[T], work: Work, folder: Path, where: str, fingerprint: str) -> Job[None]:
    """Run tasks on dask workers, which store finished work in `folder`; yields progress.

    `where` is ``local:K`` for K processes on this machine, a scheduler's ``tcp://`` or ``tls://`` address, or the path
    of a scheduler file. Workers may come, go and be killed meanwhile. `fingerprint` is that of the work here. Closed,
    the job stops the workers' tasks within seconds.

    Raises
    ------
    CostalError
        When dask.distributed is not installed, `where` is not valid or no scheduler answers; when a worker has another
        version, other source code or another fingerprint, or does not share the folder, with the difference; when the
        scheduler is lost or workers die of a task; and what a task raises.
    """
    folder = folder.absolute()
    yield tasks.progress(tasks.left, "Looking for workers")
    with _connected(where, work.name) as client, tempfile.NamedTemporaryFile(prefix=".spread-", dir=folder) as token:
        context = WorkerContext(work, folder, Path(token.name), comparable(fingerprint))
        try:
            _require_alike(client, context)
            local = LOCAL.fullmatch(where)
            dashboard = f", dashboard: {client.dashboard_link}" if local and local[2] else ""
            yield from _watched(client, context, tasks, dashboard)
        except (OSError, CancelledError) as error:
            raise CostalError(
                f"The scheduler of {where} was lost. Finished work is in {folder}: start a scheduler again, and "
                "run the same command to continue from there."
            ) from error


def _distributed(name: str = "work") -> Any:
    try:
        import distributed
    except ImportError as error:
        raise CostalError(
            f'Spreading the {name} needs dask.distributed ({error}). Install it: pip install "napari-costal'
            '[distributed]"'
        ) from error
    return distributed


@contextmanager
def _connected(where: str, name: str) -> Iterator[Any]:
    """Provide a client of the scheduler that `where` names; one of this machine lasts no longer than the client."""
    local = LOCAL.fullmatch(where)
    address, security = "" if local else _address(where), None
    distributed = _distributed(name)
    with ExitStack() as stack:
        # What a person has to know is raised or reported as progress; dask would print more between that.
        stack.enter_context(distributed.utils.silence_logging_cmgr(logging.CRITICAL))
        if local:
            cluster = stack.enter_context(_local_cluster(int(local[1]), bool(local[2])))
            address, security = cluster.scheduler_address, cluster.security
        try:
            client = distributed.Client(address, timeout=CONNECT_S, set_as_default=False, security=security)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise CostalError(
                f"No scheduler answers at {address} ({in_one_line(error)}). Start one with "
                "'dask scheduler', or correct the address; for tls:// dask's configuration (distributed.comm.tls) "
                "must name certificates."
            ) from error
        yield stack.enter_context(client)


def _local_cluster(processes: int, has_dashboard: bool) -> Any:
    """Return a scheduler and workers of this machine that nobody else can join: TLS with keys made for this run.

    Anybody who can connect to a scheduler can run code as its user, and a machine can have several users.
    """
    distributed = _distributed()
    from dask import config

    try:
        security = distributed.Security.temporary()
    except ImportError as error:
        raise CostalError(
            "Workers on this machine need their own keys; without keys, any local user could run code as you. Install "
            'the package that makes them: pip install "napari-costal[distributed]"'
        ) from error
    pages = {} if has_dashboard else {"distributed.scheduler.http.routes": ["distributed.http.health"]}
    # With dask's trim threshold every large tensor is new memory from the system: a training takes 1.4 times as long.
    environ = {**config.get(WORKER_ENVIRON)}
    environ.pop("MALLOC_TRIM_THRESHOLD_", None)
    with config.set({**pages, WORKER_ENVIRON: environ}):
        return distributed.LocalCluster(
            processes,
            host="127.0.0.1",
            security=security,
            threads_per_worker=1,
            memory_limit=0,  # or a worker would be stopped for its memory
            dashboard_address="127.0.0.1:0",  # a port of its own, because several may run at once
            worker_dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": has_dashboard},
            silence_logs=logging.CRITICAL,
            preload=[DEAF],  # Ctrl+C reaches every process of a terminal; workers are stopped from here
        )


def is_unauthenticated(where: str) -> bool:
    """Return whether a scheduler takes work from anybody who reaches it.

    Raises
    ------
    CostalError
        When `where` is not valid.
    """
    return LOCAL.fullmatch(where) is None and not _address(where).startswith("tls://")


def _address(where: str) -> str:
    """Return the address of the scheduler that `where` names."""
    if ADDRESS.fullmatch(where):
        return where
    if not Path(where).is_file():
        raise CostalError(f"'{where}' is neither an address nor an existing file. Use {FORMS}.")
    try:
        return str(json.loads(Path(where).read_text("utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CostalError(
            f"{where} is not a scheduler file ({type(error).__name__}: {error}). 'dask scheduler --scheduler-file "
            f"FILE' writes one; or use {FORMS}."
        ) from error


def _require_alike(client: Any, context: WorkerContext[Any]) -> None:
    """Check every connected worker (a later one is checked before its first task) and the scheduler's code."""
    answers = client.run(admit, context, on_error="return")
    refusals = {f"worker {address}": error for address, error in answers.items()}
    try:
        client.run_on_scheduler(admit_scheduler, context.here.source, context.work.name)
    except Exception as error:  # whatever it ends with where the code differs
        refusals["scheduler"] = error
    for name, refusal in refusals.items():
        if isinstance(refusal, CostalError):
            raise refusal
        if refusal is not None:
            raise CostalError(
                f"The {name} cannot be checked ({in_one_line(refusal)}). Start it from a Python with the same version "
                "of napari-costal as here."
            ) from refusal


def _watched(client: Any, context: WorkerContext[Any], tasks: Tasks[T], dashboard: str) -> Job[None]:
    """Run the unfinished tasks, and yield their progress by the files in the folder."""
    left, folder = dict(tasks.left), context.folder
    digest = hashlib.md5(repr(context.here).encode(), usedforsecurity=False).hexdigest()
    pending = {
        client.submit(tasks.run, context, task, key=f"{tasks.key}-{digest}-{number}"): task
        for number, task in enumerate(left)
        if left[task]
    }
    at_last_death = dict(left)
    while pending:
        workers = len(client.nthreads())
        waiting = f"Waiting for a worker. Start one: dask worker {client.scheduler.address}"
        working = f"Tasks left: {len(pending)}, workers: {workers}{dashboard}"
        yield tasks.progress(left, working if workers else waiting)
        with client.as_current(), suppress(TimeoutError):
            _distributed().wait(list(pending), timeout=LOOK_EVERY_S, return_when="FIRST_COMPLETED")
        done = [each for each in pending if each.done()]
        # Measured after that: work that was finished before a worker's death counts.
        left |= {task: tasks.left_of(task) for task in pending.values()}
        for future in done:
            task = pending[future]
            error = future.exception()
            if isinstance(error, _distributed().KilledWorker) and left[task] < at_last_death[task]:
                at_last_death[task] = left[task]
                future.retry()
                continue
            if error is not None:
                raise _readable(error, tasks, task, folder)
            del pending[future]


def _readable(error: BaseException, tasks: Tasks[T], task: T, folder: Path) -> BaseException:
    """Return the error of a task, worded for a person."""
    if isinstance(error, CostalError | CancelledError):
        return error
    name = tasks.name_of(task)
    if isinstance(error, _distributed().KilledWorker):
        return CostalError(
            f"'{name}' ended every worker that ran it before {tasks.piece} was finished; the usual cause is too little "
            f"memory. {tasks.remedy} Finished work is in {folder}."
        )
    failure = CostalError(f"'{name}' failed on a worker ({in_one_line(error)}). Finished work is in {folder}.")
    failure.__cause__ = error
    return failure
