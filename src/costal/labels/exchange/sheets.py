"""The current labels as a table, CSV or Parquet: one row per label, the same columns in both."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from costal.errors import ProjectError
from costal.files import new_file, new_text
from costal.labels.effort import DERIVATION
from costal.labels.exchange.current import CurrentLabel
from costal.labels.exchange.spreadsheet import escaped

if TYPE_CHECKING:
    import pandas as pd


class SheetColumn(NamedTuple):
    """A column: its name, its pandas dtype, and its entry for a label (None: not known)."""

    name: str
    dtype: str
    entry: Callable[[CurrentLabel], object]


def _seconds(name: str) -> Callable[[CurrentLabel], float | None]:
    return lambda label: getattr(label.effort, name) / 1e9 if label.is_measured else None


COLUMNS = (
    SheetColumn("frame", "string", lambda label: label.frame.source),
    SheetColumn("content_hash", "string", lambda label: label.frame.content_hash),
    SheetColumn("planes", "string", lambda label: label.frame.planes),
    SheetColumn("pixel_um", "float64", lambda label: label.frame.pixel_um),
    SheetColumn("y", "int64", lambda label: label.row.y),
    SheetColumn("x", "int64", lambda label: label.row.x),
    SheetColumn("side", "int64", lambda label: label.row.side),
    SheetColumn("class_id", "Int64", lambda label: label.class_id),
    SheetColumn("class", "string", lambda label: label.class_name),
    SheetColumn("kind", "string", lambda label: label.row.kind),
    SheetColumn("given", "string", lambda label: label.row.given),
    SheetColumn("unsure", "bool", lambda label: label.row.unsure),
    SheetColumn("note", "string", lambda label: label.row.note),
    SheetColumn("annotator", "string", lambda label: label.row.annotator),
    SheetColumn("utc", "string", lambda label: label.utc),
    SheetColumn("active_s", "float64", _seconds("active_ns")),
    SheetColumn("idle_s", "float64", _seconds("idle_ns")),
    SheetColumn("elapsed_s", "float64", _seconds("elapsed_ns")),
    SheetColumn("censored", "bool", lambda label: label.effort.censored),
    SheetColumn("usable", "bool", lambda label: label.effort.usable),
    SheetColumn("reason", "string", lambda label: label.effort.reason),
    SheetColumn("derivation", "int64", lambda label: DERIVATION),
    SheetColumn("predicted", "string", lambda label: label.predicted),
    SheetColumn("information", "float64", lambda label: label.row.why.information),
    SheetColumn("cost", "float64", lambda label: label.row.why.cost),
    SheetColumn("value", "float64", lambda label: label.row.why.value),
    SheetColumn("control", "bool", lambda label: label.row.control),
    SheetColumn("rank", "Int64", lambda label: label.row.rank),
    SheetColumn("generation", "int64", lambda label: label.row.generation),
    SheetColumn("split", "string", lambda label: label.split),
)
"""`y`, `x` and `side` are pixels; `cost` is predicted, `active_s` measured; `split` is decided per frame."""


def sheet(labels: Sequence[CurrentLabel]) -> "pd.DataFrame":
    """Return the labels as a data frame of `COLUMNS`."""
    import pandas as pd

    entries = {each.name: [each.entry(label) for label in labels] for each in COLUMNS}
    return pd.DataFrame(entries).astype({each.name: each.dtype for each in COLUMNS})


def write_csv(labels: Sequence[CurrentLabel], path: Path) -> None:
    """Write the labels as CSV in UTF-8; text that begins like a formula is escaped (see `spreadsheet`)."""
    table = sheet(labels)
    for each in COLUMNS:
        if each.dtype == "string":
            table[each.name] = table[each.name].map(escaped)
    with new_text(path, staged=True) as file:
        table.to_csv(file, index=False, lineterminator="\n")


def write_parquet(labels: Sequence[CurrentLabel], path: Path) -> None:
    """Write the labels as Parquet.

    Raises
    ------
    ProjectError
        When pyarrow is not installed.
    """
    if find_spec("pyarrow") is None:
        raise ProjectError(
            "Parquet needs pyarrow. Install it with: pip install 'napari-costal[export]', or export as csv."
        )
    with new_file(path, staged=True) as file:
        sheet(labels).to_parquet(file, engine="pyarrow", index=False)
