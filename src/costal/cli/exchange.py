"""``costal export``, ``costal import`` and ``costal label``: labels out of a project, and into one."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from costal.applying.image_files import image_sources
from costal.cli.frame import Axes
from costal.cli.output import AsJson, tell, warn
from costal.cli.progress import ProgressBar
from costal.labels.exchange.exports import EXPORT_KINDS, ExportKind
from costal.labels.exchange.json_import import import_json
from costal.labels.project_file import load_project
from costal.workbench.exchange import export_project, import_labels
from costal.workbench.file_axes import of_files
from costal.workbench.session import ProjectSession


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("export")(export_labels)
    app.command("import")(import_project)
    app.command("label")(label_from)


def export_labels(
    project: Annotated[Path, typer.Argument(help="The project's folder.")],
    kind: Annotated[ExportKind, typer.Option("--as", help=f"The format: {', '.join(EXPORT_KINDS)}.")],
    out: Annotated[
        Path, typer.Option(help="The file to write; a folder for images, and for geojson of several frames.")
    ],
    validation: Annotated[float, typer.Option(help="Share of the frames used for validation.")] = 0.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the labels of a project for another program.

    Training and validation are split by frame, never by crop. In a CSV file, text that a spreadsheet would run as a
    formula gets an apostrophe in front.
    """
    with ProgressBar() as bar:
        exported = bar.drain(export_project(project, out, kind, validation, overwrite), out.name)
    counts = ", ".join(f"{name}: {count}" for name, count in exported.counts.items()) or "no labels"
    splits = ", ".join(f"{count} for {name}" for name, count in exported.splits.items())
    lines = [f"Wrote {out} ({counts})." if not validation else f"Wrote {out} ({counts}; {splits}).", *exported.notes]
    tell("\n".join(lines), asdict(exported), as_json)


def import_project(
    document: Annotated[Path, typer.Argument(help="The JSON file of a whole project, exported by an earlier version.")],
    folder: Annotated[Path, typer.Argument(help="The new project's folder.")],
    as_json: AsJson = False,
) -> None:
    """Make a new project from a JSON file of an earlier version: the same settings, labels, events and crops."""
    with ProgressBar() as bar:
        imported = bar.drain(import_json(document, folder), document.name)
    counts = ", ".join(f"{name}: {count}" for name, count in imported.counts.items())
    tell(f"Made {folder} ({counts}).", {"folder": folder, "rows": imported.counts}, as_json)


def label_from(
    table: Annotated[Path, typer.Option("--from", help="CSV with the columns frame, y, x and class.")],
    project: Annotated[Path, typer.Option("--project", help="The project's folder.")],
    images: Annotated[Path | None, typer.Option(help="Folder of the images that are not in the project yet.")] = None,
    axes: Axes = None,
    annotator: Annotated[str, typer.Option(help="Who gave the labels that have no annotator in the table.")] = "",
    add_classes: Annotated[
        bool, typer.Option("--add-classes", help="Add the classes that the project does not have.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Change labels that differ from the table.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check all rows and store nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Label crops from a CSV file: all its rows, or none if one is wrong. Existing labels are not added again.

    The column frame has the content hash, the path or, if it is unique, the file name of an image; y and x are the top
    left pixel of a crop of the project's grid. The columns side, annotator, kind (class, skip or exclude), planes and
    content_hash are optional; efforts are never imported. Rows that contradict existing labels are counted; only
    --replace changes these labels.
    """
    doubts: tuple[str, ...] = ()
    if axes is not None:
        if images is None:
            raise typer.BadParameter("--axes needs --images, the folder of the files that have these axes.")
        _, doubts = of_files(load_project(project), axes, image_sources([images], project))
    with ProjectSession(project) as session, ProgressBar() as bar:
        imported = bar.drain(
            import_labels(session, table, images, annotator, add_classes, dry_run, replace), table.name
        )
    verb = "Nothing was stored. This would import" if dry_run else "Imported"
    text = f"{verb} {imported.added} new labels; {imported.unchanged} already existed; {imported.frames} new frames."
    if imported.classes:
        text += f" New classes: {', '.join(imported.classes)}."
    if imported.contradicting:
        text += f" {imported.contradicting} rows contradict existing labels: "
        text += "these were changed." if imported.replaced else "these are unchanged; --replace changes them."
    warn([*((str(project), doubt) for doubt in doubts), *imported.notes])
    tell(text, asdict(imported) | {"notes": [note for _, note in imported.notes], "dry_run": dry_run}, as_json)
