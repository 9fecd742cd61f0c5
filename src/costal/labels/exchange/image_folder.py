"""The labelled crops as a folder of TIFF images, one folder per split and class, at the frames' full bit depth."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from costal.files import new_file
from costal.labels.exchange.current import CurrentLabel
from costal.labels.exchange.filenames import frame_stem, safe_name, unlike
from costal.labels.store import Store
from costal.types import Job, Progress

BATCH = 32
UM_PER_CM = 10_000


def write_images(labels: Sequence[CurrentLabel], store: Store, path: Path) -> Job[int]:
    """Return how many images were written, as ``<split>/<class>/<frame>_<hash>_<planes>_<y>_<x>.tif`` under `path`."""
    folders, taken = class_folders(labels), set[str]()
    path.mkdir()
    for start in range(0, len(labels), BATCH):
        batch = labels[start : start + BATCH]
        pixels = store.label_pixels([label.label_id for label in batch])
        for label in batch:
            folder = path / label.split / folders[label.class_id]
            folder.mkdir(parents=True, exist_ok=True)
            row = label.row
            stem = frame_stem(row.frame_source, row.frame_hash, row.planes)
            name = unlike(taken, f"{stem}_{row.y}_{row.x}", ".tif")
            write_crop(folder / name, pixels[label.label_id], label.frame.pixel_um, label.remarks)
        yield Progress(start + len(batch), len(labels), "Writing crops")
    return len(labels)


def class_folders(labels: Sequence[CurrentLabel]) -> dict[int | None, str]:
    """Return a folder's name for each class, another one for each on every system; in the order of the class ids."""
    names, taken = {label.class_id: label.class_name for label in labels}, set[str]()
    return {
        class_id: unlike(taken, safe_name(names[class_id])) for class_id in sorted(names, key=lambda each: each or 0)
    }


def write_crop(
    path: Path, pixels_C_H_W: NDArray[Any], pixel_um: float | None, metadata: Mapping[str, object] | None = None
) -> None:
    """Write raw pixels as TIFF, a page per channel, with the pixel size in its resolution where it is known.

    `metadata` goes into the description of the first page.
    """
    import tifffile

    size = {} if pixel_um is None else {"resolution": (UM_PER_CM / pixel_um,) * 2, "resolutionunit": "CENTIMETER"}
    with new_file(path, staged=True) as file:
        tifffile.imwrite(
            file, pixels_C_H_W, photometric="minisblack", metadata={"axes": "CYX", **(metadata or {})}, **size
        )
