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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in --out already.")] = False,
    resample: Annotated[
        bool, typer.Option("--resample", help="Classify frames of another pixel size as if taken at the labels' one.")
    ] = False,
    missing: WhatIsMissing = "raise",
    as_json: AsJson = False,
) -> None:
    """Classify every crop of images with a project's newest model.

    Into --out go crops.csv (uncertain crops first), counts.csv (a row per frame), classes.json, and for each frame a
    label TIFF and a GeoJSON for QuPath. Z stacks and time series become frames as the project says.

    A frame whose pixel size differs by more than a tenth from that of the labels gives a warning; --resample brings it
    to their pixel size first. Crops that are constant or mostly NaN are counted apart and get no class.

    OME-Zarr and TIFFs with planes of more than 256 MB are read piece by piece; what was scored of them stays in --out,
    in folders that end in .scores. Stopped, the same command goes on from there.

    A file that cannot be classified stops nothing: the others are done, it is named with the reason, and the exit code
    is 1. It is 0 only when every file was classified.
    """
    sources = () if axes is None else image_sources(images, out)
    settings, doubts = of_files(load_project(project), axes, sources)
    with ProgressBar() as bar:
        found = bar.drain(
            apply_to_files(FilesRequest(settings, tuple(images), out, device, overwrite, resample, missing))
        )
    warn((str(project), doubt) for doubt in doubts)
    warn((title_of(each.source), each.notes) for each in found.frames if each.notes)
    tell(_as_text(found, settings), _as_figures(found, settings), as_json)
    if found.failures:
        failed, total = len(found.failures), len(found.failures) + len(found.frames)
        raise FrameError(f"{failed} of {total} frames could not be classified. {out / COUNTS} says why.")


def _as_text(found: AppliedFiles, project: Project) -> str:
    totals = found.totals_K
    frames = counted(len(found.frames), "frame")
    lines = [f"Classified {counted(sum(totals), 'crop')} of {frames} with model {found.generation}; wrote {found.out}"]
    for class_id, count in zip(found.class_ids, totals, strict=True):
        meant = project.class_of(class_id)
        lines.append(f"  {meant.name if meant else class_id}: {count} ({count / max(sum(totals), 1):.1%})")
    lines += [f"  without information: {found.blank}"] if found.blank else []
    lines += [f"  not classified: {' '.join((each.planes, each.reason)).strip()}" for each in found.failures]
    return "\n".join(lines)


def _as_figures(found: AppliedFiles, project: Project) -> dict[str, object]:
    names = [meant.name if (meant := project.class_of(each)) else str(each) for each in found.class_ids]
    return {
        "out": found.out,
        "generation": found.generation,
        "model_hash": found.model_hash,
        "counts": dict(zip(names, found.totals_K, strict=True)),
        "without_information": found.blank,
        "frames": [
            {
                "frame": each.source,
                "planes": each.planes,
                "counts": dict(zip(names, each.counts_K, strict=True)),
                "mean_confidence": each.confidence,
                "without_information": each.blank,
                "notes": each.notes,
            }
            for each in found.frames
        ],
        "failures": [{"frame": each.source, "planes": each.planes, "reason": each.reason} for each in found.failures],
    }
