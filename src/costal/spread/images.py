"""Large images, or many, scored on dask workers: the tasks are some bands of a frame.

Workers keep finished bands in the frame's scores folder themselves and nothing travels back.
"""

import functools
import hashlib
import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from costal.errors import FrameError
from costal.frames.windows import LazyPlane, PlaneAddress
from costal.labels.models import load_newest, save_agent
from costal.scoring.bands import BandWork, score_bands
from costal.spread.cluster import Tasks, run_on_workers
from costal.spread.workers import WorkerContext, admit, alone, look_for
from costal.types import Agent, Job, Progress

TASK_CROPS = 8192


@dataclass(frozen=True, slots=True)
class _Scoring:
    """What a worker receives beside a task: where the model that scores all bands is stored."""

    models: Path
    model_hash: str

    @property
    def name(self) -> str:
        return "scoring"

    @property
    def needs(self) -> str:
        return str(self.models)

    def fingerprint(self) -> str:
        return self.model_hash if _agent(self.models, self.model_hash) else ""


@dataclass(frozen=True, slots=True)
class _Bands:
    """A task: some bands of the frame at `address`, and where they are stored."""

    work: BandWork
    numbers: tuple[int, ...]
    address: PlaneAddress
    folder: Path

    def left(self) -> int:
        """Return how many of its crops have no scores yet."""
        spans = (self.work.span(number) for number in self.numbers if self.work.kept(number) is None)
        return sum(end - first for first, end in spans)


def score_on_workers(
    to_do: Sequence[tuple[BandWork, Sequence[int]]], agent: Agent, folder: Path, where: str
) -> Job[None]:
    """Score bands of frames on dask workers, which store each in its frame's folder, in or below `folder`.

    Yields progress in crops. Images must be where workers see them under the same name, as `folder` must.

    Raises
    ------
    CostalError
        See `run_on_workers`; when a worker finds another image than the one here; and what `score_bands` raises.
    """
    left = {task: task.left() for task in _tasks(to_do)}
    if not any(left.values()):
        return
    total = sum(left.values())

    def progress(left: Mapping[_Bands, int], message: str) -> Progress:
        return Progress(total - sum(left.values()), total, message)

    folder = folder.absolute()
    models, model_hash = _kept(agent, folder)
    digest = hashlib.md5(repr(sorted((str(task.folder), task.work.digest) for task in left)).encode())
    spread = Tasks(
        f"bands-{digest.hexdigest()}",
        _run,
        left,
        _Bands.left,
        progress,
        lambda task: f"{Path(task.address.source).name}, bands {task.numbers[0]} to {task.numbers[-1]}",
        "a band",
        "Run fewer workers on a machine, or use smaller crops.",
    )
    yield from run_on_workers(spread, _Scoring(models, model_hash), folder, where, model_hash)


def _tasks(to_do: Sequence[tuple[BandWork, Sequence[int]]]) -> list[_Bands]:
    """Return bands in tasks of similar numbers of crops: neighbours together, because they share chunks."""
    tasks = []
    for work, numbers in to_do:
        if work.folder is None or not isinstance(work.plane, PlaneAddress):
            raise FrameError("Workers cannot score pixels in memory. Give the image file instead.")
        crops = work.span(0)[1]
        most = max(1, math.ceil(TASK_CROPS / crops))
        parts = (tuple(numbers[at : at + most]) for at in range(0, len(numbers), most))
        tasks += [_Bands(_only_reading(work), part, work.plane, work.folder) for part in parts]
    return tasks


def _only_reading(work: BandWork) -> BandWork:
    """Return a band's work as a worker does it: it reads features but writes none into the project."""
    if work.features is None:
        return work
    files = replace(work.features.files, may_write=False)
    return replace(work, features=replace(work.features, files=files))


def _kept(agent: Agent, folder: Path) -> tuple[Path, str]:
    """Return where in the folder the agent is kept, once for each agent with its settings, and its hash."""
    weights = [{name: array.tobytes() for name, array in member.items()} for member in agent.classifier]
    cost = agent.cost_model and {name: array.tobytes() for name, array in agent.cost_model.weights.items()}
    digest = hashlib.sha256(repr((agent.settings, agent.crop_shape, weights, cost)).encode()).hexdigest()
    models = folder / f"model-{digest[:16]}"
    kept = load_newest(models)
    return models, (kept or save_agent(models, agent)).model_hash


# on a worker


@functools.lru_cache(1)
def _agent(models: Path, model_hash: str) -> Agent | None:
    newest = load_newest(models)
    return newest.agent if newest is not None and newest.model_hash == model_hash else None


@functools.lru_cache(4)
def _opened(address: PlaneAddress) -> LazyPlane:
    return address.open()


def _run(context: WorkerContext[_Scoring], task: _Bands) -> None:
    """Score the rest of a task on this worker, as long as it is needed."""
    worker, look = look_for()
    admit(context, worker)
    work = task.work
    agent = _agent(context.work.models, context.work.model_hash)
    if agent is None:
        raise FrameError(f"The model in {context.work.models} is missing. Run the same command again.")
    with alone(task.folder / f"bands-{task.numbers[0]:05}.lock", look):
        left = [number for number in task.numbers if work.kept(number) is None]
        with closing(score_bands(work, _opened(task.address), agent, left)) as job:
            for _ in job:
                look()
