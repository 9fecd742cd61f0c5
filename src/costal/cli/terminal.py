"""What several commands ask of the machine: whether there is a display, and whether a file can be written."""

import os
import sys
from pathlib import Path

from costal.errors import CostalError
from costal.files import require_place


def has_display() -> bool:
    """Return whether a window can be opened: always assumed on Windows and macOS."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def warn_of_scheduler(dask: str | None) -> None:
    """Say on the error stream when work goes to a scheduler that takes work from anybody."""
    from costal.spread.cluster import is_unauthenticated

    if dask is not None and is_unauthenticated(dask):
        print(
            f"costal: the scheduler of {dask} is unauthenticated: whoever reaches it can run code as its workers' "
            "user. Use tls:// where others share the network.",
            file=sys.stderr,
        )


def require_place_for_table(out: Path, overwrite: bool = True) -> None:
    """Find out now, not after the work, that a table cannot be written, or would take the place of what is none.

    Raises
    ------
    CostalError
        When the name does not end in .csv, so that no image and no project file is written over by a slip; when the
        file is there and not to be overwritten; or when it cannot be written.
    """
    if out.suffix.lower() != ".csv":
        raise CostalError(f"{out} is no name for a table. Choose one that ends in .csv with --out.")
    if out.exists() and not overwrite:
        raise CostalError(
            f"{out} is there already, and classes may be filled in. Choose another name with --out, or allow it to "
            "be overwritten."
        )
    require_place(out)
