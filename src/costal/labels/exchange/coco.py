"""The current labels as COCO JSON: frames are images, crops are annotations, classes are categories."""

import json
from collections.abc import Sequence
from pathlib import Path

import costal
from costal.files import new_text
from costal.labels.exchange.current import CurrentLabel


def write_coco(labels: Sequence[CurrentLabel], path: Path) -> None:
    """Write the labels that have a class.

    Each image has a `file_name` of its own: its source, and which planes of that where it is not all of them. It says
    its `source`, `planes`, `split`, `content_hash` and `pixel_um` too.
    """
    document = {
        "info": {"description": "Labels of napari-costal", "version": costal.__version__},
        "licenses": [],
        "images": _images(labels),
        "annotations": [_annotation(label) for label in labels],
        "categories": [
            {"id": class_id, "name": name, "supercategory": ""}
            for class_id, name in sorted({(label.class_id, label.class_name) for label in labels})
        ],
    }
    with new_text(path, staged=True) as file:
        json.dump(document, file, ensure_ascii=False, allow_nan=False)


def _images(labels: Sequence[CurrentLabel]) -> list[dict[str, object]]:
    """Return the frames that have labels; of two of one name (a file that was written over) the newer has its hash."""
    by_id = {label.row.frame_id: label for label in labels}
    names: dict[int, str] = {}
    for frame_id in sorted(by_id):
        frame = by_id[frame_id].frame
        name = frame.source if frame.planes in ("", "all") else f"{frame.source}#{frame.planes.replace(' ', '')}"
        names[frame_id] = f"{name}#{frame.content_hash[:12]}" if name in names.values() else name
    return [_image(label, names[frame_id]) for frame_id, label in by_id.items()]


def _image(label: CurrentLabel, file_name: str) -> dict[str, object]:
    frame = label.frame
    return {
        "id": label.row.frame_id,
        "file_name": file_name,
        "source": frame.source,
        "height": frame.height,
        "width": frame.width,
        "content_hash": frame.content_hash,
        "planes": frame.planes,
        "pixel_um": frame.pixel_um,
        "split": label.split,
    }


def _annotation(label: CurrentLabel) -> dict[str, object]:
    y, x, height, width = label.visible
    return {
        "id": label.label_id,
        "image_id": label.row.frame_id,
        "category_id": label.class_id,
        "bbox": [x, y, width, height],
        "area": height * width,
        "iscrowd": 0,
        "attributes": label.remarks,
        "segmentation": [[x, y, x + width, y, x + width, y + height, x, y + height]],
    }
