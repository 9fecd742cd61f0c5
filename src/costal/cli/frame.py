"""``costal open``, ``score``, ``query`` and ``train``: the microscope's loop from the terminal."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from costal.cli.output import AsJson, tell, warn
from costal.cli.progress import ProgressBar
from costal.cli.scoring import ScoredFrame, Scoring, is_kept, sources_of, write_kept
from costal.cli.terminal import WHERE_TO_RUN, has_display, require_place_for_table
from costal.errors import FrameError, ProjectError
from costal.files import new_text
from costal.frames.lazy import Missing
from costal.frames.windows import is_large
from costal.labels.lock import ProjectLock
from costal.labels.project_file import load_project
from costal.labels.store import Store, require_store
from costal.numerals import counted
from costal.scoring.kept import SKIPPED
from costal.scoring.prepare import Background
from costal.settings import LARGEST
from costal.workbench.file_axes import of_files
from costal.workbench.retraining import RetrainRequest, retrain

Folder = Annotated[Path, typer.Option("--project", help="The project's folder.")]
WhatIsMissing = Annotated[
    Missing,
    typer.Option(
        help="Missing chunks: raise refuses the image, fill uses the fill value, skip leaves out their crops."
    ),
]
Axes = Annotated[
    str | None,
    typer.Option(
        help="The axes of the files, such as ZCYX, if a file has none or wrong ones; stored per kind of file."
    ),
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
        raise ProjectError("There is no display for a window. Use 'costal score' and 'costal train' instead.")
    from napari_costal.window import open_label_crops

    open_label_crops(images or [], project, axes)


def score(
    image: Annotated[str, typer.Argument(help="An image file, an OME-Zarr folder or URL, or a folder of images.")],
    project: Folder,
    out: Annotated[Path, typer.Option(help="CSV to write, one row per crop.")] = Path("scores.csv"),
    device: Device = "auto",
    lazy: Annotated[
        bool, typer.Option("--lazy", help="Read the image piece by piece, even if it fits in memory.")
    ] = False,
    missing: WhatIsMissing = "raise",
    background: Annotated[Background, typer.Option(help="skip: do not score crops of empty background.")] = "none",
    dask: Annotated[str | None, typer.Option(help=WHERE_TO_RUN)] = None,
    axes: Axes = None,
    as_json: AsJson = False,
) -> None:
    """Score the crops of an image with a project's newest model and write I, C, v and the query's ranks as CSV.

    The project sets which planes of a stack or series are frames. Crops that are answered in the project are scored,
    but not queried again.

    OME-Zarr, TIFFs with planes of more than 256 MB and folders of images are read piece by piece. Scores are stored
    beside the CSV, in a folder that ends in .scores, with a heatmap.tif. After a stop, the same command continues from
    there and scores only what is missing or stale.
    """
    require_place_for_table(out)
    settings, doubts = of_files(load_project(project), axes, sources_of(image, out.with_suffix(".scores")))
    is_piecewise = lazy or dask is not None or missing != "raise" or background != "none"
    keep = is_piecewise or is_kept(image, settings)
    scoring = Scoring(settings, image, out, device, keep, missing, background, dask)
    first: ScoredFrame | None = None
    frames = crops = skipped = 0
    try:
        with new_text(out) as table:
            for frame in scoring.frames():
                for part in frame.table.parts():
                    part.to_csv(table, header=not crops, index=False, lineterminator="\n", float_format="%.6g")
                    crops += len(part)
                write_kept(frame)
                first = first or frame
                frames, skipped = frames + 1, skipped + frame.skipped_count
            if first is None:
                raise _NothingScoredError
    except _NothingScoredError:
        pass  # an earlier table stays
    except KeyboardInterrupt:
        raise _stopped(scoring, as_json) from None
    warn([*((str(project), doubt) for doubt in doubts), *scoring.notes])
    lines = [f"not scored: {source}: {why}" for source, why in scoring.failures.items()]
    figures: dict[str, object] = {"crops": crops, "frames": frames}
    query = (
        []
        if first is None or first.query is None or (frames > 1 and keep)
        else [int(at) for at in first.query.picked_n]
    )
    if first is not None:
        scores = first.scores
        lines.append(scores.reason or f"Scored on {scores.scores.device if scores.scores else 'no device'}.")
        figures |= {"generation": scores.generation, "reason": scores.reason}
    where = f"; heatmaps and stored scores are in {scoring.folder}" if keep else ""
    lines.append(f"Wrote {counted(crops, 'crop')} to {out}{where}")
    lines[-1] += f"; the query has the crops {' '.join(map(str, query))}" if frames == 1 else ""
    lines += [f"{skipped} crops were skipped: {SKIPPED} in that folder lists them."] if skipped and keep else []
    figures |= {"notes": list(dict.fromkeys((*doubts, *(note for _, note in scoring.notes)))), "out": out}
    figures |= {"query": query}
    if keep:
        figures |= {"skipped": skipped, "folder": scoring.folder, "failures": scoring.failures}
    tell("\n".join(lines), figures, as_json)
    if scoring.failures:
        count = len(scoring.failures)
        raise FrameError(f"{count} of {len(sources_of(image, scoring.folder))} images could not be scored.")


class _NothingScoredError(Exception):
    """No image could be scored."""


def _stopped(scoring: Scoring, as_json: bool) -> typer.Exit:
    kept = f": the same command continues from the scores in {scoring.folder}" if scoring.keep else "."
    tell(f"Stopped{kept}", {"stopped": True}, as_json)
    return typer.Exit(130)


def query(
    image: Annotated[str, typer.Argument(help="An image file, or an OME-Zarr folder or URL.")],
    project: Folder,
    out: Annotated[Path, typer.Option(help="CSV to write, one row per crop of the query.")] = Path("query.csv"),
    n: Annotated[int | None, typer.Option("-n", min=1, max=LARGEST, help="Number of crops in the query.")] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Instead of -n: as many crops as fit into these minutes.")
    ] = None,
    device: Device = "auto",
    missing: WhatIsMissing = "raise",
    axes: Axes = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing query.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the crops of an image that are worth labelling next, best first.

    Fill in the column ``class`` and give the file to 'costal label --from'. Without -n and --minutes, the project's
    settings are used. The scores of an image that is read piece by piece are stored beside the CSV, as with 'costal
    score'.
    """
    if n is not None and minutes is not None:
        raise typer.BadParameter("Give -n or --minutes, not both.")
    require_place_for_table(out, overwrite)
    settings, doubts = of_files(load_project(project), axes, [image])
    notes = [(str(project), doubt) for doubt in doubts]
    choices = settings.choices
    if n is not None:
        choices = replace(choices, by="crops", n=n)
    elif minutes is not None:
        choices = replace(choices, by="minutes", minutes=minutes)
    settings = replace(settings, choices=choices)
    keep = missing != "raise" or is_large(image, settings.axes)
    scoring = Scoring(settings, image, out, device, keep, missing)
    try:
        tables = [each.table.rows(each.query.picked_n) for each in scoring.frames() if each.query is not None]
    except KeyboardInterrupt:
        raise _stopped(scoring, as_json) from None
    notes += scoring.notes
    warn(notes)
    if scoring.failures:
        raise FrameError("; ".join(scoring.failures.values()))
    if not tables:
        raise ProjectError(
            f"Every crop of {image} is labelled, or has no information (constant, or mostly NaN). Choose another "
            "image, or undo a label."
        )
    import pandas as pd  # a third of a second, which other commands do not need

    chosen = pd.concat(tables).assign(**{"class": ""})
    with new_text(out) as file:
        chosen.to_csv(file, index=False, lineterminator="\n", float_format="%.6g")
    rows = chosen[["planes", "y", "x", "rank", "control"]].to_dict("records")
    tell(
        f"Wrote a query of {counted(len(chosen), 'crop')} to {out}",
        {"out": out, "crops": rows, "notes": list(dict.fromkeys(note for _, note in notes))},
        as_json,
    )


def train(
    project: Folder,
    device: Device = "auto",
    new_range: Annotated[
        bool, typer.Option("--new-range", help="Measure the intensity range of all frames again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
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
            model_version = bar.drain(retrain(RetrainRequest(settings, settings.choices.seed, device, new_range)))
    finally:
        lock.release()
    ending = [f"Model {model_version.number} saved."] if model_version.number else []
    figures = {
        "generation": model_version.number,
        "labels": model_version.agent.label_count,
        "notes": model_version.agent.notes,
    }
    tell(
        "\n".join([*model_version.agent.notes, *ending]),
        figures | {"metrics": model_version.provenance.metrics},
        as_json,
    )
