"""Whether rows of a store can be what they say: types and sizes that fit, events that can have happened."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from costal.errors import EffortError
from costal.labels.effort import Event, EventKind, PauseReason, replay
from costal.labels.records import QueryReason
from costal.labels.tables import Column, Row

PYTHON_TYPES: Mapping[str, type | tuple[type, ...]] = {"INTEGER": int, "REAL": (float, int), "TEXT": str, "BLOB": bytes}


def row_fault(table: str, columns: Sequence[Column], row: Row) -> str:
    """Return what is wrong with a row of these columns by itself, empty when nothing is."""
    for name, kind in columns:
        entry = row[name]
        if entry is not None and (isinstance(entry, bool) or not isinstance(entry, PYTHON_TYPES[kind])):
            return f"{name} is {entry!r:.40}"
    try:
        return FAULTS.get(table, _none)(row)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return f"it cannot be read ({error})"


def events_fault(rows: Iterable[Row]) -> str:
    """Return why the events of one presentation cannot have happened, empty when they can."""
    try:
        replay(
            (
                Event(
                    EventKind(row["kind"]), row["perf_ns"], row["utc_ns"], row["reason"] and PauseReason(row["reason"])
                )
                for row in rows
            ),
            0,
        )
    except (EffortError, ValueError, TypeError) as error:
        return str(error)
    return ""


def _none(_: Row) -> str:
    return ""


def _frame(row: Row) -> str:
    low, high = json.loads(row["low"]), json.loads(row["high"])
    if not low or len(low) != len(high) or not np.isfinite([*low, *high]).all():
        return f"its intensity range is {low} to {high}"
    return "" if row["height"] > 0 and row["width"] > 0 else f"it is {row['height']} x {row['width']} px"


def _crop(row: Row) -> str:
    expected = np.dtype(row["dtype"]).itemsize * row["channels"] * row["side"] ** 2
    has, is_whole = len(row["pixels"]), row["channels"] > 0 and row["side"] > 0
    return "" if is_whole and has == expected else f"its pixels are {has} bytes, not {expected}"


def _presentation(row: Row) -> str:
    QueryReason.from_json(row.get("why", "{}"))
    return ""


FAULTS: Mapping[str, Callable[[Row], str]] = {"frame": _frame, "crop": _crop, "presentation": _presentation}
