"""The frame that a project was left with, kept in its folder, so that reopening it goes on there."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from costal.errors import ProjectError
from costal.files import write_atomically

FILE = "last_frame.json"


@dataclass(frozen=True, slots=True)
class LastFrame:
    """A frame by its content, and how it was looked at.

    `steps` is the plane shown along each axis of the file that has sliders (letters of TZ), `planes` the choice among
    them; `centre` (world y, x) and `zoom` are the camera's; `contrast` are the limits of each channel.
    """

    content_hash: str
    planes: str = ""
    steps: Mapping[str, int] = field(default_factory=dict)
    centre: tuple[float, float] | None = None
    zoom: float | None = None
    contrast: tuple[tuple[float, float], ...] = ()


def keep_last_frame(folder: Path, last: LastFrame) -> None:
    """Keep it in a project's folder; where that cannot be written there is none."""
    with suppress(OSError, ProjectError):
        write_atomically(folder / FILE, json.dumps(asdict(last), indent=1).encode())


def last_frame(folder: Path) -> LastFrame | None:
    """Return what was kept, None where nothing was or it cannot be read."""
    try:
        document: dict[str, Any] = json.loads((folder / FILE).read_text("utf-8"))
        centre, zoom = document.get("centre"), document.get("zoom")
        return LastFrame(
            str(document["content_hash"]),
            str(document.get("planes", "")),
            {str(axis): int(step) for axis, step in document.get("steps", {}).items()},
            (float(centre[0]), float(centre[1])) if centre else None,
            float(zoom) if zoom else None,
            tuple((float(low), float(high)) for low, high in document.get("contrast", ())),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError):
        return None
