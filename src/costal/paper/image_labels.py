"""Classes of images from a CSV file, in place of the folders that they lie in."""

import csv
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from costal.errors import DatasetError
from costal.numerals import decimal_number


def csv_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line number and the entries of each row; ``file`` has forward slashes.

    Raises
    ------
    DatasetError
        When it cannot be read or lacks one of the columns.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as opened:
            reader = csv.DictReader(opened)
            if not set(columns) <= set(reader.fieldnames or ()):
                raise DatasetError(
                    f"{path} has the columns {', '.join(reader.fieldnames or ()) or 'none'}. It needs "
                    f"{' and '.join(columns)}, named in its first line and separated by commas."
                )
            for row in reader:
                entries = {name: entry or "" for name, entry in row.items() if isinstance(name, str)}
                yield reader.line_num, entries | {"file": entries["file"].strip().replace("\\", "/")}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read: {error}. Save it as CSV in UTF-8.") from error


def classes_of(path: Path, files: Sequence[str], edges: Sequence[float] = ()) -> list[str]:
    """Return the class of each file, from a CSV file with the column ``file`` and one more, whatever its name.

    With `edges` that column has numbers, and a class is a range of them: below the first edge, from each edge to the
    next, and from the last one. Lines of other files are ignored.

    Raises
    ------
    DatasetError
        When it cannot be read, a file has no line, or an entry cannot be used; names file, line and remedy.
    """
    class_of: dict[str, str] = {}
    for line, row in csv_rows(path, ("file",)):
        others = [name for name in row if name != "file"]
        if len(others) != 1:
            raise DatasetError(
                f"{path} has the columns {', '.join(row)}. It needs the column file and one column with the classes."
            )
        if row["file"] in class_of:
            raise DatasetError(f"{path}, line {line}: {row['file']} has a class already. Remove one of the two lines.")
        class_of[row["file"]] = _class(row[others[0]].strip(), edges, f"{path}, line {line}")
    lacking = [file for file in files if file not in class_of]
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise DatasetError(f"{path} has no line for {lacking[0]}{more}. Add its class, or remove the image.")
    return [class_of[file] for file in files]


def _class(written: str, edges: Sequence[float], where: str) -> str:
    if not written:
        raise DatasetError(f"{where}: the class is empty. Write one.")
    if not edges:
        return written
    number = decimal_number(written)
    if number is None or number != number:
        raise DatasetError(f"{where}: '{written}' is not a number. Correct it, or remove edges.")
    return range_names(edges)[int(np.searchsorted(edges, number, side="right"))]


def range_names(edges: Sequence[float]) -> list[str]:
    """Return the names of the ranges between edges; whole edges give counts, ``0``, ``1 to 3``, ``4 or more``."""
    if not all(float(edge).is_integer() for edge in edges):
        inner = [f"{low:g} to below {high:g}" for low, high in pairwise(edges)]
        return [f"below {edges[0]:g}", *inner, f"{edges[-1]:g} or more"]
    inner = [f"{low:g}" if high == low + 1 else f"{low:g} to {high - 1:g}" for low, high in pairwise(edges)]
    first = "0" if edges[0] == 1 else f"up to {edges[0] - 1:g}"
    return [first, *inner, f"{edges[-1]:g} or more"]
