"""Which images are classified, and what their outputs are called: no file takes another's place."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from costal.errors import FrameError, ProjectError
from costal.files import remove_leftovers, write_atomically
from costal.frames.listing import LABELS_END, SUFFIXES
from costal.frames.ome_zarr import is_url, is_zarr
from costal.frames.parts import one_of_each
from costal.labels.exchange.filenames import safe_name

CROPS, COUNTS, CLASSES = "crops.csv", "counts.csv", "classes.json"
UNFINISHED = "unfinished.txt"
"""Names the model of an unfinished run: the same run continues from its files."""
SCORES_END = ".scores"
"""The ending of folders that keep the scores of an image that is read piece by piece."""
MOST_BYTES = 180
"""The longest name, before planes, a number and endings are added: file systems take 255."""


def image_sources(sources: Iterable[str | Path], out: Path) -> list[str]:
    """Return the images among `sources` and those in and below its folders, by name, each once.

    OME-Zarr folders and URLs are images as they are. Of an image that is split over several files, the first that is
    found stands for all. Below a folder, hidden files and outputs of earlier runs are left out: all in `out`, and label
    TIFFs.

    Raises
    ------
    FrameError
        When there is none.
    """
    names, images, out = list(map(str, sources)), dict[str, str](), out.resolve()
    files = dict[Path, Path]()
    for each in names:
        if is_url(each):
            images.setdefault(each, each)
            continue
        path = Path(each)
        inside = _images_below(path) if path.is_dir() and not is_zarr(each) else [path]
        for one in inside:
            if one is path or not one.resolve().is_relative_to(out):
                files.setdefault(one.resolve(), one)
    if not files and not images:
        raise FrameError(
            f"There is no TIFF, PNG, JPEG or OME-Zarr image in {', '.join(names)}. Choose other files or folders."
        )
    return [*map(str, one_of_each(list(files.values()))), *images]


def _images_below(folder: Path) -> list[Path]:
    """Return the images in and below a folder, in order; an OME-Zarr folder is one image."""
    paths: list[Path] = []
    for each in sorted(folder.iterdir()):
        if each.name.startswith("."):
            continue
        if each.is_dir():
            paths += [each] if is_zarr(str(each)) else [] if each.name.endswith(SCORES_END) else _images_below(each)
        elif each.name.lower().endswith(SUFFIXES) and not each.name.lower().endswith(LABELS_END) and each.is_file():
            paths.append(each)
    return sorted(paths)


def title_of(source: str) -> str:
    """Return what an image is called: the last part of its path or URL."""
    return PurePosixPath(source.rstrip("/")).name if is_url(source) else Path(source).name


def output_names(sources: Sequence[str | Path]) -> list[str]:
    """Return how the names of each image's outputs begin: its stem, after its folder where others have that stem.

    Signs that some system refuses are replaced, and very long names are cut.
    """
    paths = [PurePosixPath(each) if is_url(str(each)) else Path(each) for each in sources]
    counted = Counter(path.stem.casefold() for path in paths)
    names = (path.stem if counted[path.stem.casefold()] == 1 else f"{path.parent.name}-{path.stem}" for path in paths)
    return [safe_name(name, MOST_BYTES) for name in names]


def make_room(out: Path, overwrite: bool, model_hash: str) -> bool:
    """Make the folder for the outputs; return whether existing files may be replaced.

    It may if `overwrite` says so, and if a run with the same model was stopped, which then continues.

    Raises
    ------
    ProjectError
        When it holds results already and they are not to be overwritten, or it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProjectError(f"{out} cannot be made: {error.strerror}. Choose a folder that you may write to.") from error
    for pattern in (CROPS, COUNTS, CLASSES, UNFINISHED, f"*{LABELS_END}", "*.geojson"):
        remove_leftovers(out, pattern)
    marker = out / UNFINISHED
    may_replace = overwrite or (marker.is_file() and marker.read_bytes() == model_hash.encode())
    results = [out / name for name in (CROPS, COUNTS, CLASSES)]
    there = next((each for each in (*results, *out.glob(f"*{LABELS_END}")) if each.exists()), None)
    if there is not None and not may_replace:
        raise ProjectError(f"{there} exists already. Choose another folder, or allow overwriting.")
    write_atomically(marker, model_hash.encode())
    return may_replace


def finish_run(out: Path) -> None:
    """Note that a run has ended: the next one into this folder is another one."""
    (out / UNFINISHED).unlink(missing_ok=True)
