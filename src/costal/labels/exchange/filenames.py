"""Names of files and folders that every system takes, Windows included."""

import re
import unicodedata
from pathlib import PureWindowsPath

UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
MOST_BYTES = 100


def safe_name(text: str, most: int = MOST_BYTES) -> str:
    """Return the text as a name of at most `most` + 1 bytes: unsafe signs, dots and blanks at its end become ``_``."""
    cut = unicodedata.normalize("NFC", text).encode("utf-8", "replace")[:most].decode("utf-8", "ignore")
    name = UNSAFE.sub("_", cut)
    kept = name.rstrip(". ")
    name = kept + "_" * (len(name) - len(kept)) or "_"
    return f"_{name}" if RESERVED.fullmatch(name) or name.startswith(".") else name


def frame_stem(source: str, content_hash: str, planes: str) -> str:
    """Return a safe name for what is made of a frame: that of its file on any system, some of its hash, its planes."""
    which = "" if planes in ("", "all") else "_" + safe_name(planes.replace(", ", "_").replace(" ", ""))
    return f"{safe_name(PureWindowsPath(source).stem)}_{content_hash[:8]}{which}"


def unlike(taken: set[str], stem: str, ending: str = "") -> str:
    """Return a name that none of `taken` equals, in another case neither, numbered where it would; and take it."""
    name, number = f"{stem}{ending}", 1
    while name.casefold() in taken:
        number += 1
        name = f"{stem}_{number}{ending}"
    taken.add(name.casefold())
    return name
