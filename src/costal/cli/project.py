"""``costal project``: make a project, show what is in one, check it and repair it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from costal.cli.output import AsJson, tell
from costal.cli.progress import ProgressBar
from costal.errors import ProjectError
from costal.labels.exchange.packing import pack, unpack
from costal.labels.models import load_newest
from costal.labels.project_file import load_project
from costal.labels.recent import recent_file, recent_projects
from costal.labels.repair.findings import Finding, examine
from costal.labels.repair.repair import repair
from costal.labels.store import Store, require_store
from costal.numerals import counted
from costal.workbench.assessing import AssessmentRequest
from costal.workbench.assessing import assess as cross_validated
from costal.workbench.assessment import kept_now
from costal.workbench.forecasts import last_fulfilled
from costal.workbench.frames_list import LOST, list_frames, with_places, worth_listing
from costal.workbench.gallery import UNLABELLED
from costal.workbench.gallery_crops import collect
from costal.workbench.gallery_pixels import CropPixels
from costal.workbench.locating import locate, located_text
from costal.workbench.looked_again import open_doubts
from costal.workbench.methods import methods_of
from costal.workbench.new_project import make_project
from costal.workbench.poor_crops import POOR_NAMES, counts_of, with_poor
from costal.workbench.session import ProjectSession

MOST_LISTED = 20
"""How many findings are listed one by one."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(
        no_args_is_help=True,
        help="Make a project, show what is in it, find its images, check it, repair it and pack it.",
    )
    for command in (new, info, assess, poor, methods, frames, check, recent):
        commands.command()(command)
    commands.command("pack")(pack_project)
    commands.command("unpack")(unpack_project)
    commands.command("repair")(mend)
    commands.command("locate")(locate_images)
    app.add_typer(commands, name="project")


Folder = Annotated[Path, typer.Argument(help="The project's folder.")]


def new(
    folder: Folder,
    classes: Annotated[str, typer.Option("--classes", help="Class names, comma-separated.")] = "class 1,class 2",
    backbone: Annotated[
        str | None,
        typer.Option(
            help="The network that the models use, efficientnet_lite0 by default: see 'costal backbone list'."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a new project in an empty or new folder."""
    project, note = make_project(folder, tuple(name.strip() for name in classes.split(",")), backbone)
    names = [each.name for each in project.classes]
    figures = {"folder": folder, "classes": names, "backbone": project.choices.backbone}
    tell("\n".join(filter(None, (f"Made {folder} with classes {', '.join(names)}", note))), figures, as_json)


def recent(as_json: AsJson = False) -> None:
    """List the projects that were last opened in the window, newest first."""
    folders = recent_projects(recent_file())
    tell("\n".join(map(str, folders)) or "No project was opened yet.", {"projects": folders}, as_json)


def info(folder: Folder, as_json: AsJson = False) -> None:
    """Show the classes, labels and models of a project."""
    project = load_project(folder)
    require_store(project.store_path)
    with Store(project.store_path, read_only=True) as store:
        label_counts, presentations = store.label_counts(), store.row_count("presentation")
        others = len(store.label_snapshot()) - sum(label_counts.values())
    counts: Counter[int] = Counter()
    for class_id, count in label_counts.items():
        label_class = project.class_of(class_id)
        counts[label_class.id if label_class else class_id] += count
    newest = load_newest(project.model_folder)
    shown = [each for each in project.classes if not each.merged_into]
    labels = sum(counts.values())
    lines = [f"{project.name}: {labels} labelled crops; crops were shown {presentations} times"]
    retired = (" (retired)" if each.retired else "" for each in shown)
    lines += [f"  [{each.key}] {each.name}: {counts[each.id]}{note}" for each, note in zip(shown, retired, strict=True)]
    lines += [f"  skipped or excluded: {others}"] * bool(others)
    lines.append(
        f"  model {newest.number}, trained on {newest.agent.label_count} labels" if newest else "  no model yet"
    )
    kept, fulfilled = kept_now(project), last_fulfilled(project)
    if kept is not None:
        outdated = " Labels or settings have changed since." * kept.is_outdated
        lines.append(f"  {kept.assessment.sentence}{outdated}")
        lines += [f"  {each.sentence}" for each in (kept.assessment.forecast, fulfilled) if each is not None]
    figures = {
        "name": project.name,
        "cross_validation": asdict(kept.assessment) | {"is_outdated": kept.is_outdated} if kept is not None else None,
        "foretold_before": asdict(fulfilled) if fulfilled is not None else None,
        "labels": labels,
        "skipped_or_excluded": others,
        "presentations": presentations,
        "classes": [asdict(each) | {"labels": counts[each.id]} for each in shown],
        "model": {"generation": newest.number, "labels": newest.agent.label_count} if newest else None,
    }
    tell("\n".join(lines), figures, as_json)


def assess(
    folder: Folder,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Show how good a project's model is, by cross-validation on its labels, and which labels to look at again."""
    project = load_project(folder)
    require_store(project.store_path)
    with ProgressBar() as bar:
        assessment = bar.drain(cross_validated(AssessmentRequest(project, device)), project.name)
    assessment, fulfilled = open_doubts(project, assessment), last_fulfilled(project)
    names = {each.id: each.name for each in project.classes}
    lines = [assessment.sentence]
    for class_id, recall, row in zip(assessment.class_ids, assessment.recall_K, assessment.confusion_K_K, strict=True):
        if recall is not None:
            lines.append(f"  {names[class_id]}: {recall:.0%} of {sum(row):.0f} labels predicted right")
    lines += [each.sentence for each in (assessment.forecast, fulfilled) if each is not None]
    count = len(assessment.doubts)
    lines += [f"Labels to look at again, the most doubtful first: {count}"] * bool(count)
    lines += [
        f"  frame {each.frame_id}, y {each.y}, x {each.x}: {names[each.class_id]} ({each.probability:.0%}), "
        f"but models predict {names[each.predicted_id]} ({each.predicted_probability:.0%})"
        for each in assessment.doubts[:MOST_LISTED]
    ]
    foretold = asdict(fulfilled) if fulfilled is not None else None
    tell("\n".join(lines), asdict(assessment) | {"foretold_before": foretold}, as_json)


def poor(folder: Folder, as_json: AsJson = False) -> None:
    """List unlabelled crops that teach little: near-duplicates, dark crops and crops out of focus.

    Near-duplicates are found only among crops with stored features; the gallery can exclude the listed crops.
    """
    project = load_project(folder)
    require_store(project.store_path)
    gallery = collect(project)
    crops = with_poor(gallery.crops, CropPixels(gallery).read)
    listed: list[dict[str, Any]] = [
        {
            "frame": gallery.frames[int(crops.frame_id_N[row])].name,
            "y": int(crops.y_N[row]),
            "x": int(crops.x_N[row]),
            "side": int(crops.side_N[row]),
            "poor": [name for code, name in POOR_NAMES.items() if crops.poor_N[row] & code],
        }
        for row in np.flatnonzero((crops.poor_N > 0) & (crops.label_N == UNLABELLED)).tolist()
    ]
    counts = counts_of(crops)
    lines = [f"{project.name}: " + ", ".join(f"{count} {name}" for name, count in counts.items())]
    lines += [f"  {each['frame']}, y {each['y']}, x {each['x']}: {', '.join(each['poor'])}" for each in listed]
    tell("\n".join(lines), {"name": project.name, "counts": counts, "crops": listed}, as_json)


def frames(folder: Folder, as_json: AsJson = False) -> None:
    """List a project's frames: their labels, what the newest model predicted, and whether their images are there."""
    project = load_project(folder)
    known = list_frames(project)
    listed = with_places(worth_listing(known))
    looked_at = len(known) - len(listed)
    names = {each.id: each.name for each in project.classes}
    lines = [f"{project.name}: {counted(len(listed), 'frame')}"]
    for each in listed:
        lines.append(f"  {each.name}: {', '.join(each.states) or 'no label yet'}")
        counts_by_source = {"labels": each.labels, f"predicted by model {each.generation}": each.predicted}
        lines += [f"    {what}: {_counted(counts, names)}" for what, counts in counts_by_source.items() if counts]
    lines += [f"  and {looked_at} planes of these images that have no label"] * bool(looked_at)
    figures = [
        {
            "content_hash": each.record.content_hash,
            "frame": each.record.source,
            "planes": each.record.planes,
            "states": each.states,
            "labels": _by_name(each.labels, names),
            "skipped_or_excluded": each.unclassified,
            "predicted": _by_name(each.predicted, names),
            "model": each.generation,
        }
        for each in listed
    ]
    tell("\n".join(lines), {"name": project.name, "frames": figures, "only_looked_at": looked_at}, as_json)


def _by_name(counts: Mapping[int, int], names: Mapping[int, str]) -> dict[str, int]:
    return {names.get(class_id, f"class {class_id}"): count for class_id, count in counts.items()}


def _counted(counts: Mapping[int, int], names: Mapping[int, str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in _by_name(counts, names).items())


def locate_images(
    folder: Folder,
    place: Annotated[Path, typer.Argument(help="An image, or a folder that has images in or below it.")],
    as_json: AsJson = False,
) -> None:
    """Find moved images of a project by their content, and store their new paths; exit code 1 if some are missing.

    File names do not matter: a file with other pixels is not used.
    """
    with ProjectSession(folder) as session:
        session.require_writing()
        listed = with_places(list_frames(session.project))
        lost = [each for each in listed if each.place in LOST]
        with ProgressBar() as bar:
            located = bar.drain(locate(session.project, lost, place), folder.name)
        session.move_frames(located.sources)
    figures = {
        "found": [located.sources[each.id] for each in lost if each.id in located.sources],
        "missing": [each.record.source for each in located.missing],
        "other_pixels": located.others,
        "unreadable": located.unreadable,
    }
    if as_json or not located.missing:
        tell(located_text(located) if lost else "No image is missing.", figures, as_json)
    if located.missing:
        raise ProjectError(located_text(located))


def methods(folder: Folder, as_json: AsJson = False) -> None:
    """Print a paragraph for the methods of a paper: labels, how they were chosen and given, effort, model, accuracy."""
    text = methods_of(folder).text
    tell(text, {"folder": folder, "methods": text}, as_json)


def check(folder: Folder, as_json: AsJson = False) -> None:
    """Check settings, labels, events and models for damage; if there is any, list it and exit with code 1.

    Half-written files of a crash are listed, but harmless.
    """
    findings = examine(folder)
    damage = [each for each in findings if each.kind != "leftover"]
    if as_json or not damage:
        lines = [f"{folder} is not damaged."] + [f"  {each}" for each in findings[:MOST_LISTED]]
        lines += [f"  'costal project repair {folder}' moves these aside."] * bool(findings)
        rows = [asdict(each) for each in findings]
        tell("\n".join(lines), {"folder": folder, "whole": not damage, "findings": rows}, as_json)
    if damage:
        raise ProjectError(_sentence(folder, findings))


def _sentence(folder: Path, findings: list[Finding]) -> str:
    lines = [f"{folder} is damaged:", *(f"  {each}" for each in findings[:MOST_LISTED])]
    lines += [f"  and {len(findings) - MOST_LISTED} more"] * (len(findings) > MOST_LISTED)
    if any(each.mendable for each in findings):
        lines.append(f"Run: costal project repair {folder} (it makes a copy first).")
    return "\n".join(lines)


def mend(folder: Folder, as_json: AsJson = False) -> None:
    """Repair a project after making a copy beside it; exit code 1 if some faults remain.

    Half-written files and damaged models are moved into 'lost and found', the readable rows of a damaged store are
    copied into a new one, and lost settings are rebuilt. Nothing is deleted.
    """
    actions = repair(folder, datetime.now())
    left = examine(folder)
    tell(
        "\n".join(actions) or "There is nothing to repair.",
        {"folder": folder, "done": actions, "whole": not left},
        as_json,
    )
    if left:
        raise ProjectError(_sentence(folder, left))


def pack_project(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="The zip file to write.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a project into one zip file, to keep or to share it: settings, labels and models, without caches."""
    with ProgressBar() as bar:
        packed = bar.drain(pack(folder, out, overwrite), out.name)
    tell(f"Wrote {out} ({packed.files} files, {packed.size / 1e6:.1f} MB).", asdict(packed), as_json)


def unpack_project(
    packed: Annotated[Path, typer.Argument(help="A zip file that 'costal project pack' has written.")],
    folder: Annotated[Path, typer.Argument(help="The new project's folder.")],
    as_json: AsJson = False,
) -> None:
    """Check the labels and models of a packed project, and unpack it into a new or empty folder."""
    with ProgressBar() as bar:
        project = bar.drain(unpack(packed, folder), packed.name)
    tell(f"Made {folder} from {packed}.", {"folder": folder, "name": project.name}, as_json)
