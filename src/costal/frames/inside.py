"""Files that an image names: only those in its own folder or below it are opened."""

from pathlib import Path, PurePosixPath, PureWindowsPath

from costal.errors import FrameError


def inside(path: Path, name: str) -> Path:
    """Return the file that the image at `path` calls `name`, which lies beside it or below its folder.

    Raises
    ------
    FrameError
        When the name leads to another folder, also by a link: an image must not make other files be read.
    """
    steps = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
    file = path.parent / name
    folders = {path.parent.resolve(), path.resolve().parent}
    is_elsewhere = ".." in steps or PurePosixPath(name).is_absolute() or bool(PureWindowsPath(name).anchor)
    if is_elsewhere or not any(file.resolve().is_relative_to(folder) for folder in folders):
        raise FrameError(
            f"{path} refers to a file outside its folder ('{name}'), and such files are not opened. Export the image "
            "again, as one file or with all its files in one folder."
        )
    return file
