"""Where the experiment's digits come from: MNIST when it is found, otherwise synthetic digits that say so."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray

from costal.errors import DatasetError
from costal.paper.digits import render
from costal.seeds import rng_for

MNIST, SYNTHETIC = "MNIST", "synthetic digits"
MNIST_FILES = {
    "train-images-idx3-ubyte": 47_040_016,
    "train-labels-idx1-ubyte": 60_008,
    "t10k-images-idx3-ubyte": 7_840_016,
    "t10k-labels-idx1-ubyte": 10_008,
}
CLASS_COUNT, SIDE = 10, 28
PER_CLASS_AT_START = 2
SYNTHETIC_TRAIN, SYNTHETIC_TEST = 60_000, 2_000

Digits = tuple[NDArray[np.uint8], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Digits to draw pools from: `take` returns images (N, 28, 28) uint8 and classes (N,) of the given indices."""

    name: str
    train_size: int
    take: Callable[[NDArray[np.integer]], Digits]
    test: Callable[[], Digits]


def user_cache() -> Path:
    """Return the folder that ``costal mnist --download`` fills."""
    return platformdirs.user_cache_path("napari-costal")


def find_mnist(folder: Path | None = None) -> Path | None:
    """Return the root that holds ``MNIST/raw``: `folder`, ``$COSTAL_DATA`` or the user's cache; None when none does."""
    roots = [folder, Path(os.environ["COSTAL_DATA"]) if "COSTAL_DATA" in os.environ else None, user_cache()]
    return next((root for root in roots if root and not missing_files(root)), None)


def missing_files(root: Path) -> list[str]:
    """Return which of the four MNIST files are missing under ``root/MNIST/raw``, or have a wrong length."""
    raw = root / "MNIST" / "raw"
    return [
        name
        for name, length in MNIST_FILES.items()
        if not (raw / name).is_file() or (raw / name).stat().st_size != length
    ]


def where_to_put(root: Path) -> str:
    """Return the sentence that tells where the four files belong."""
    return f"Put these four files, uncompressed, into {root / 'MNIST' / 'raw'}: {', '.join(MNIST_FILES)}."


def load_mnist(folder: Path | None = None) -> Dataset:
    """Return MNIST.

    Raises
    ------
    DatasetError
        When it is not found: never replaced by something else. Says where to put the files.
    """
    root = find_mnist(folder)
    if root is None:
        place = folder or user_cache()
        wrong = f" Missing or of the wrong length there: {', '.join(missing_files(place))}." if folder else ""
        raise DatasetError(f"MNIST was not found.{wrong} Run 'costal mnist --download', or: {where_to_put(place)}")
    images, classes = _read_mnist(root, "train")
    return Dataset(
        MNIST, len(images), lambda indices: (images[indices], classes[indices]), lambda: _read_mnist(root, "t10k")
    )


def _read_mnist(root: Path, part: str) -> Digits:
    """Return images and classes of one part. The lengths were checked; headers have 16 and 8 bytes."""
    raw = root / "MNIST" / "raw"
    images = np.fromfile(raw / f"{part}-images-idx3-ubyte", np.uint8, offset=16).reshape(-1, SIDE, SIDE)
    return images, np.fromfile(raw / f"{part}-labels-idx1-ubyte", np.uint8, offset=8).astype(np.int64)


def synthetic_dataset(seed: int = 0) -> Dataset:
    """Return synthetic digits: 60,000 to draw from and 2,000 for tests, each rendered when it is asked for."""
    test_indices = np.arange(SYNTHETIC_TRAIN, SYNTHETIC_TRAIN + SYNTHETIC_TEST)
    return Dataset(
        SYNTHETIC, SYNTHETIC_TRAIN, lambda indices: render(seed, indices), lambda: render(seed, test_indices)
    )


def load_dataset(choice: str = "auto") -> Dataset:
    """Return the digits of a choice: ``auto`` (MNIST when found, else synthetic), ``mnist``, ``synthetic`` or a folder.

    Raises
    ------
    DatasetError
        When MNIST is asked for by name or folder and is not there, or the choice is none of these.
    """
    if choice == "auto":
        return load_mnist() if find_mnist() else synthetic_dataset()
    if choice == "synthetic":
        return synthetic_dataset()
    if choice == "mnist":
        return load_mnist()
    if Path(choice).is_dir():
        return load_mnist(Path(choice))
    raise DatasetError(
        f"'{choice}' is no data set and no folder. Use auto, mnist, synthetic or a folder with MNIST/raw."
    )


def download_mnist(root: Path) -> None:
    """Fetch MNIST into ``root/MNIST/raw`` through torchvision, which draws the progress.

    Raises
    ------
    DatasetError
        When it cannot be fetched; says where to put the four files by hand.
    """
    from torchvision.datasets import MNIST as TorchvisionMNIST

    try:
        root.mkdir(parents=True, exist_ok=True)
        TorchvisionMNIST(str(root), download=True)
    except (OSError, RuntimeError) as error:
        raise DatasetError(f"MNIST could not be downloaded: {error}. {where_to_put(root)}") from error


def initial_indices(dataset: Dataset, seed: int, repeat: int) -> NDArray[np.int64]:
    """Return the indices of the 20 images labelled at the start: 2 of each class, drawn at random."""
    order = _drawing_order(dataset, seed, repeat)[:1000]
    _, classes = dataset.take(order)
    rows = [np.flatnonzero(classes == each)[:PER_CLASS_AT_START] for each in range(CLASS_COUNT)]
    return order[np.sort(np.concatenate(rows))]


def pool_indices(dataset: Dataset, seed: int, repeat: int, round_number: int, pool_size: int) -> NDArray[np.int64]:
    """Return the indices of round `round_number` (from 1): pools and the initial set share no image.

    Raises
    ------
    DatasetError
        When the data set is too small for disjoint pools, with the arithmetic.
    """
    initial = CLASS_COUNT * PER_CLASS_AT_START
    needed = round_number * pool_size + initial
    if needed > dataset.train_size:
        raise DatasetError(
            f"{round_number} disjoint pools of {pool_size} images and {initial} at the start need {needed:,}; "
            f"{dataset.name} has {dataset.train_size:,}. Use fewer rounds or pools of at most "
            f"{(dataset.train_size - initial) // round_number}."
        )
    order = _drawing_order(dataset, seed, repeat)
    fresh = order[~np.isin(order, initial_indices(dataset, seed, repeat))]
    return fresh[(round_number - 1) * pool_size : round_number * pool_size]


def _drawing_order(dataset: Dataset, seed: int, repeat: int) -> NDArray[np.int64]:
    return rng_for(seed, "pools", repeat).permutation(dataset.train_size)
