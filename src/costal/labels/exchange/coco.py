"""The current labels as COCO JSON: frames are images, crops are annotations, classes are categories."""

import json
from collections.abc import Sequence
from pathlib import Path

import costal
from costal.files import new_text
from costal.labels.exchange.current import CurrentLabel


def write_coco(labels: Sequence[CurrentLabel], path: Path) -> None:
    """Write the labels that have a class; each image says its `split`, `content_hash`, `planes` and `pixel_um` too."""
    document = {
        "info": {"description": "Labels of napari-costal", "version": costal.__version__},
        "licenses": [],
        "images": list({label.row.frame_id: _image(label) for label in labels}.values()),
        "annotations": [_annotation(label) for label in labels],
        "categories": [
            {"id": class_id, "name": name, "supercategory": ""}
            for class_id, name in sorted({(label.class_id, label.class_name) for label in labels})
        ],
    }
    with new_text(path, staged=True) as file:
        json.dump(document, file, ensure_ascii=False, allow_nan=False)


def _image(label: CurrentLabel) -> dict[str, object]:
    frame = label.frame
    return {
        "id": label.row.frame_id,
        "file_name": frame.source,
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
        "segmentation": [[x, y, x + width, y, x + width, y + height, x, y + height]],
    }
