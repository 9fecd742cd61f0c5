"""Checks that several commands share: whether there is a display, and whether a file can be written."""

import os
import sys
from pathlib import Path

from costal.errors import CostalError
from costal.files import require_place

WHERE_TO_RUN = "Where to run: local:K (K processes), local:K+dashboard, tcp://…, tls://… or a scheduler file."
"""The help of ``--dask``."""


def has_display() -> bool:
    """Return whether a window can be opened: always assumed on Windows and macOS."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def warn_of_scheduler(dask: str | None) -> None:
    """Warn on the error stream when work goes to a scheduler that takes work from anybody."""
    from costal.spread.cluster import is_unauthenticated

    if dask is not None and is_unauthenticated(dask):
        print(
            f"costal: the scheduler at {dask} has no authentication: anybody who reaches it can run code as the user "
            "of its workers. Use tls:// on a shared network.",
            file=sys.stderr,
        )


def require_place_for_table(out: Path, overwrite: bool = True) -> None:
    """Check before the work that a table can be written and replaces nothing but a table.

    Raises
    ------
    CostalError
        When the name does not end in .csv, which protects images and project files; when the file exists and must not
        be overwritten; or when it cannot be written.
    """
    if out.suffix.lower() != ".csv":
        raise CostalError(f"{out} does not end in .csv. Choose another name with --out.")
    if out.exists() and not overwrite:
        raise CostalError(
            f"{out} exists already, and may have classes filled in. Choose another name with --out, or add --overwrite."
        )
    require_place(out)
