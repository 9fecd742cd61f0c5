"""What a command left behind, as lines of text that can be compared: of every file what must not change, and no times.

What differs between two runs of the same code is masked here and nowhere else.
"""

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile
from safetensors.numpy import load_file

MASKED = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?"), "<time>"),
    (re.compile(r"napari-costal \d+\.\d+[^\s\"]*"), "napari-costal <version>"),
    (re.compile(r"\b\d+(\.\d+)? (s|ms|min|h) left\b"), "<time> left"),
)
VOLATILE_KEYS = re.compile(r"^(.*utc.*|.*time.*|.*_ns|version|software|source_md5|started|seconds|host|pid|mtime.*)$")
"""Keys of JSON and columns of tables whose entries are masked."""
LEFT_OUT = re.compile(r"\.(lock|pyc|new)$|-journal$|(^|/)timings\.csv$")

Lines = list[str]


def masked(text: str) -> str:
    """Return a text without times and versions."""
    for pattern, instead in MASKED:
        text = pattern.sub(instead, text)
    return text


def collected(folder: Path, inputs: frozenset[str]) -> dict[str, Lines]:
    """Return the lines of every file below a folder that is no input, by its path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path: path.relative_to(folder).as_posix() for path in paths}
    return {
        names[path]: lines_of(path) for path in paths if names[path] not in inputs and not LEFT_OUT.search(names[path])
    }


def lines_of(path: Path) -> Lines:
    """Return what is compared of a file: by what it holds, whatever its name ends in."""
    with path.open("rb") as file:
        opening = file.read(16)
    if path.suffix == ".safetensors":
        return [_array(name, array) for name, array in sorted(load_file(path).items())]
    if opening.startswith(b"SQLite format 3"):
        return list(dumped(path))
    if path.suffix in (".npz", ".npy"):
        return _arrays(path)
    if opening.startswith((b"II*\0", b"MM\0*")):
        return list(_tiff(path))
    if opening.startswith(b"PAR1"):
        return masked(pd.read_parquet(path).to_csv(index=False)).splitlines()
    return _text(path)


def _text(path: Path) -> Lines:
    content = path.read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return [f"{len(content)} bytes {hashlib.sha256(content).hexdigest()}"]
    try:
        document = json.loads(text)
    except ValueError:
        return masked(text).splitlines()
    return masked(json.dumps(without_volatile(document), indent=1, ensure_ascii=False)).splitlines()


def without_volatile(value: Any) -> Any:
    """Return a JSON value with what is volatile masked."""
    if isinstance(value, dict):
        return {key: "<masked>" if VOLATILE_KEYS.match(key) else without_volatile(each) for key, each in value.items()}
    return [without_volatile(each) for each in value] if isinstance(value, list) else value


def dumped(path: Path) -> Iterator[str]:
    """Yield the schema and all rows of a store, times masked, pixels as hashes."""
    with closing(sqlite3.connect(path)) as connection:
        yield f"user_version {connection.execute('PRAGMA user_version').fetchone()[0]}"
        query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
        tables = []
        for name, sql in connection.execute(query):
            yield f"{name}: {' '.join(sql.split())}"
            tables += [name] if sql.upper().startswith("CREATE TABLE") else []
        for table in tables:
            rows = connection.execute(f"SELECT * FROM {table} ORDER BY 1")
            names = [column[0] for column in rows.description]
            for row in rows:
                yield f"{table} {json.dumps([_cell(*pair) for pair in zip(names, row, strict=True)])}"


def _cell(name: str, cell: Any) -> Any:
    if cell is not None and VOLATILE_KEYS.match(name):
        return "<masked>"
    return hashlib.sha256(cell).hexdigest()[:16] if isinstance(cell, bytes) else cell


def _arrays(path: Path) -> Lines:
    if path.suffix == ".npy":
        return [_array("", np.load(path, allow_pickle=False))]
    with np.load(path, allow_pickle=False) as held:
        return [_array(name, held[name]) for name in sorted(held)]


def _tiff(path: Path) -> Iterator[str]:
    with tifffile.TiffFile(path) as held:
        for number, page in enumerate(held.pages):
            yield _array(f"page {number}", page.asarray())
            yield masked(f"page {number} says {page.description!r}")


def _array(name: str, array: np.ndarray[Any, Any]) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return f"{name} {array.dtype} {array.shape} {digest}"
