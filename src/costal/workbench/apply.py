"""The point of it all: the trained classifier run over a plane, or over files and folders with one frame in memory.

Classes and confidence are those of the committee's mean probabilities: beside a class it tells how far its members
disagree, and it is surer of itself only where they agree. `score_frame` predicts the same classes.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from costal.errors import AgentError, FrameError, ProjectError
from costal.frames.information import blank_crops, told_blank
from costal.frames.listing import LABELS_END
from costal.frames.normalise import IntensityRange, cut_when_sliced, intensity_range
from costal.frames.planes import describe
from costal.frames.read import Planes, plane, read
from costal.frames.resample import resampled
from costal.labels.exchange.filenames import unlike
from costal.labels.models import Generation, load_newest
from costal.labels.project import Project
from costal.labels.store import Store
from costal.seeds import seed_for
from costal.types import Frame, Grid, Job, Progress, Result, retold
from costal.workbench.applied import (
    NO_CLASS,
    Applied,
    ClassifiedCrop,
    ClassifiedFrame,
    Failure,
    FrameCounts,
    counts_of,
    uncertain_first,
)
from costal.workbench.channels import planes_for
from costal.workbench.image_files import CLASSES, COUNTS, CROPS, image_files, make_room, output_names
from costal.workbench.outputs import write_classes, write_counts, write_crops, write_geojson, write_label_tiff
from costal.workbench.pixel_size import learned_um, scaling
from costal.workbench.rounds import current_generation, grid_of, range_in_use

Ranges = list[tuple[tuple[float, ...], tuple[float, ...]]]
MOST_LISTED = 200
"""How many uncertain crops a result names itself; the table of crops has all."""
STEPS = 100
"""Of progress per file."""


@dataclass(frozen=True, slots=True)
class PlaneRequest:
    """A plane to be classified for a project, and how it is cut and normalised.

    With `resample` a plane of another pixel size than was learned at is classified as if it had been taken at that.
    """

    project: Project
    plane_C_Y_X: NDArray[np.generic]
    range: IntensityRange
    grid: Grid
    seed: int
    device: str = "auto"
    pixel_um: float | None = None
    resample: bool = False


@dataclass(frozen=True, slots=True)
class FilesRequest:
    """Image files, and folders searched with all below them, to be classified; `out` takes what comes of it."""

    project: Project
    paths: tuple[Path, ...]
    out: Path
    device: str = "auto"
    overwrite: bool = False
    resample: bool = False


@dataclass(frozen=True, slots=True)
class AppliedFiles:
    """What became of many files: each frame's counts, what failed, and the most uncertain crops of all frames."""

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


def apply_to_plane(request: PlaneRequest) -> Job[Applied]:
    """Return the class of every crop of a plane, by the project's newest model; needs memory for one batch of crops.

    Raises
    ------
    CostalError
        When there is no trained classifier, or it was made for other crops or classes.
    """
    return (yield from _classified(trained_generation(request.project), request))


def plane_request(
    project: Project,
    plane_C_Y_X: NDArray[np.generic],
    ranges: Ranges,
    device: str,
    pixel_um: float | None = None,
    resample: bool = False,
) -> PlaneRequest:
    """Return how a plane is classified: cut and normalised as the project does, `ranges` being those of its frames.

    Raises
    ------
    FrameError
        When crops of the project's size do not fit the plane, or a channel has no finite pixel.
    """
    grid = grid_of(project, plane_C_Y_X)
    limits = range_in_use(project, intensity_range(plane_C_Y_X), ranges)
    return PlaneRequest(project, plane_C_Y_X, limits, grid, project.choices.seed, device, pixel_um, resample)


def trained_generation(project: Project) -> Generation:
    """Return the newest model with the settings of today.

    Raises
    ------
    ProjectError
        When there is none that classifies, or the project's classes are others by now.
    """
    newest = load_newest(project.model_folder)
    if newest is None or not newest.agent.classifier:
        raise ProjectError(
            f"'{project.name}' has no trained classifier yet. Label crops of at least two classes and train."
        )
    found = current_generation(project, newest.agent.crop_shape)
    if not found.agent.classifier:
        raise ProjectError(" ".join(found.agent.notes))
    return found


def _at_its_scale(generation: Generation, request: PlaneRequest) -> tuple[PlaneRequest, str]:
    """Return the request at the pixel size that was learned at, if that is wanted, and what is to be said of this."""
    zoom, note = scaling(request.pixel_um, learned_um(request.project, generation.origin), request.resample)
    if zoom == 1:
        return request, note
    plane_C_Y_X = resampled(request.plane_C_Y_X, zoom)
    return replace(request, plane_C_Y_X=plane_C_Y_X, grid=grid_of(request.project, plane_C_Y_X)), note


def _classified(generation: Generation, request: PlaneRequest) -> Job[Applied]:
    from costal.agent.classifier import ask_committee
    from costal.agent.devices import choose_device, describe_device

    frame_shape = request.plane_C_Y_X.shape[-2], request.plane_C_Y_X.shape[-1]
    request, scale_note = _at_its_scale(generation, request)
    agent, grid = generation.agent, request.grid
    shape = (len(request.plane_C_Y_X), grid.crop, grid.crop)
    if shape != agent.crop_shape:
        (channels, side, _), (other_channels, other_side, _) = agent.crop_shape, shape
        raise AgentError(
            f"The model was trained for crops of {side} px with {channels} channel(s), not {other_side} px with "
            f"{other_channels}. Choose the planes that it was trained for, or train for these."
        )
    if agent.settings.acquisition == "random":
        agent = replace(agent, settings=replace(agent.settings, acquisition="std"))
    crops_N_C_H_W = cut_when_sliced(request.plane_C_Y_X, request.range, grid)
    device = choose_device(request.device)
    opinion, footing = yield from ask_committee(agent, crops_N_C_H_W, seed_for(request.seed, "masks"), device)
    blank_N = blank_crops(request.plane_C_Y_X, grid)
    likeliest_N = opinion.probs_N_K.argmax(axis=1)
    confidence_N = opinion.probs_N_K[np.arange(len(grid)), likeliest_N]
    said = (footing.note, scale_note, told_blank(int(blank_N.sum()), len(grid)))
    return Applied(
        grid,
        agent.settings.class_ids,
        np.where(blank_N, NO_CLASS, likeliest_N).astype(np.uint16),
        np.where(blank_N, np.float32(np.nan), confidence_N),
        np.where(blank_N, np.float32(np.nan), opinion.information_N),
        generation.number,
        generation.model_hash,
        describe_device(footing.device),
        tuple(filter(None, said)),
        frame_shape,
    )


# Files


def apply_to_files(request: FilesRequest) -> Job[AppliedFiles]:
    """Return what became of every image file; the files of a frame are written with it, the tables at the end.

    What cannot be classified is named with the reason and does not stop the rest. There is one frame in memory at a
    time, and of those before some ten bytes a crop. When the job is stopped, what is finished stays, without tables.

    Raises
    ------
    CostalError
        When there is no trained classifier or no image, `out` has results already, or cannot be written.
    """
    from costal.agent.devices import choose_device

    project, out = request.project, request.out
    generation = trained_generation(project)
    choose_device(request.device)  # one that is not here is no fault of any file
    files = image_files(request.paths, out)
    make_room(out, request.overwrite)
    with Store(project.store_path, read_only=True) as store:
        run = _Run(request, generation, store.ranges(), set())
    outcomes: list[ClassifiedFrame | Failure] = []
    for at, (path, name) in enumerate(zip(files, output_names(files), strict=True)):
        title = f"{path.name} ({at + 1} of {len(files)})"
        outcomes += yield from _as_part(_outcomes_of(run, path, name), title, at, len(files))
    yield Progress(1, 1, "Writing the tables")
    frames = [each for each in outcomes if isinstance(each, ClassifiedFrame)]
    failures = tuple(each for each in outcomes if isinstance(each, Failure))
    counts, class_ids = tuple(map(counts_of, frames)), generation.agent.settings.class_ids
    write_classes(out / CLASSES, project, generation)
    write_counts(out / COUNTS, counts, class_ids, project, failures)
    write_crops(out / CROPS, frames, project)
    listed = tuple(uncertain_first(frames, MOST_LISTED))
    return AppliedFiles(out, class_ids, counts, failures, listed, generation.number, generation.model_hash)


@dataclass(frozen=True, slots=True)
class _Run:
    """What all files of a request have in common; `taken` names the outputs written so far."""

    request: FilesRequest
    generation: Generation
    ranges: Ranges
    taken: set[str]


def _outcomes_of(run: _Run, path: Path, name: str) -> Job[list[ClassifiedFrame | Failure]]:
    """Return what became of each frame in a file, which the project's rule of planes makes one or more of."""
    yield Progress(0, 1, "Reading")
    try:
        frame = read(path, run.request.project.axes)
        chosen = planes_for(run.request.project, frame)
    except (FrameError, MemoryError) as error:
        said = str(path).encode("utf-8", "backslashreplace").decode()  # a name may hold what is no text
        return [Failure(said, "", _reason(error))]
    outcomes: list[ClassifiedFrame | Failure] = []
    for at, planes in enumerate(chosen):
        said = describe(planes) if len(chosen) > 1 else ""
        own = "-".join([name, *said.replace(" ", "").split(",")]) if said else name
        try:
            job = _apply_to_planes(run, frame, planes, own)
            outcomes.append((yield from _as_part(job, said, at, len(chosen))))
        except (FrameError, AgentError, MemoryError) as error:
            outcomes.append(Failure(str(path), describe(planes), _reason(error)))
    return outcomes


def _apply_to_planes(run: _Run, frame: Frame, planes: Planes, name: str) -> Job[ClassifiedFrame]:
    """Return what was said of these planes of a frame, written to its own files."""
    project, out = run.request.project, run.request.out
    name = unlike(run.taken, name)
    tiff, geojson = out / f"{name}{LABELS_END}", out / f"{name}.geojson"
    if not run.request.overwrite and (there := next((each for each in (tiff, geojson) if each.exists()), None)):
        raise FrameError(f"{there} is there already and was left alone. Choose another folder, or overwrite.")
    pixels, device, resample = plane(frame, planes), run.request.device, run.request.resample
    asked = plane_request(project, pixels, run.ranges, device, frame.pixel_um, resample)
    applied = yield from _classified(run.generation, asked)
    found = ClassifiedFrame(frame.source, describe(planes), frame.pixel_um, applied, " ".join(frame.notes))
    write_label_tiff(tiff, found, project)
    write_geojson(geojson, found, project)
    return found


def _reason(error: Exception) -> str:
    return str(error) if not isinstance(error, MemoryError) else "There is too little memory for it. Split the frame."


def _as_part(job: Job[Result], title: str, at: int, total: int) -> Job[Result]:
    """Return a job's result, its progress told as that of part `at` of `total`."""

    def tell(progress: Progress) -> Progress:
        done = STEPS * at + STEPS * progress.done // max(progress.total, 1)
        return Progress(done, STEPS * total, ": ".join(filter(None, (title, progress.message))))

    return retold(job, tell)
