"""What several commands ask of the machine: whether there is a display, and whether a file can be written."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from costal.errors import CostalError


def has_display() -> bool:
    """Return whether a window can be opened: always assumed on Windows and macOS."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turn a failure to write into a sentence with a remedy."""
    try:
        yield
    except OSError as error:
        raise CostalError(f"{out} cannot be written: {error.strerror}. Choose another place with --out.") from error
