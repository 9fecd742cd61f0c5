"""The experiment on images of one's own: a folder for each class, and a file that tells what each image costs."""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from costal.errors import DatasetError
from costal.frames.listing import listed
from costal.frames.normalise import intensity_range, normalise
from costal.frames.read import plane, read
from costal.numerals import decimal_number
from costal.paper.sources import Dataset, LabelledCrops, from_labelled

COSTS_FILE = "costs.csv"
_COLUMNS = ("file", "cost")
PHOTOS = (".png", ".jpg", ".jpeg")
"""Files whose three channels are colours; those of a TIFF may be three stains."""


def load_image_folder(folder: Path, seed: int = 0) -> Dataset:
    """Return the images of a folder that has one folder for each class and ``costs.csv``, a quarter being for tests.

    ``costs.csv`` has the columns ``file``, a path such as ``rings/cell 3.tif``, and ``cost``. Images are squares of one
    size with as many channels, each channel normalised by one intensity range for all. Which are for tests is drawn by
    `seed`, class by class.

    Raises
    ------
    DatasetError
        When an image has no cost or the wrong shape, a row of ``costs.csv`` cannot be used, or there are too few.
    FrameError
        When an image cannot be read.
    """
    folder = folder.resolve()
    files = _images(folder)
    costs = _costs(folder / COSTS_FILE, files)
    pixels = _pixels(folder, files)
    class_names = tuple(sorted({_class_of(file) for file in files}))
    class_N = np.array([class_names.index(_class_of(file)) for file in files], np.int64)
    limits = intensity_range(np.concatenate(list(pixels), axis=1))
    labelled = LabelledCrops(normalise(pixels, limits), class_N, np.array(costs, np.float32))
    dataset = from_labelled(folder.name, class_names, "cost units", labelled, seed=seed)
    is_photo = all(file.lower().endswith(PHOTOS) for file in files)
    return replace(dataset, is_rgb=is_photo and pixels.shape[1] == 3)


def _class_of(file: str) -> str:
    return file.partition("/")[0]


def _images(folder: Path) -> list[str]:
    """Return the paths of all images in class folders, relative to `folder`, in order."""
    found, refused = listed(folder)
    for path, reason in refused.items():
        raise DatasetError(f"{folder / path} cannot be used. {reason}")
    files = sorted(path for path in found if "/" in path)
    if not files:
        raise DatasetError(f"{folder} has no folder with TIFF, PNG or JPEG images. Put those of each class into one.")
    return files


def _costs(path: Path, files: Sequence[str]) -> list[float]:
    """Return the cost of each file."""
    cost_of: dict[str, tuple[int, float]] = {}
    for row, file, written in _rows(path):
        if file in cost_of:
            raise DatasetError(
                f"{path}, line {row}: {file} has a cost already, in line {cost_of[file][0]}. Remove one of the two."
            )
        cost_of[file] = row, _cost(written, f"{path}, line {row}: the cost of {file}")
    for file, (row, _) in cost_of.items():
        if file not in set(files):
            raise DatasetError(
                f"{path}, line {row}: there is no image {file} in a class folder. Correct the path, which begins with "
                "the class, or remove the line."
            )
    lacking = [file for file in files if file not in cost_of]
    if lacking:
        more = f" (nor {len(lacking) - 1} others)" if len(lacking) > 1 else ""
        raise DatasetError(f"{path} has no line for {lacking[0]}{more}. Add what it costs, or remove the image.")
    return [cost_of[file][1] for file in files]


def _rows(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield the line number, the file, with forward slashes, and the written cost of each row."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as opened:
            reader = csv.DictReader(opened)
            if not set(_COLUMNS) <= set(reader.fieldnames or ()):
                raise DatasetError(
                    f"{path} has the columns {', '.join(reader.fieldnames or ()) or 'none'}. It needs file and cost, "
                    "named in its first line and parted by commas."
                )
            for row in reader:
                yield reader.line_num, (row["file"] or "").strip().replace("\\", "/"), row["cost"] or ""
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read: {error}. Save it as CSV in UTF-8.") from error


def _cost(written: str, what: str) -> float:
    cost = decimal_number(written)
    if cost is None or not 0 <= cost < math.inf:
        raise DatasetError(f"{what} is '{written}'. Give a number of 0 or more.")
    return cost


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
                f"{folder / file} has {height} x {width} px and {channels} channels, {files[0]} {side} x {side} px and "
                f"{expected}. All images must be alike: crop or convert it."
            )
        images.append(image)
    return np.stack(images)
