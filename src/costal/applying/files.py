"""The trained classifier run over files and folders, one frame after another; memory holds at most one frame or band.

A stopped run can continue: the scores of a frame that is read piece by piece are stored beside its outputs.
"""

from dataclasses import dataclass
from pathlib import Path

from costal.applying.applied import (
    Applied,
    ClassifiedCrop,
    ClassifiedFrame,
    Failure,
    FrameCounts,
    counts_of,
    uncertain_first,
)
from costal.applying.classify import ApplyRequest, apply_to_frame
from costal.applying.image_files import (
    CLASSES,
    COUNTS,
    CROPS,
    SCORES_END,
    finish_run,
    image_sources,
    make_room,
    output_names,
    title_of,
)
from costal.applying.outputs import write_classes, write_counts, write_crops, write_geojson, write_label_tiff
from costal.errors import AgentError, FrameError
from costal.frames.lazy import Missing
from costal.frames.listing import LABELS_END
from costal.frames.windows import LazyPlane
from costal.labels.exchange.filenames import unlike
from costal.labels.models import ModelVersion
from costal.labels.project import Project
from costal.scoring.frame_planes import FramePlane, frames_of
from costal.scoring.model_version import trained_version
from costal.types import Job, Progress, Result, map_progress

MOST_LISTED = 200
"""How many uncertain crops a result names itself; the table of crops has all."""
STEPS = 100
"""The units of progress per file."""


@dataclass(frozen=True, slots=True)
class FilesRequest:
    """Images to be classified: files, OME-Zarr folders and URLs, and folders searched with all below them.

    `out` is the folder for the results.
    """

    project: Project
    sources: tuple[str | Path, ...]
    out: Path
    device: str = "auto"
    overwrite: bool = False
    resample: bool = False
    missing: Missing = "raise"


@dataclass(frozen=True, slots=True)
class AppliedFiles:
    """The results of many files: each frame's counts, what failed, and the most uncertain crops of all frames."""

    out: Path
    class_ids: tuple[int, ...]
    frames: tuple[FrameCounts, ...]
    failures: tuple[Failure, ...]
    uncertain: tuple[ClassifiedCrop, ...]
    generation: int
    model_hash: str

    @property
    def totals_K(self) -> tuple[int, ...]:
        """How many crops of all frames each class has."""
        return tuple(sum(each.counts_K[k] for each in self.frames) for k in range(len(self.class_ids)))

    @property
    def blank(self) -> int:
        """How many crops of all frames have no information."""
        return sum(each.blank for each in self.frames)


def apply_to_files(request: FilesRequest) -> Job[AppliedFiles]:
    """Return the results of every image; the files of a frame are written with it, the tables at the end.

    A frame that cannot be classified is listed with the reason and does not stop the others. Memory holds one frame or
    one band at a time, and some ten bytes per crop of earlier frames. When the job is stopped, finished files stay,
    without tables, and the same request continues from there.

    Raises
    ------
    CostalError
        When there is no trained classifier or no image, `out` has results already, or cannot be written.
    """
    from costal.agent.devices import choose_device

    project, out = request.project, request.out
    model_version = trained_version(project)
    choose_device(request.device)  # a missing device is not the fault of any file
    sources = image_sources(request.sources, out)
    may_replace = make_room(out, request.overwrite, model_version.model_hash)
    run = _Run(request, model_version, may_replace, set())
    outcomes: list[ClassifiedFrame | Failure] = []
    for at, (source, name) in enumerate(zip(sources, output_names(sources), strict=True)):
        title = f"{title_of(source)} ({at + 1} of {len(sources)})"
        outcomes += yield from _as_part(_outcomes_of(run, source, name), title, at, len(sources))
    yield Progress(1, 1, "Writing the tables")
    frames = [each for each in outcomes if isinstance(each, ClassifiedFrame)]
    failures = tuple(each for each in outcomes if isinstance(each, Failure))
    counts, class_ids = tuple(map(counts_of, frames)), model_version.agent.settings.class_ids
    write_classes(out / CLASSES, project, model_version)
    write_counts(out / COUNTS, counts, class_ids, project, failures)
    write_crops(out / CROPS, frames, project)
    finish_run(out)
    listed = tuple(uncertain_first(frames, MOST_LISTED))
    return AppliedFiles(out, class_ids, counts, failures, listed, model_version.number, model_version.model_hash)


@dataclass(frozen=True, slots=True)
class _Run:
    """What all files of a request have in common; `taken` names the outputs written so far."""

    request: FilesRequest
    model_version: ModelVersion
    may_replace: bool
    taken: set[str]


def _outcomes_of(run: _Run, source: str, name: str) -> Job[list[ClassifiedFrame | Failure]]:
    """Return the result of each frame that the project's rule of planes makes of an image."""
    yield Progress(0, 1, "Reading")
    request = run.request
    outcomes: list[ClassifiedFrame | Failure] = []
    try:
        count, frames = frames_of(request.project, source, request.missing)
        for at, frame in enumerate(frames):
            description = frame.description if count > 1 else ""
            own = "-".join([name, *description.replace(" ", "").split(",")]) if description else name
            try:
                outcomes.append((yield from _as_part(_apply_to_frame(run, frame, own), description, at, count)))
            except (FrameError, AgentError, MemoryError) as error:
                outcomes.append(Failure(source, frame.description, _reason(error)))
    except (FrameError, MemoryError) as error:
        text = source.encode("utf-8", "backslashreplace").decode()  # a name may have bytes that are not text
        outcomes.append(Failure(text, "", _reason(error)))
    return outcomes


def _apply_to_frame(run: _Run, frame: FramePlane, name: str) -> Job[ClassifiedFrame]:
    """Return the result of a frame, after writing its files."""
    request = run.request
    project, out, name = request.project, request.out, unlike(run.taken, name)
    tiff, geojson = out / f"{name}{LABELS_END}", out / f"{name}.geojson"
    if not run.may_replace and (there := next((each for each in (tiff, geojson) if each.exists()), None)):
        raise FrameError(f"{there} exists already and was not changed. Choose another folder, or allow overwriting.")
    folder = out / f"{name}{SCORES_END}" if isinstance(frame.pixels_C_Y_X, LazyPlane) else None
    how = request.missing, request.device, request.resample
    apply_request = ApplyRequest(project, frame, folder, *how)
    applied: Applied = yield from apply_to_frame(apply_request, run.model_version)
    outcome = ClassifiedFrame(frame.source, frame.description, frame.pixel_um, applied, " ".join(frame.notes))
    write_label_tiff(tiff, outcome, project)
    write_geojson(geojson, outcome, project)
    return outcome


def _reason(error: Exception) -> str:
    return str(error) if not isinstance(error, MemoryError) else "There is not enough memory for the frame. Split it."


def _as_part(job: Job[Result], title: str, at: int, total: int) -> Job[Result]:
    """Return a job's result, its progress reported as that of part `at` of `total`."""

    def tell(progress: Progress) -> Progress:
        done = STEPS * at + STEPS * progress.done // max(progress.total, 1)
        return Progress(done, STEPS * total, ": ".join(filter(None, (title, progress.message))))

    return map_progress(job, tell)
