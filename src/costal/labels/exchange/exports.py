"""Labels taken out of a project, in the form that another program reads. A file is there whole, or not at all."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import costal
from costal.errors import ProjectError
from costal.files import explained, new_text, staged
from costal.labels.exchange.coco import write_coco
from costal.labels.exchange.current import CurrentLabel, current_labels
from costal.labels.exchange.geojson import write_geojson
from costal.labels.exchange.image_folder import write_images
from costal.labels.exchange.sheets import write_csv, write_parquet
from costal.labels.exchange.splits import checked_share, split_notes
from costal.labels.project import STORE_FILE, Project
from costal.labels.store import Store
from costal.numerals import counted
from costal.types import Job, Progress

ExportKind = Literal["csv", "parquet", "coco", "geojson", "images"]
EXPORT_KINDS: tuple[ExportKind, ...] = get_args(ExportKind)
MARKER = "costal-export.json"
"""In every folder that was exported: what is in it, and that it may be replaced."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: a file or folder at `path`, how many files, and how many labels of each class and split.

    `notes` are sentences about what is not as expected.
    """

    path: Path
    kind: ExportKind
    files: int
    counts: Mapping[str, int]
    splits: Mapping[str, int]
    notes: tuple[str, ...] = ()


def export(
    project: Project,
    store: Store,
    target: Path,
    kind: ExportKind,
    validation: float = 0.0,
    overwrite: bool = False,
) -> Job[Exported]:
    """Return what was written to `target`; nothing is there before all of it is.

    `validation` is the share of frames whose labels are for validation. ``csv`` and ``parquet`` have every current
    label, ``coco``, ``geojson`` and ``images`` those with a class.

    Raises
    ------
    ProjectError
        When the target exists and `overwrite` is not set, cannot be written, or is no place for an export.
    """
    if kind not in EXPORT_KINDS:
        raise ProjectError(f"'{kind}' is not an export format. Use one of {', '.join(EXPORT_KINDS)}.")
    checked_share(validation)
    with explained(target):
        require_free(target, project, overwrite)
        target.parent.mkdir(parents=True, exist_ok=True)
        with staged(target) as place:
            exported = replace((yield from _written(project, store, place, kind, validation)), path=target)
            _mark(place, exported)
    return exported


def _written(project: Project, store: Store, place: Path, kind: ExportKind, validation: float) -> Job[Exported]:
    yield Progress(0, 1, "Reading labels")
    labels = current_labels(project, store, validation)
    notes = split_notes({label.row.frame_hash: label.split for label in labels}, validation)
    chosen = labels if kind in ("csv", "parquet") else tuple(each for each in labels if each.row.kind == "class")
    if left_out := len(labels) - len(chosen):
        notes = (*notes, f"{left_out} skipped or excluded crops have no class and were left out.")
    if kind == "geojson":
        notes = (*notes, *_vague_planes(chosen))
    yield Progress(0, len(chosen), "Writing")
    files = 1
    if kind == "images":
        files = yield from write_images(chosen, store, place)
    elif kind == "geojson":
        files = write_geojson(chosen, project, place)
    else:
        {"csv": write_csv, "parquet": write_parquet, "coco": write_coco}[kind](chosen, place)
    counts = Counter(each.class_name or f"({each.row.kind})" for each in chosen)
    return Exported(place, kind, files, dict(counts), dict(Counter(each.split for each in chosen)), notes)


def _vague_planes(labels: Sequence[CurrentLabel]) -> Iterator[str]:
    """Return a note for labels on a slice of a stack whose axes are not known."""
    vague = Counter(each.frame.source for each in labels if each.frame.planes.startswith("slice "))
    for source, count in vague.items():
        yield (
            f"{counted(count, 'label')} of {source} {'is' if count == 1 else 'are'} on a slice with unknown axes, so "
            "the export does not say on which plane. Open the image with 'costal open' and this project, then export "
            "again."
        )


def require_free(target: Path, project: Project, overwrite: bool) -> None:
    """Refuse a target that would destroy something: the project, or what this program has not written."""
    whole, folder = target.resolve(), project.folder.resolve()
    if whole == folder or folder in whole.parents or whole in folder.parents:
        raise ProjectError(f"{target} is the project's folder, or in it, or contains it. Choose another folder.")
    if any((each / STORE_FILE).exists() for each in (whole, *whole.parents)):
        raise ProjectError(f"{target} is in the folder of another project. Choose another folder.")
    if not target.exists():
        return
    if not overwrite:
        raise ProjectError(f"{target} exists already. Choose another name, or allow it to be overwritten.")
    if target.is_dir() and any(target.iterdir()) and not (target / MARKER).is_file():
        raise ProjectError(f"{target} is a folder that napari-costal did not export. Choose another name.")


def _mark(place: Path, exported: Exported) -> None:
    """Put into a folder what it holds."""
    if place.is_dir():
        card = asdict(exported) | {"path": exported.path.name, "software": f"napari-costal {costal.__version__}"}
        with new_text(place / MARKER, staged=True) as file:
            json.dump(card, file, indent=1, ensure_ascii=False, default=str)
