"""Where a frame's image lies, as the store keeps it: relative to the project where both lie together, else absolute.

A path in the project's folder is kept as ``./a.tif``, one in the folder that the project lies in, or below it, as
``../images/a.tif``, always with forward slashes: moved together, on another drive or another system, the project finds
its images. Every other path is kept as it is, as earlier versions kept all; so are URLs and ``layer:NAME``, the name of
a layer that is in no file.
"""

import os
from pathlib import Path

HERE, BESIDE = "./", "../"
LAYER = "layer:"


def stored_source(source: str, folder: Path) -> str:
    """Return what the store of the project in `folder` keeps in place of a source. No disk is asked.

    Images beside a project that lies in the home folder itself keep their absolute paths: only an experiment's folder
    is moved as a whole.
    """
    if not Path(source).is_absolute():
        return source
    path, project = Path(os.path.normpath(source)), Path(os.path.abspath(folder))
    if path.is_relative_to(project):
        return HERE + path.relative_to(project).as_posix()
    if path.is_relative_to(project.parent) and project.parent != Path(os.path.expanduser("~")):
        return BESIDE + path.relative_to(project.parent).as_posix()
    return source


def source_of(stored: str, folder: Path) -> str:
    """Return the source that a store's text stands for today: an absolute path where the text begins with a dot."""
    if not stored.startswith((HERE, BESIDE)):
        return stored
    return os.path.normpath(os.path.join(os.path.abspath(folder), stored))
