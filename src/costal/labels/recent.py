"""The projects that this person opened last, newest first: a small file of the user's, not of the project."""

import json
from pathlib import Path

import platformdirs

from costal.files import write_atomically
from costal.labels.project import PROJECT_FILE

MOST = 10


def recent_file() -> Path:
    """Return where the list is kept."""
    return platformdirs.user_state_path("napari-costal", appauthor=False) / "recent.json"


def recent_projects(file: Path) -> tuple[Path, ...]:
    """Return the folders that still hold a project, newest first; a damaged list counts as empty."""
    try:
        folders = [Path(each) for each in json.loads(file.read_text("utf-8"))]
    except (OSError, ValueError, TypeError):
        return ()
    return tuple(folder for folder in folders if (folder / PROJECT_FILE).is_file())


def remember(file: Path, folder: Path) -> None:
    """Put a folder first in the list.

    Raises
    ------
    ProjectError
        When the list cannot be written.
    """
    folder = folder.absolute()
    others = [each for each in recent_projects(file) if each != folder]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, json.dumps([str(each) for each in [folder, *others][:MOST]], indent=1).encode())
