"""The images in a folder and below it, with the stamps by which a file is known to be unchanged."""

import os
from pathlib import Path

from costal.errors import FrameError
from costal.types import Stamp

TIFFS = (".tif", ".tiff")
SUFFIXES = (*TIFFS, ".png", ".jpg", ".jpeg")
HIDDEN = (".", "~", "$")
LABELS_END = "-classes.tif"
"""The ending of label TIFFs that a classifier wrote beside frames: they are not frames."""
TEMPORARY = (".tmp", ".part", ".partial")  # before the suffix, as in "frame.part.tif"


def stamp_of(file: os.DirEntry[str] | Path) -> Stamp | None:
    """Return the stamp of a file, None where it is gone or out of reach."""
    try:
        status = file.stat()
    except OSError:
        return None
    return Stamp(status.st_size, status.st_mtime_ns)


def listed(folder: Path) -> tuple[dict[str, Stamp], dict[str, str]]:
    """Return the stamp of every image in the folder and below, and the reason for each entry that cannot be listed.

    Both by path relative to the folder, with forward slashes. Hidden and temporary names are passed over, and links
    to folders are not followed.

    Raises
    ------
    FrameError
        If the folder itself is not there or cannot be listed.
    """
    stamps: dict[str, Stamp] = {}
    refused: dict[str, str] = {}
    below = [""]
    while below:
        inside = below.pop()
        try:
            with os.scandir(folder / inside) as entries:
                visible = [entry for entry in entries if not entry.name.startswith(HIDDEN)]
        except OSError as error:
            if not inside:
                raise FrameError(
                    f"{folder} cannot be read ({error.strerror}). Connect it again, or choose another folder."
                ) from error
            if not isinstance(error, FileNotFoundError):  # it was there a moment ago
                refused[inside[:-1]] = f"The folder cannot be listed ({error.strerror}). Check its permissions."
            continue
        for entry in visible:
            path = inside + entry.name
            if not path.isprintable() and path != (text := path.encode("utf-8", "backslashreplace").decode()):
                refused[text] = "The name is not valid text. Rename the file."
            elif entry.is_dir(follow_symlinks=False):
                below.append(f"{path}/")
            elif _is_image(entry.name) and (stamp := stamp_of(entry)) is not None:
                stamps[path] = stamp
    return stamps, refused


def _is_image(name: str) -> bool:
    name = name.lower()
    if name.endswith(LABELS_END):
        return False
    return name.endswith(SUFFIXES) and not name.rpartition(".")[0].endswith(TEMPORARY)
