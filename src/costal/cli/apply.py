"""``costal apply``: the trained classifier over images, from the terminal."""

from pathlib import Path
from typing import Annotated

import typer

from costal.applying.files import AppliedFiles, FilesRequest, apply_to_files
from costal.applying.image_files import COUNTS, image_sources, title_of
from costal.cli.frame import Axes, Device, Folder, WhatIsMissing
from costal.cli.output import AsJson, tell, warn
from costal.cli.progress import ProgressBar
from costal.errors import FrameError
from costal.labels.project import Project
from costal.labels.project_file import load_project
from costal.numerals import counted
from costal.workbench.file_axes import of_files


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(apply)


def apply(
    images: Annotated[
        list[str],
        typer.Argument(help="Image files, OME-Zarr folders or URLs, or folders: all images in and below them."),
    ],
    project: Folder,
    out: Annotated[Path, typer.Option("--out", help="Folder for tables, label TIFFs and GeoJSON.")],
    device: Device = "auto",
    axes: Axes = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier results in --out.")] = False,
    resample: Annotated[
        bool, typer.Option("--resample", help="Scale frames with another pixel size to the pixel size of the labels.")
    ] = False,
    missing: WhatIsMissing = "raise",
    as_json: AsJson = False,
) -> None:
    """Classify every crop of images with a project's newest model.

    Writes crops.csv (uncertain crops first), counts.csv (a row per frame), classes.json, and for each frame a label
    TIFF and a GeoJSON for QuPath into --out. Z stacks and time series become frames as set in the project.

    There is a warning for each frame with a pixel size that differs from that of the labels by more than a tenth;
    --resample first scales such frames to the pixel size of the labels. Crops that are constant or mostly NaN are
    counted separately and get no class.

    OME-Zarr and TIFFs with planes of more than 256 MB are read piece by piece; their scores stay in --out, in folders
    that end in .scores. After a stop, the same command continues from there.

    A file that cannot be classified does not stop the others: it is listed with the reason, and the exit code is 1. The
    exit code is 0 only when every file was classified.
    """
    sources = () if axes is None else image_sources(images, out)
    settings, doubts = of_files(load_project(project), axes, sources)
    with ProgressBar() as bar:
        applied = bar.drain(
            apply_to_files(FilesRequest(settings, tuple(images), out, device, overwrite, resample, missing))
        )
    warn((str(project), doubt) for doubt in doubts)
    warn((title_of(each.source), each.notes) for each in applied.frames if each.notes)
    tell(_as_text(applied, settings), _as_figures(applied, settings), as_json)
    if applied.failures:
        failed, total = len(applied.failures), len(applied.failures) + len(applied.frames)
        raise FrameError(f"{failed} of {total} frames could not be classified. {out / COUNTS} says why.")


def _as_text(applied: AppliedFiles, project: Project) -> str:
    totals = applied.totals_K
    frames = counted(len(applied.frames), "frame")
    lines = [
        f"Classified {counted(sum(totals), 'crop')} of {frames} with model {applied.generation}; wrote {applied.out}"
    ]
    for class_id, count in zip(applied.class_ids, totals, strict=True):
        label_class = project.class_of(class_id)
        lines.append(f"  {label_class.name if label_class else class_id}: {count} ({count / max(sum(totals), 1):.1%})")
    lines += [f"  without information: {applied.blank}"] if applied.blank else []
    lines += [f"  not classified: {' '.join((each.planes, each.reason)).strip()}" for each in applied.failures]
    return "\n".join(lines)


def _as_figures(applied: AppliedFiles, project: Project) -> dict[str, object]:
    names = [label_class.name if (label_class := project.class_of(each)) else str(each) for each in applied.class_ids]
    return {
        "out": applied.out,
        "generation": applied.generation,
        "model_hash": applied.model_hash,
        "counts": dict(zip(names, applied.totals_K, strict=True)),
        "without_information": applied.blank,
        "frames": [
            {
                "frame": each.source,
                "planes": each.planes,
                "counts": dict(zip(names, each.counts_K, strict=True)),
                "mean_confidence": each.confidence,
                "without_information": each.blank,
                "notes": each.notes,
            }
            for each in applied.frames
        ],
        "failures": [{"frame": each.source, "planes": each.planes, "reason": each.reason} for each in applied.failures],
    }
