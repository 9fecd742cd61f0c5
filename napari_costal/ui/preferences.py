"""Reads the plugin's page in napari's preferences, with defaults for a new machine."""

import getpass
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs
from napari.settings import get_plugin_settings

from costal.labels.recent import recent_file
from napari_costal.ui.tools import LABELLING_KEYS


@dataclass(frozen=True, slots=True)
class Preferences:
    """Annotator, folder of new projects, device, keys of the labelling page, and the list of recent projects."""

    annotator: str
    projects_folder: Path
    device: str
    keys: Mapping[str, str] = field(default_factory=lambda: dict(LABELLING_KEYS))
    recent_file: Path = field(default_factory=recent_file)


def _login_name() -> str:
    """Return the login name, if the system has one."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "annotator"


def preferences() -> Preferences:
    """Return the user's preferences."""
    settings = get_plugin_settings("napari-costal")
    folder = settings.labelling.projects_folder.strip()
    return Preferences(
        settings.labelling.annotator.strip() or _login_name(),
        Path(folder) if folder else platformdirs.user_documents_path() / "napari-costal",
        str(settings.engine.device),
        {name: getattr(settings.bench_keys, name).strip() for name in LABELLING_KEYS},
    )
