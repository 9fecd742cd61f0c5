"""Which image files are classified, and what their outputs are called: no file takes another's place."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from costal.errors import FrameError, ProjectError
from costal.files import remove_leftovers
from costal.frames.listing import LABELS_END, SUFFIXES
from costal.frames.parts import one_of_each
from costal.labels.exchange.filenames import safe_name

CROPS, COUNTS, CLASSES = "crops.csv", "counts.csv", "classes.json"
MOST_BYTES = 180
"""Of a name, which planes, a number and endings follow: file systems take 255."""


def image_files(paths: Iterable[Path], out: Path) -> list[Path]:
    """Return the files among `paths` and the images in and below its folders, by name, each once.

    Of an image that is split over several files, the first that is found stands for all. Of what is below a folder,
    hidden files are left out and what earlier runs wrote: all in `out`, and label TIFFs.

    Raises
    ------
    FrameError
        When there is none.
    """
    found: dict[Path, Path] = {}
    asked, out = list(paths), out.resolve()
    for path in asked:
        inside = sorted(each for each in path.rglob("*") if _is_image(each, path)) if path.is_dir() else [path]
        for each in inside:
            if each is path or not each.resolve().is_relative_to(out):
                found.setdefault(each.resolve(), each)
    if not found:
        where = ", ".join(map(str, asked))
        raise FrameError(f"There is no TIFF, PNG or JPEG image in {where}. Choose other files or folders.")
    return one_of_each(list(found.values()))


def _is_image(path: Path, folder: Path) -> bool:
    name = path.name.lower()
    is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return name.endswith(SUFFIXES) and not name.endswith(LABELS_END) and not is_hidden and path.is_file()


def output_names(files: Sequence[Path]) -> list[str]:
    """Return how the names of each file's outputs begin: its stem, after its folder where others have that stem.

    Signs that some system refuses are replaced, and very long names are cut.
    """
    counted = Counter(path.stem.casefold() for path in files)
    names = (path.stem if counted[path.stem.casefold()] == 1 else f"{path.parent.name}-{path.stem}" for path in files)
    return [safe_name(name, MOST_BYTES) for name in names]


def make_room(out: Path, overwrite: bool) -> None:
    """Make the folder for the outputs.

    Raises
    ------
    ProjectError
        When it holds results already and they are not to be overwritten, or it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProjectError(f"{out} cannot be made: {error.strerror}. Choose a folder that you may write to.") from error
    for pattern in (CROPS, COUNTS, CLASSES, f"*{LABELS_END}", "*.geojson"):
        remove_leftovers(out, pattern)
    results = [out / name for name in (CROPS, COUNTS, CLASSES)]
    there = next((each for each in (*results, *out.glob(f"*{LABELS_END}")) if each.exists()), None)
    if there is not None and not overwrite:
        raise ProjectError(f"{there} is there already. Choose another folder, or say that it may be overwritten.")
