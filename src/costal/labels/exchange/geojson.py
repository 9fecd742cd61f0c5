"""The current labels as GeoJSON that QuPath opens: one file per frame, one annotation per crop.

Source: QuPath's documentation, "Exporting annotations" (pixels of the full image from its upper left corner, a
FeatureCollection), and its GeoJSON reader (`objectType`, `classification`, `measurements`, `plane`; an `id` is a UUID).
"""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from costal.files import new_text
from costal.labels.exchange.current import CurrentLabel
from costal.labels.exchange.filenames import frame_stem, unlike
from costal.labels.plane_names import steps_of
from costal.labels.project import Project
from costal.settings import rgb_of

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/napari-costal/napari-costal")
Feature = Mapping[str, object]


def feature(
    identity: str,
    place: tuple[int, int, int, int],
    name: str,
    colour: str,
    measurements: Mapping[str, float | None],
    planes: str = "",
    metadata: Mapping[str, str] | None = None,
) -> Feature:
    """Return a square of an image as QuPath's annotation.

    `identity` names it for good: equal ones have equal ids. `place` is (y, x, height, width) in pixels, `colour`
    #rrggbb. Measurements that are None are left out. `planes` such as ``z 3, t 0`` puts it on that plane of a stack.
    `metadata` are texts that QuPath shows with it.
    """
    y, x, height, width = place
    ring = [[x, y], [x + width, y], [x + width, y + height], [x, y + height], [x, y]]
    steps = steps_of(planes)
    plane = {"plane": {"c": -1, "z": steps.get("z", 0), "t": steps.get("t", 0)}} if steps else {}
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(NAMESPACE, identity)),
        "geometry": {"type": "Polygon", "coordinates": [ring]} | plane,
        "properties": {
            "objectType": "annotation",
            "classification": {"name": name, "color": list(rgb_of(colour))},
            "measurements": {key: float(figure) for key, figure in measurements.items() if figure is not None},
        }
        | ({"metadata": dict(metadata)} if metadata else {}),
    }


def write_features(features: Iterable[Feature], file: TextIO) -> None:
    """Write a FeatureCollection, a feature a line."""
    file.write('{"type": "FeatureCollection", "features": [')
    for number, each in enumerate(features):
        file.write(",\n" if number else "\n")
        file.write(json.dumps(each, ensure_ascii=False, allow_nan=False))
    file.write("\n]}\n")


def write_geojson(labels: Sequence[CurrentLabel], project: Project, path: Path) -> int:
    """Return how many files were written: `path` itself for one frame or none, else a folder with a file for each."""
    by_frame: dict[int, list[CurrentLabel]] = {}
    for label in labels:
        by_frame.setdefault(label.row.frame_id, []).append(label)
    if len(by_frame) < 2:
        _write(labels, project, path)
        return 1
    path.mkdir()
    taken: set[str] = set()
    for group in by_frame.values():
        row = group[0].row
        name = unlike(taken, frame_stem(row.frame_source, row.frame_hash, row.planes), ".geojson")
        _write(group, project, path / name)
    return len(by_frame)


def _write(labels: Sequence[CurrentLabel], project: Project, path: Path) -> None:
    with new_text(path, staged=True) as file:
        write_features((_feature(label, project) for label in labels), file)


def _feature(label: CurrentLabel, project: Project) -> Feature:
    row, project_class = label.row, project.class_of(label.class_id or 0)
    measurements = {
        "Effort (s)": label.effort.active_s if label.effort.usable else None,
        "Information": row.why.information,
        "Predicted cost (s)": row.why.cost,
        "Value": row.why.value,
    }
    remarks = {"given": row.given, "unsure": "yes" if row.unsure else "", "note": row.note}
    metadata = {name: text for name, text in remarks.items() if text}
    identity = f"{row.frame_hash} {row.planes} {row.y} {row.x} {row.side}"
    colour = project_class.colour if project_class else "#808080"
    return feature(identity, label.visible, label.class_name, colour, measurements, row.planes, metadata)
