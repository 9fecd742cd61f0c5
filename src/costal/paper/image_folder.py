"""The experiment on images of one's own: a folder for each class, and a file with the cost of each image."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from costal.errors import DatasetError
from costal.frames.listing import listed
from costal.frames.normalise import intensity_range, normalise
from costal.frames.read import plane, read
from costal.numerals import counted, decimal_number
from costal.paper.image_labels import classes_of, csv_rows
from costal.paper.sources import Dataset, LabelledCrops
from costal.paper.splits import from_frames, from_labelled

COSTS_FILE = "costs.csv"
FRAME = "frame"
"""A column that ``costs.csv`` may have: the image that a crop was cut from."""
_COLUMNS = ("file", "cost")
PHOTOS = (".png", ".jpg", ".jpeg")
"""Files whose three channels are colours; those of a TIFF may be three stains."""


def load_image_folder(folder: Path, seed: int = 0, labels: Path | None = None, edges: Sequence[float] = ()) -> Dataset:
    """Return the images of a folder with one folder per class and ``costs.csv``; a quarter is for tests.

    ``costs.csv`` has the columns ``file``, a path such as ``rings/cell 3.tif``, and ``cost``. Images are squares of one
    size with as many channels, each channel normalised by one intensity range for all. `seed` draws the images for
    tests, class by class. With a column ``frame``, whole frames are for tests, and each repeat draws others (see
    `from_frames`). `labels` gives classes in place of the folders (see `image_labels`).

    Raises
    ------
    DatasetError
        When an image has no cost or the wrong shape, a row of ``costs.csv`` cannot be used, or there are too few.
    FrameError
        When an image cannot be read.
    """
    folder = folder.resolve()
    files = _images(folder)
    rows = _by_file(folder / COSTS_FILE, files)
    costs = [_cost(row, folder / COSTS_FILE) for row in rows]
    frames = [_frame(row, folder / COSTS_FILE) for row in rows if row.frame is not None]
    classes = [_class_of(file) for file in files] if labels is None else classes_of(labels, files, edges)
    pixels = _pixels(folder, files)
    class_names = tuple(sorted(set(classes), key=None if labels is None else _in_order))
    class_N = np.array([class_names.index(each) for each in classes], np.int64)
    limits = intensity_range(np.concatenate(list(pixels), axis=1))
    labelled = LabelledCrops(normalise(pixels, limits), class_N, np.array(costs, np.float32))
    if frames:
        frame_N = np.unique(frames, return_inverse=True)[1]
        dataset = from_frames(folder.name, class_names, "cost units", labelled, frame_N, seed)
    else:
        dataset = from_labelled(folder.name, class_names, "cost units", labelled, seed=seed)
    is_photo = all(file.lower().endswith(PHOTOS) for file in files)
    return _coloured(dataset) if is_photo and pixels.shape[1] == 3 else dataset


def _coloured(dataset: Dataset) -> Dataset:
    """Return a data set of colour images, in every repeat."""
    split = dataset.split
    return replace(dataset, is_rgb=True, split=None if split is None else lambda repeat: _coloured(split(repeat)))


def _in_order(name: str) -> tuple[bool, float, str]:
    """Return the sort key of a class: numbers and ranges of numbers by size, then other names."""
    number = decimal_number(name.partition(" ")[0])
    return number is None, number or 0.0, name


def _class_of(file: str) -> str:
    return file.partition("/")[0]


def _images(folder: Path) -> list[str]:
    """Return the paths of all images in class folders, relative to `folder`, in order."""
    stamps, refused = listed(folder)
    for path, reason in refused.items():
        raise DatasetError(f"{folder / path} cannot be used. {reason}")
    files = sorted(path for path in stamps if "/" in path)
    if not files:
        raise DatasetError(f"{folder} has no folder with TIFF, PNG or JPEG images. Put those of each class into one.")
    return files


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of ``costs.csv`` as it is written; `frame` is None where there is no such column."""

    line: int
    file: str
    cost: str
    frame: str | None


def _by_file(path: Path, files: Sequence[str]) -> list[_Row]:
    """Return the row of each file."""
    row_of: dict[str, _Row] = {}
    for row in _rows(path):
        if row.file in row_of:
            raise DatasetError(
                f"{path}, line {row.line}: {row.file} has a cost already, in line {row_of[row.file].line}. Remove one "
                "of the two."
            )
        row_of[row.file] = row
        _cost(row, path)
    for file, row in row_of.items():
        if file not in set(files):
            raise DatasetError(
                f"{path}, line {row.line}: there is no image {file} in a class folder. Correct the path, which begins "
                "with the class, or remove the line."
            )
    lacking = [file for file in files if file not in row_of]
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise DatasetError(f"{path} has no line for {lacking[0]}{more}. Add its cost, or remove the image.")
    return [row_of[file] for file in files]


def _rows(path: Path) -> Iterator[_Row]:
    """Yield the rows, their files with forward slashes."""
    for line, row in csv_rows(path, _COLUMNS):
        frame = (row[FRAME] or "").strip() if FRAME in row else None
        yield _Row(line, row["file"], row["cost"], frame)


def _cost(row: _Row, path: Path) -> float:
    cost = decimal_number(row.cost)
    if cost is None or not 0 <= cost < math.inf:
        raise DatasetError(
            f"{path}, line {row.line}: the cost of {row.file} is '{row.cost}'. Give a number of 0 or more."
        )
    return cost


def _frame(row: _Row, path: Path) -> str:
    number = decimal_number(row.frame or "")
    if not row.frame or (number is not None and not number >= 0):
        raise DatasetError(
            f"{path}, line {row.line}: the frame of {row.file} is '{row.frame}'. Give the name of the image that it "
            "was cut from, or its number from 0; or remove the column frame."
        )
    return row.frame


def _pixels(folder: Path, files: Sequence[str]) -> NDArray[np.generic]:
    """Return all images as (N, C, H, W)."""
    images: list[NDArray[np.generic]] = []
    for file in files:
        image = plane(read(folder / file))
        channels, height, width = image.shape
        if height != width:
            raise DatasetError(f"{folder / file} has {height} x {width} px. Cut all images into squares of one size.")
        if images and image.shape != images[0].shape:
            expected, _, side = images[0].shape
            raise DatasetError(
                f"{folder / file} has {height} x {width} px and {counted(channels, 'channel')}, but {files[0]} has "
                f"{side} x {side} px and {expected}. All images must be alike: crop or convert it."
            )
        images.append(image)
    return np.stack(images)
