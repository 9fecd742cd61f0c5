"""The axes of a file: as the file names them, as they are guessed, or as the user sets them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from costal.errors import FrameError

FEW = 4  # an unnamed axis this short is taken for channels
SCIFIO = {"X": "X", "Y": "Y", "Z": "Z", "Channel": "C", "Time": "T"}
Axes = str | Mapping[str, str] | None
"""Letters of TZCYX for this one file, or for kinds of files (see `kind_of`), or none, for the file's own axes."""


def axes_of(letters: str, shape: Sequence[int], path: Path | str, axes: Axes) -> tuple[str, tuple[str, ...]]:
    """Return the axes of a file in letters of TZCYX, and a sentence for each that was guessed, or set for its kind.

    `letters` are the axes in the file's own letters.

    Raises
    ------
    FrameError
        When the letters do not fit the file, or its axes have no place among TZCYX.
    """
    chosen = axes.get(kind_of(path, letters)) if isinstance(axes, Mapping) else axes
    if chosen is None:
        return named(letters, tuple(shape), path)
    chosen = checked_axes(chosen)
    if len(chosen) != len(shape):
        raise FrameError(
            f"{path} has {len(shape)} dimensions, of shape {tuple(shape)}, and cannot have the axes {chosen}. Name "
            "each dimension once."
        )
    own = letters if "C" in letters else letters.replace("S", "C")
    is_said = chosen == own or not isinstance(axes, Mapping)
    return chosen, () if is_said else (f"The axes {chosen} are as you set them; the file says {letters}.",)


def checked_axes(axes: str) -> str:
    """Return axes that a user named, in capitals.

    Raises
    ------
    FrameError
        When they are not letters of TZCYX, each at most once, with Y and X among them.
    """
    letters = axes.strip().upper()
    if len(set(letters)) != len(letters) or not {"Y", "X"} <= set(letters) <= set("TZCYX"):
        raise FrameError(
            f"Axes {axes!r} are not valid. Name each dimension once, in letters of TZCYX, with Y and X among them, "
            "such as ZCYX."
        )
    return letters


def kind_of(path: Path | str, letters: str) -> str:
    """Return the kind of a file: the ending of its name and its own axes, such as ``.tif QYX``."""
    return f"{Path(path).suffix.lower()} {letters}"


def scifio_axes(description: str, shape: Sequence[int]) -> str | None:
    """Return the axes that SCIFIO (ImageJ2) puts into a TIFF's description, None where there are none that fit."""
    if not description.startswith("SCIFIO="):
        return None
    lines = dict(line.partition("=")[::2] for line in description.splitlines())
    lengths = lines.get("lengths", "").split(",")
    named = [(SCIFIO.get(name, "Q"), n) for name, n in zip(lines.get("axes", "").split(","), lengths, strict=False)]
    long = [(letter, int(n)) for letter, n in reversed(named) if n.isdigit() and (int(n) > 1 or letter in "YX")]
    return "".join(letter for letter, _ in long) if [n for _, n in long] == list(shape) else None


def named(axes: str, shape: tuple[int, ...], path: Path | str) -> tuple[str, tuple[str, ...]]:
    """Return the axes in letters of TZCYX, and a sentence for each one that was guessed."""
    notes: list[str] = []
    axes = axes if "C" in axes else axes.replace("S", "C")
    for at, letter in enumerate(axes):
        if letter in "TZCYX":
            continue
        free = [name for name in ("CTZ" if shape[at] <= FEW else "TZC") if name not in axes]
        if letter == "S" or not free:
            raise FrameError(f"{path} has axes {axes} of shape {shape}. Split it into frames with axes of TZCYX.")
        axes = axes[:at] + free[0] + axes[at + 1 :]
        notes.append(f"Axis {at} (length {shape[at]}) has no name in the file; it was read as {free[0]}.")
    return axes, tuple(notes)
