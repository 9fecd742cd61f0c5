"""Where the experiment's crops come from: MNIST, synthetic digits in its place, and other sources."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray

from costal.errors import DatasetError
from costal.labels.project import PROJECT_FILE
from costal.paper import digits
from costal.paper.digits import CLASS_COUNT, SIDE, perimeters, to_crops
from costal.paper.image_folder import COSTS_FILE, load_image_folder
from costal.paper.own_project import load_own_project
from costal.paper.sources import Crops, Dataset, Indices, md5

MNIST, SYNTHETIC = "MNIST", "synthetic digits"
MNIST_FILES = {
    "train-images-idx3-ubyte": 47_040_016,
    "train-labels-idx1-ubyte": 60_008,
    "t10k-images-idx3-ubyte": 7_840_016,
    "t10k-labels-idx1-ubyte": 10_008,
}
FEW_FIELDS = re.compile(r"sted:[0-9]{1,9}")
DIGIT_NAMES = tuple(map(str, range(CLASS_COUNT)))
SYNTHETIC_TRAIN, SYNTHETIC_TEST = 60_000, 2_000


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
    """Return the sentence that says where the four files belong."""
    return f"Put these four files, uncompressed, into {root / 'MNIST' / 'raw'}: {', '.join(MNIST_FILES)}."


def load_mnist(folder: Path | None = None) -> Dataset:
    """Return MNIST, from `folder` and nowhere else when one is given.

    The effort of a digit is the perimeter of what is brighter than half.

    Raises
    ------
    DatasetError
        When it is not found: never replaced by something else. Says where to put the files.
    """
    root = find_mnist() if folder is None else folder
    if root is None or missing_files(root):
        place = folder or user_cache()
        wrong = f" Missing or of the wrong length there: {', '.join(missing_files(place))}." if folder else ""
        raise DatasetError(f"MNIST was not found.{wrong} Run 'costal mnist --download', or: {where_to_put(place)}")
    images, classes = _read_mnist(root, "train")

    def test() -> Crops:
        tested, tested_classes = _read_mnist(root, "t10k")
        return to_crops(tested), tested_classes

    return Dataset(
        MNIST,
        DIGIT_NAMES,
        (1, SIDE, SIDE),
        "cost units",
        len(images),
        take=lambda indices: (to_crops(images[indices]), classes[indices]),
        test=test,
        effort=lambda indices, _repeat, _order: perimeters(to_crops(images[indices])),
        fingerprint=md5((root / "MNIST" / "raw" / name).read_bytes() for name in MNIST_FILES),
        class_of=lambda indices: classes[indices],
    )


def _read_mnist(root: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images and classes of one part. The lengths were checked; headers have 16 and 8 bytes."""
    raw = root / "MNIST" / "raw"
    images = np.fromfile(raw / f"{part}-images-idx3-ubyte", np.uint8, offset=16).reshape(-1, SIDE, SIDE)
    return images, np.fromfile(raw / f"{part}-labels-idx1-ubyte", np.uint8, offset=8).astype(np.int64)


def synthetic_dataset(seed: int = 0) -> Dataset:
    """Return synthetic digits: 60,000 to draw from and 2,000 for tests, each rendered on request."""

    def take(indices: Indices) -> Crops:
        images, classes = digits.render(seed, indices)
        return to_crops(images), classes

    return Dataset(
        SYNTHETIC,
        DIGIT_NAMES,
        (1, SIDE, SIDE),
        "cost units",
        SYNTHETIC_TRAIN,
        take=take,
        test=lambda: take(np.arange(SYNTHETIC_TRAIN, SYNTHETIC_TRAIN + SYNTHETIC_TEST)),
        effort=lambda indices, _repeat, _order: perimeters(take(indices)[0]),
        fingerprint=md5([digits.render(seed, range(32))[0].tobytes()]),
        class_of=lambda indices: digits.classes(seed, indices),
    )


def load_dataset(choice: str = "auto", labels: str | None = None, edges: Sequence[float] = ()) -> Dataset:
    """Return the source of a choice: ``auto`` (MNIST when found, else synthetic), ``mnist``, ``synthetic``, ``sted``.

    ``sted:N`` means its first N frames, which all repeats share. Any other choice is a folder: with MNIST, with a
    labelled project, or with one folder of images per class and their costs; `labels` can give the classes in place of
    the folders (see `image_labels.classes_of`).

    Raises
    ------
    DatasetError
        When MNIST is chosen by name or folder but is missing, or the choice is none of these.
    CostalError
        When the files in the folder cannot be read.
    """
    if choice == "auto":
        choice = "mnist" if find_mnist() else "synthetic"
    named: dict[str, Callable[[], Dataset]] = {
        "mnist": load_mnist,
        "synthetic": synthetic_dataset,
        "sted": _load_sted,
    }
    if labels is not None:
        if choice in named or not (Path(choice) / COSTS_FILE).is_file():
            raise DatasetError(
                f"'{choice}' has its own classes. Remove labels = '{labels}': it goes with a folder of images and "
                f"{COSTS_FILE}."
            )
        return load_image_folder(Path(choice), labels=Path(labels), edges=edges)
    if choice in named:
        return named[choice]()
    if FEW_FIELDS.fullmatch(choice):
        from costal.paper.sted import few_fields

        return few_fields(int(choice.partition(":")[2]))
    return _load_folder(Path(choice))


def _load_sted() -> Dataset:
    # Imported here: simulated fields need scipy.ndimage, which takes a quarter of a second.
    from costal.paper.sted import sted_dataset

    return sted_dataset()


def _load_folder(folder: Path) -> Dataset:
    """Return the data set in a folder, recognised by its files."""
    if (folder / "MNIST" / "raw").is_dir():
        return load_mnist(folder)
    if (folder / PROJECT_FILE).is_file():
        return load_own_project(folder)
    if (folder / COSTS_FILE).is_file():
        return load_image_folder(folder)
    known = (
        f"a folder with MNIST/raw, a labelled project (with {PROJECT_FILE}), or one folder of images per class with "
        f"their costs (in {COSTS_FILE}, columns file and cost)"
    )
    if folder.is_dir():
        raise DatasetError(f"{folder} has no data set that can be used. Give {known}.")
    raise DatasetError(
        f"'{folder}' is neither a data set nor a folder. Use auto, mnist, synthetic, sted, sted:N, or {known}."
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
