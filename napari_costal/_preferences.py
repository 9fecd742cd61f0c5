"""The plugin's page in napari's preferences, read with defaults that suit a fresh machine."""

import getpass
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from napari.settings import get_plugin_settings


@dataclass(frozen=True, slots=True)
class Preferences:
    """Who labels, where new projects go, and which device computes."""

    annotator: str
    projects_folder: Path
    device: str


def _login_name() -> str:
    """Return the name that the person logged in with, where the system has one."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "annotator"


def preferences() -> Preferences:
    """Return what the user prefers."""
    settings = get_plugin_settings("napari-costal")
    folder = settings.labelling.projects_folder.strip()
    return Preferences(
        settings.labelling.annotator.strip() or _login_name(),
        Path(folder) if folder else platformdirs.user_documents_path() / "napari-costal",
        str(settings.engine.device),
    )
