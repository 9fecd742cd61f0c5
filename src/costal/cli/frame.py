"""``costal open``, ``score``, ``query`` and ``train``: the microscope's loop from the terminal."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from costal.cli.output import AsJson, tell
from costal.cli.progress import ProgressBar
from costal.cli.terminal import has_display, require_place_for_table, writing
from costal.errors import ProjectError
from costal.frames.grid import tile
from costal.frames.read import read
from costal.labels.lock import ProjectLock
from costal.labels.project import LARGEST, Project
from costal.labels.project_file import load_project
from costal.labels.store import Store, require_store
from costal.types import Grid
from costal.workbench.arrivals import FilePlane, frames_of
from costal.workbench.rounds import (
    FrameRequest,
    FrameScores,
    PickedCrops,
    RetrainRequest,
    query_of,
    query_seed,
    range_in_use,
    retrain,
    score_frame,
)

Image = Annotated[Path, typer.Argument(help="A TIFF, OME-TIFF, PNG or JPEG file.")]
Folder = Annotated[Path, typer.Option("--project", help="The project's folder.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("open")(open_window)
    for command in (score, query, train):
        app.command()(command)


def open_window(
    images: Annotated[list[Path] | None, typer.Argument(help="TIFF, OME-TIFF, PNG or JPEG files.")] = None,
    project: Annotated[Path | None, typer.Option("--project", help="The project's folder.")] = None,
) -> None:
    """Open napari with the Label crops widget, these images and this project."""
    if not has_display():
        raise ProjectError("There is no display to open a window on. Use 'costal score' and 'costal train' instead.")
    from napari_costal.window import open_label_crops

    open_label_crops([read(path) for path in images or []], project)


@dataclass(frozen=True, slots=True)
class Scored:
    """A frame of a file with its scores and query."""

    plane: FilePlane
    grid: Grid
    found: FrameScores
    query: PickedCrops


def score(
    image: Image,
    project: Folder,
    out: Annotated[Path, typer.Option(help="CSV to write, one row per crop.")] = Path("scores.csv"),
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Score the crops of an image with a project's newest model and write I, C, v and the query's ranks as CSV.

    The project says which planes of a stack or series are frames. Crops that have an answer in the project are scored,
    but not asked again.
    """
    require_place_for_table(out)
    frames = list(_scored(load_project(project), image, device))
    with writing(out):
        pd.concat([_table(each) for each in frames]).to_csv(out, index=False, lineterminator="\n", float_format="%.6g")
    first = frames[0].found
    crops = sum(len(each.grid) for each in frames)
    asked = [int(index) for index in frames[0].query.picked_n]
    how = first.reason or f"Scored on {first.scores.device if first.scores else 'no device'}."
    text = f"{how}\nWrote {crops} crops to {out}"
    if len(frames) == 1:
        text += f"; the query is crops {' '.join(map(str, asked))}"
    figures = {"crops": crops, "frames": len(frames), "generation": first.generation, "reason": first.reason}
    tell(text, figures | {"out": out, "query": asked}, as_json)


def query(
    image: Image,
    project: Folder,
    out: Annotated[Path, typer.Option(help="CSV to write, one row per crop asked.")] = Path("query.csv"),
    n: Annotated[int | None, typer.Option("-n", min=1, max=LARGEST, help="Crops to ask for.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Or as many as fit into these minutes.")] = None,
    device: Device = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a query that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the crops of an image that are worth labelling next, best first.

    Fill in the column ``class`` and give the file to 'costal label --from'. Without -n or --minutes the project's own
    choice holds.
    """
    settings = load_project(project)
    if n is not None and minutes is not None:
        raise typer.BadParameter("Give -n or --minutes, not both.")
    require_place_for_table(out, overwrite)
    choices = settings.choices
    if n is not None:
        choices = replace(choices, by="crops", n=n)
    elif minutes is not None:
        choices = replace(choices, by="minutes", minutes=minutes)
    tables = []
    for each in _scored(replace(settings, choices=choices), image, device):
        table = _table(each)
        asked = table[table["rank"] != ""].sort_values("rank", key=lambda ranks: ranks.astype(int))
        if len(asked):
            tables.append(asked.assign(**{"class": ""}))
    if not tables:
        raise ProjectError(f"Every crop of {image} is labelled. Choose another image, or undo a label.")
    chosen = pd.concat(tables)
    with writing(out):
        chosen.to_csv(out, index=False, lineterminator="\n", float_format="%.6g")
    rows = chosen[["planes", "y", "x", "rank", "control"]].to_dict("records")
    tell(f"Wrote a query of {len(chosen)} crops to {out}", {"out": out, "crops": rows}, as_json)


def _scored(settings: Project, image: Path, device: str) -> Iterator[Scored]:
    """Return the frames of a file one by one, scored, each with its query among the crops that have no answer."""
    tiling = settings.tiling
    require_store(settings.store_path)
    with ProgressBar() as bar, Store(settings.store_path, read_only=True) as store:
        for each in frames_of(settings, image):
            grid = tile(each.frame.pixels.shape[1:], tiling.crop, tiling.stride, tiling.edge)
            limits = range_in_use(settings, each.range, store.ranges())
            labels = store.labels_of(each.frame.content_hash)
            answered = {(label.y, label.x) for label in labels if label.side == grid.crop}
            candidates = np.array([i for i in range(len(grid)) if grid.origin(i) not in answered], dtype=np.intp)
            request = FrameRequest(settings, each.frame.pixels, limits, grid, "", 0, settings.choices.seed, device)
            found = bar.drain(score_frame(request), f"{image.name} {each.description}")
            seed = query_seed(settings, found, 0, len(answered))
            is_answered = len(candidates) == 0
            asked = query_of(found, settings, grid, np.arange(len(grid)) if is_answered else candidates, seed)
            if is_answered:  # of a stack, other planes may have crops to ask for
                asked = replace(asked, picked_n=asked.picked_n[:0], control_n=asked.control_n[:0])
            yield Scored(each, grid, found, asked)


def _table(scored: Scored) -> pd.DataFrame:
    """Return one row per crop: where it is, its scores, and its rank in the query."""
    grid, scores, asked = scored.grid, scored.found.scores, scored.query
    origins = np.array([grid.origin(index) for index in range(len(grid))]).reshape(-1, 2)
    rank, control = np.full(len(grid), "", dtype=object), np.zeros(len(grid), dtype=int)
    rank[asked.picked_n] = np.arange(1, len(asked.picked_n) + 1)
    control[asked.picked_n] = asked.control_n
    blank = np.full(len(grid), np.nan)
    return pd.DataFrame(
        {
            "frame": scored.plane.frame.source,
            "content_hash": scored.plane.frame.content_hash,
            "planes": scored.plane.description,
            "crop": np.arange(len(grid)),
            "y": origins[:, 0],
            "x": origins[:, 1],
            "side": grid.crop,
            "information": blank if scores is None else scores.information_N,
            "cost": blank if scores is None else scores.cost_N,
            "value": blank if scores is None or asked.value_N is None else asked.value_N,
            "rank": rank,
            "control": control,
        }
    )


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
            shape = store.newest_crop_shape()
        if shape is None:
            raise ProjectError(
                f"{project} has no labels yet. Label crops in napari first: costal open --project {project}"
            )
        with ProgressBar() as bar:
            generation = bar.drain(retrain(RetrainRequest(settings, shape, settings.choices.seed, device)))
    finally:
        lock.release()
    ending = f"Model {generation.number} saved." if generation.number else "Nothing could be trained yet."
    figures = {"generation": generation.number, "labels": generation.agent.label_count, "notes": generation.agent.notes}
    tell("\n".join([*generation.agent.notes, ending]), figures | {"metrics": generation.origin.metrics}, as_json)
