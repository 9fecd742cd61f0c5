"""``costal open``, ``score``, ``query`` and ``train``: the microscope's loop from the terminal."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from costal.agent.value import value
from costal.cli.large import LazyScoring, query_lazily, score_lazily
from costal.cli.output import AsJson, tell, warn
from costal.cli.progress import ProgressBar
from costal.cli.score_table import ScoreTable
from costal.cli.terminal import has_display, require_place_for_table
from costal.errors import ProjectError
from costal.files import new_text
from costal.frames.lazy import Missing
from costal.frames.ome_zarr import is_zarr
from costal.frames.windows import is_large
from costal.labels.lock import ProjectLock
from costal.labels.project import LARGEST, Choices, Project
from costal.labels.project_file import load_project
from costal.labels.store import Store, require_store
from costal.workbench.arrivals import ScoredPlane, frames_of, score_plane
from costal.workbench.file_axes import of_files
from costal.workbench.image_files import image_files
from costal.workbench.large import Background
from costal.workbench.rounds import PickedCrops, RetrainRequest, retrain

Folder = Annotated[Path, typer.Option("--project", help="The project's folder.")]
WhatIsMissing = Annotated[Missing, typer.Option(help="What becomes of chunks that are not there.")]
Axes = Annotated[
    str | None,
    typer.Option(help="What the axes of the files are, such as ZCYX, where a file says none or others; kept by kind."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("open")(open_window)
    for command in (score, query, train):
        app.command()(command)


def open_window(
    images: Annotated[
        list[Path] | None, typer.Argument(help="TIFF, OME-TIFF, PNG or JPEG files, or OME-Zarr folders.")
    ] = None,
    project: Annotated[Path | None, typer.Option("--project", help="The project's folder.")] = None,
    axes: Axes = None,
) -> None:
    """Open napari with the Label crops widget, these images and this project."""
    if not has_display():
        raise ProjectError("There is no display to open a window on. Use 'costal score' and 'costal train' instead.")
    from napari_costal.window import open_label_crops

    open_label_crops(images or [], project, axes)


def score(
    image: Annotated[str, typer.Argument(help="An image file, an OME-Zarr folder or URL, or a folder of images.")],
    project: Folder,
    out: Annotated[Path, typer.Option(help="CSV to write, one row per crop.")] = Path("scores.csv"),
    device: Device = "auto",
    lazy: Annotated[bool, typer.Option("--lazy", help="Read piece by piece even what would fit in memory.")] = False,
    missing: WhatIsMissing = "raise",
    background: Annotated[Background, typer.Option(help="skip leaves out crops that show nothing.")] = "none",
    dask: Annotated[str | None, typer.Option(help="local:K, local:K+dashboard, tls://… or a scheduler file.")] = None,
    axes: Axes = None,
    as_json: AsJson = False,
) -> None:
    """Score the crops of an image with a project's newest model and write I, C, v and the query's ranks as CSV.

    The project says which planes of a stack or series are frames. Crops that have an answer in the project are scored,
    but not asked again.

    OME-Zarr, TIFFs with planes of more than 256 MB and folders of images are read piece by piece. What is scored is
    kept beside the CSV, in a folder that ends in .scores, with a heatmap.tif: stopped, the same command goes on from
    there, and only what is missing or stale is scored again.
    """
    require_place_for_table(out)
    settings, doubts = of_files(load_project(project), axes, _sources(image, out))
    warn((str(project), doubt) for doubt in doubts)
    if (
        lazy
        or dask is not None
        or missing != "raise"
        or background != "none"
        or is_large(image, settings.axes)
        or Path(image).is_dir()
    ):
        require_store(settings.store_path)
        score_lazily(LazyScoring(settings, image, out, missing, background, dask, device), as_json)
        return
    frames = list(_scored(settings, Path(image), device))
    tables = [_table(each, asked, settings.choices).whole() for each, asked in frames]
    with new_text(out) as file:
        pd.concat(tables).to_csv(file, index=False, lineterminator="\n", float_format="%.6g")
    first, first_asked = frames[0][0].found, frames[0][1]
    crops = sum(map(len, tables))
    asked = [] if first_asked is None else [int(index) for index in first_asked.picked_n]
    how = first.reason or f"Scored on {first.scores.device if first.scores else 'no device'}."
    text = f"{how}\nWrote {crops} crops to {out}"
    if len(frames) == 1:
        text += f"; the query is crops {' '.join(map(str, asked))}"
    notes = list(warnings_of(each for each, _ in frames))
    figures = {"crops": crops, "frames": len(frames), "generation": first.generation, "reason": first.reason}
    figures |= {"notes": list(dict.fromkeys((*doubts, *(note for _, note in notes))))}
    warn(notes)
    tell(text, figures | {"out": out, "query": asked}, as_json)


def query(
    image: Annotated[str, typer.Argument(help="An image file, or an OME-Zarr folder or URL.")],
    project: Folder,
    out: Annotated[Path, typer.Option(help="CSV to write, one row per crop asked.")] = Path("query.csv"),
    n: Annotated[int | None, typer.Option("-n", min=1, max=LARGEST, help="Crops to ask for.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Or as many as fit into these minutes.")] = None,
    device: Device = "auto",
    missing: WhatIsMissing = "raise",
    axes: Axes = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a query that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the crops of an image that are worth labelling next, best first.

    Fill in the column ``class`` and give the file to 'costal label --from'. Without -n or --minutes the project's own
    choice holds. The scores of an image that is read piece by piece are kept beside the CSV, as by 'costal score'.
    """
    if n is not None and minutes is not None:
        raise typer.BadParameter("Give -n or --minutes, not both.")
    require_place_for_table(out, overwrite)
    settings, said = of_files(load_project(project), axes, [image])
    notes = [(str(project), doubt) for doubt in said]
    choices = settings.choices
    if n is not None:
        choices = replace(choices, by="crops", n=n)
    elif minutes is not None:
        choices = replace(choices, by="minutes", minutes=minutes)
    settings = replace(settings, choices=choices)
    if missing != "raise" or is_large(image, settings.axes):
        require_store(settings.store_path)
        tables = query_lazily(LazyScoring(settings, image, out, missing, device=device), as_json, notes)
    else:
        each = list(_scored(settings, Path(image), device))
        tables = [_table(scored, asked, choices).rows(asked.picked_n) for scored, asked in each if asked is not None]
        notes += warnings_of(scored for scored, _ in each)
    warn(notes)
    if not tables:
        raise ProjectError(
            f"Every crop of {image} is labelled, or has no information (constant, or mostly NaN). Choose another "
            "image, or undo a label."
        )
    chosen = pd.concat(tables).assign(**{"class": ""})
    with new_text(out) as file:
        chosen.to_csv(file, index=False, lineterminator="\n", float_format="%.6g")
    rows = chosen[["planes", "y", "x", "rank", "control"]].to_dict("records")
    tell(
        f"Wrote a query of {len(chosen)} crops to {out}",
        {"out": out, "crops": rows, "notes": list(dict.fromkeys(note for _, note in notes))},
        as_json,
    )


def _sources(image: str, out: Path) -> list[str]:
    """Return the images that a command is to read: one, or all in and below a folder."""
    if is_zarr(image) or not Path(image).is_dir():
        return [image]
    return [str(path) for path in image_files([Path(image)], out.with_suffix(".scores"))]


def _scored(settings: Project, image: Path, device: str) -> Iterator[tuple[ScoredPlane, PickedCrops | None]]:
    """Return the frames of a file one by one, scored, each with its query; None where every crop has an answer."""
    require_store(settings.store_path)
    with ProgressBar() as bar, Store(settings.store_path, read_only=True) as store:
        for each in frames_of(settings, image):
            job = score_plane(settings, each, store, device=device)
            scored = bar.drain(job, f"{image.name} {each.description}")
            yield scored, scored.query(settings) if len(scored.free_M) else None


def warnings_of(frames: Iterable[ScoredPlane]) -> Iterator[tuple[str, str]]:
    """Return the warnings about frames, each after the frame's name."""
    for each in frames:
        for warning in (*each.plane.frame.notes, *each.found.warnings):
            yield Path(each.plane.frame.source).name, warning


def _table(scored: ScoredPlane, asked: PickedCrops | None, choices: Choices) -> ScoreTable:
    scores, frame, described = scored.found.scores, scored.plane.frame, scored.plane.description
    if scores is None:
        return ScoreTable(frame.source, frame.content_hash, described, scored.grid, None, None, None, asked)
    value_N = value(scores.information_N, scores.cost_N, choices.alpha, choices.beta)
    information_N, cost_N, value_N = map(scored.found.of_scored, (scores.information_N, scores.cost_N, value_N))
    place = frame.source, frame.content_hash, described, scored.grid
    return ScoreTable(*place, information_N, cost_N, value_N, asked)


def train(project: Folder, device: Device = "auto", as_json: AsJson = False) -> None:
    """Retrain a project's classifier and cost model on all its labels and efforts."""
    settings = load_project(project)
    require_store(settings.store_path)
    lock = ProjectLock(project)
    holder = lock.acquire()
    if holder is not None:
        raise ProjectError(f"{project} is in use: {holder} writes to it. Train there, or close it first.")
    try:
        with Store(settings.store_path) as store:  # for writing, which brings an older one up to date
            is_labelled = bool(store.label_counts())
        if not is_labelled:
            raise ProjectError(
                f"{project} has no labels yet. Label crops in napari first: costal open --project {project}"
            )
        with ProgressBar() as bar:
            generation = bar.drain(retrain(RetrainRequest(settings, settings.choices.seed, device)))
    finally:
        lock.release()
    ending = [f"Model {generation.number} saved."] if generation.number else []
    figures = {"generation": generation.number, "labels": generation.agent.label_count, "notes": generation.agent.notes}
    tell("\n".join([*generation.agent.notes, *ending]), figures | {"metrics": generation.origin.metrics}, as_json)
