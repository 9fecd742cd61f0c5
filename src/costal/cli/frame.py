"""``costal open``, ``costal score`` and ``costal train``: the microscope's loop from the terminal."""

import csv
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from costal.cli.demo import has_display, writing
from costal.cli.progress import ProgressBar
from costal.errors import ProjectError
from costal.frames.grid import tile
from costal.frames.normalise import intensity_range
from costal.frames.read import Planes, frame_from_array, plane, read
from costal.labels.project import load_project
from costal.labels.store import Store
from costal.workbench import (
    FrameRequest,
    FrameScores,
    PickedCrops,
    RetrainRequest,
    query_of,
    range_in_use,
    retrain,
    score_frame,
)

Folder = Annotated[Path, typer.Option("--project", help="The project's folder.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("open")(open_window)
    app.command()(score)
    app.command()(train)


def open_window(
    images: Annotated[list[Path] | None, typer.Argument(help="TIFF, OME-TIFF, PNG or JPEG files.")] = None,
    project: Annotated[Path | None, typer.Option("--project", help="The project's folder.")] = None,
) -> None:
    """Open napari with the Label crops widget, these images and this project."""
    if not has_display():
        raise ProjectError("There is no display to open a window on. Use 'costal score' and 'costal train' instead.")
    from napari_costal.window import open_label_crops

    open_label_crops([read(path) for path in images or []], project)


def score(
    image: Annotated[Path, typer.Argument(help="A TIFF, OME-TIFF, PNG or JPEG file.")],
    project: Folder,
    out: Annotated[Path, typer.Option(help="CSV to write, one row per crop.")] = Path("scores.csv"),
    device: Device = "auto",
) -> None:
    """Score the crops of an image with a project's newest model and write I, C, v and the query's ranks as CSV.

    All channels are taken, Z is projected to its maximum and the first T is used. Crops that have an answer in the
    project are scored, but not asked again.
    """
    settings = load_project(project)
    frame = read(image)
    with writing(out):
        out.open("a").close()  # find out now, not after the scoring
    chosen = plane(frame, Planes())
    grid = tile(chosen.shape[1:], settings.tiling.crop, settings.tiling.stride, settings.tiling.edge)
    # The same identity as in the window: that of the plane that is cut.
    content_hash = frame_from_array(chosen, "CYX", frame.pixel_um, frame.source).content_hash
    with Store(settings.store_path, read_only=True) as store:
        limits = range_in_use(settings, intensity_range(chosen), store.ranges())
        answered = {(label.y, label.x) for label in store.labels_of(content_hash) if label.side == grid.crop}
    candidates = np.array([i for i in range(len(grid)) if grid.origin(i) not in answered], dtype=np.intp)
    request = FrameRequest(settings, chosen, limits, grid, "", 0, settings.choices.seed, device)
    with ProgressBar() as bar:
        found = bar.drain(score_frame(request), image.name)
    query = query_of(found, settings, candidates, settings.choices.seed + found.generation)
    with writing(out):
        _write_scores(out, found, query, [grid.origin(index) for index in range(len(grid))])
    print(found.reason or f"Scored on {found.scores.device if found.scores else 'no device'}.")
    print(f"Wrote {len(grid)} crops to {out}; the query is crops {' '.join(map(str, query.picked_n))}")


def _write_scores(out: Path, found: FrameScores, query: PickedCrops, origins: list[tuple[int, int]]) -> None:
    ranks = {int(index): rank for rank, index in enumerate(query.picked_n, 1)}
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["crop", "y", "x", "information", "cost", "value", "rank"])
        for index, (y, x) in enumerate(origins):
            scores = found.scores
            figures = ["", "", ""]
            if scores is not None and query.value_N is not None:
                figures = [f"{each[index]:.6g}" for each in (scores.information_N, scores.cost_N, query.value_N)]
            writer.writerow([index, y, x, *figures, ranks.get(index, "")])


def train(
    project: Folder,
    device: Device = "auto",
) -> None:
    """Retrain a project's classifier and cost model on all its labels and efforts."""
    settings = load_project(project)
    with Store(settings.store_path, read_only=True) as store:
        shapes = [each.pixels_C_H_W.shape for each in store.presented()]
    if not shapes:
        raise ProjectError(f"{project} has no labels yet. Label crops in napari first: costal open --project {project}")
    with ProgressBar() as bar:
        request = RetrainRequest(settings, shapes[-1], settings.choices.seed, device)
        generation = bar.drain(retrain(request))
    for note in generation.agent.notes:
        print(note)
    print(f"Model {generation.number} saved." if generation.number else "Nothing could be trained yet.")
