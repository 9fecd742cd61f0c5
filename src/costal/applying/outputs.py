"""The classifier's results as tables, label TIFFs and GeoJSON. A file is written whole or not at all."""

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import costal
from costal.applying.applied import (
    NOT_COVERED,
    ClassifiedFrame,
    ClassMap,
    Failure,
    FrameCounts,
    crop_of,
    map_in_pieces,
    uncertain_first,
)
from costal.files import new_text, write_atomically
from costal.frames.windows import LARGE_BYTES
from costal.labels.exchange.geojson import Feature, feature, write_features
from costal.labels.exchange.spreadsheet import escaped
from costal.labels.models import ModelVersion
from costal.labels.project import Project

if TYPE_CHECKING:
    from _csv import Writer

CROP_COLUMNS = ("frame", "planes", "y", "x", "side", "class", "confidence", "information")
TILE = 512


def write_crops(path: Path, frames: Sequence[ClassifiedFrame], project: Project) -> None:
    """Write one row per crop as CSV, uncertain crops first; `y`, `x` and `side` are pixels.

    Crops without information come last, with neither class nor figures. Where probabilities are known, those of all
    classes follow, which sum to one.
    """
    names = {NOT_COVERED: ""} | class_names(project)
    has_probs = bool(frames) and all(each.applied.probs_N_K is not None for each in frames)
    more = [f"probability: {names[each]}" for each in frames[0].applied.class_ids] if has_probs else []
    with _table(path) as table:
        table.writerow([*CROP_COLUMNS, *map(escaped, more)])
        for each in uncertain_first(frames):
            place = escaped(each.source), escaped(each.planes), each.y, each.x, each.side
            figures = _figure(each.confidence), _figure(each.information)
            probs = map(_figure, each.probs_K) if has_probs else ()
            table.writerow((*place, escaped(names[each.class_id]), *figures, *probs))


def _figure(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def write_counts(
    path: Path,
    counts: Sequence[FrameCounts],
    class_ids: Sequence[int],
    project: Project,
    failures: Sequence[Failure] = (),
) -> None:
    """Write one row per frame as CSV: how many crops were classified, how many each class has, and its share of them.

    Frames that could not be classified come last, with the reason among the notes.
    """
    names = [class_names(project)[each] for each in class_ids]
    with _table(path) as table:
        table.writerow(
            ["frame", "planes", "crops", "mean confidence"]
            + [f"{what}: {name}" for name in names for what in ("count", "share")]
            + ["without information", "notes"]
        )
        for each in counts:
            total = sum(each.counts_K)
            of_classes = [figure for count in each.counts_K for figure in (count, f"{count / max(total, 1):.6g}")]
            place = escaped(each.source), escaped(each.planes), total, _figure(each.confidence)
            table.writerow([*place, *of_classes, each.blank, escaped(each.notes)])
        for one in failures:
            table.writerow(
                [escaped(one.source), escaped(one.planes), 0, "", *[""] * 2 * len(names), "", escaped(one.reason)]
            )


def write_label_tiff(path: Path, frame: ClassifiedFrame, project: Project) -> None:
    """Write the class id of every pixel as a TIFF that ImageJ shows in the colours of the classes.

    It has the frame's size and pixel size, and names the classes in ImageJ's ``Info``. Of a frame of more than
    256 million pixels it is a tiled OME-TIFF with a pyramid, without the colours.
    """
    import tifffile

    pixels, um = map_in_pieces(frame.applied), frame.pixel_um
    file = io.BytesIO()  # a class map is compressed to a hundredth
    if math.prod(pixels.shape) * pixels.dtype.itemsize > LARGE_BYTES:
        _write_pyramid(file, frame)
    else:
        named = "\n".join(f"{each.id} = {each.name}" for each in project.classes if each.id in frame.applied.class_ids)
        shown = {"axes": "YX", "min": 0, "max": 255, "LUTs": [_colours(project)], "Info": named}
        per_um = None if um is None else (1 / um, 1 / um)
        sized = {} if um is None else {"unit": "um"}
        whole = pixels[:, :]
        tifffile.imwrite(file, whole, imagej=True, resolution=per_um, metadata=shown | sized, compression="zlib")
    write_atomically(path, file.getvalue())


def _write_pyramid(file: io.BytesIO, frame: ClassifiedFrame) -> None:
    """Write a class map as a tiled OME-TIFF, each level of its pyramid with every second pixel of the one before."""
    import tifffile

    um = frame.pixel_um
    longest = max(frame.applied.shape)
    steps = [2**level for level in range(max(1, math.ceil(math.log2(longest / TILE))))]
    sized = {"axes": "YX"} | ({} if um is None else {"PhysicalSizeX": um, "PhysicalSizeY": um})
    with tifffile.TiffWriter(file, ome=True, bigtiff=True) as writer:
        for step in steps:
            level = map_in_pieces(frame.applied, step)
            first = (
                {"subifds": len(steps) - 1, "metadata": sized} if step == 1 else {"subfiletype": 1, "metadata": None}
            )
            writer.write(
                _tiles(level), shape=level.shape, dtype=level.dtype, tile=(TILE, TILE), compression="zlib", **first
            )


def _tiles(level: ClassMap) -> Iterator[NDArray[np.uint8 | np.uint16]]:
    """Return the tiles of a class map, row by row, those at its edges filled up with 0."""
    for y in range(0, level.shape[0], TILE):
        for x in range(0, level.shape[1], TILE):
            tile = np.zeros((TILE, TILE), level.dtype)
            piece = level[y : y + TILE, x : x + TILE]
            tile[: piece.shape[0], : piece.shape[1]] = piece
            yield tile


def _colours(project: Project) -> NDArray[np.uint8]:
    """Return ImageJ's colour table (3, 256), by class id; black where no crop covers the frame."""
    table = np.zeros((3, 256), dtype=np.uint8)
    for each in project.classes:
        if each.id < 256:
            table[:, each.id] = list(bytes.fromhex(each.colour.removeprefix("#")))
    return table


def write_classes(path: Path, project: Project, model_version: ModelVersion) -> None:
    """Write which classes the ids of the label TIFFs mean, and which model they are from, as JSON."""
    document = {
        "software": f"napari-costal {costal.__version__}",
        "project": project.name,
        "generation": model_version.number,
        "model_hash": model_version.model_hash,
        "not_covered": NOT_COVERED,
        "without_information": NOT_COVERED,
        "classes": [
            {"id": each.id, "name": each.name, "colour": each.colour}
            for each in project.classes
            if each.id in model_version.agent.settings.class_ids
        ],
    }
    write_atomically(path, json.dumps(document, indent=1, ensure_ascii=False).encode())


def write_geojson(path: Path, frame: ClassifiedFrame, project: Project) -> None:
    """Write every crop as a square of its class for QuPath, with confidence and information as measurements.

    A padded crop is cut at the frame's edge; where crops overlap, so do the squares. Crops without information have
    none.
    """
    with new_text(path) as file:
        write_features(_features(frame, project), file)


def _features(frame: ClassifiedFrame, project: Project) -> Iterator[Feature]:
    (height, width), classes = frame.applied.shape, {each.id: each for each in project.classes}
    for index in np.flatnonzero(~frame.applied.is_blank_N).tolist():
        crop = crop_of(frame, index)
        place = crop.y, crop.x, min(crop.side, height - crop.y), min(crop.side, width - crop.x)
        identity = f"classified {frame.source} {frame.planes} {crop.y} {crop.x} {crop.side}"
        measured = {"Confidence": crop.confidence, "Information": crop.information}
        label_class = classes[crop.class_id]
        yield feature(identity, place, label_class.name, label_class.colour, measured, frame.planes)


def class_names(project: Project) -> dict[int, str]:
    """Return the name of each class id."""
    return {each.id: each.name for each in project.classes}


@contextmanager
def _table(path: Path) -> Iterator["Writer"]:
    """Yield the writer of a CSV file, which takes the place of `path` once it is whole."""
    with new_text(path) as file:
        yield csv.writer(file, lineterminator="\n")
