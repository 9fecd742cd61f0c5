"""What a store holds as columns: what figures over very many presentations are made from.

Rows are append-only, so a ledger is read on from where it ended. Each read is short, for no label can be committed
while one lasts; and no row becomes an object, for a million objects make the garbage collector hold up the window.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costal.labels.effort import EventKind, PauseReason
from costal.labels.reading import Reader
from costal.labels.records import ECHOES, GIVEN, QueryReason

CHUNK = 5000
EVENT_KINDS, EVENT_REASONS = tuple(EventKind), ("", *PauseReason)
LABEL_KINDS = ("abandoned", "class", "skip", "exclude", "undo")
"""What a presentation came to, and the tombstone."""
UNDO = LABEL_KINDS.index("undo")

Rows = NDArray[np.void]
PRESENTATION = np.dtype(
    [(name, np.int64) for name in ("id", "crop", "frame", "y", "x", "utc_ns", "generation", "labels_known")]
    + [
        ("control", np.bool_),
        ("prediction_shown", np.bool_),
        ("repeated", np.bool_),
        ("during_fit", np.bool_),
        ("cost", np.float64),
        ("cost_spread", np.float64),
    ]
    + [("predicted", np.int64), ("confidence", np.float64)],
    align=True,
)
EVENT = np.dtype(
    [(name, np.int64) for name in ("id", "presentation", "perf_ns", "utc_ns")]
    + [("kind", np.int8), ("reason", np.int8)],
    align=True,
)
LABEL = np.dtype(
    [(name, np.int64) for name in ("id", "place", "crop", "presentation", "class_id", "undoes")]
    + [("kind", np.int8), ("given", np.int8), ("unsure", np.bool_)],
    align=True,
)


@dataclass(frozen=True, slots=True)
class EventTable:
    """The rows of a store up to some moment, each table in the order of its ids; an id of 0 stands for none.

    `predicted` is the likeliest class id of a control and `confidence` its probability (0 and NaN where nothing was
    predicted). `labels_known` are those of the model that asked, -1 where that is not known. `kind`, `reason` and
    `given` are indices into `EVENT_KINDS`, `EVENT_REASONS`, `LABEL_KINDS` and `GIVEN`. The `place` of a label that was
    given again by a redo is the id that it had at first. `sources` tells frames by their ids.
    """

    presentations: Rows = field(default_factory=lambda: np.zeros(0, PRESENTATION))
    events: Rows = field(default_factory=lambda: np.zeros(0, EVENT))
    labels: Rows = field(default_factory=lambda: np.zeros(0, LABEL))
    sources: Mapping[int, str] = field(default_factory=dict)

    def current(self) -> Rows:
        """Return the labels that stand, one for each crop, in the order of the crops' ids."""
        is_undone = np.isin(self.labels["id"], self.labels["undoes"])
        standing = self.labels[(self.labels["kind"] != UNDO) & ~is_undone]
        newest_first: Rows = standing[np.argsort(-standing["place"])]
        _, newest = np.unique(newest_first["crop"], return_index=True)
        return newest_first[newest]

    def first(self) -> Rows:
        """Return the first class that each crop was given alone and that was not taken back, by the crops' ids.

        Labels that may repeat what the model predicted (see `ECHOES`) are not given alone.
        """
        labels = self.labels
        alone = ~np.isin(labels["given"], [GIVEN.index(each) for each in ECHOES])
        chosen = alone & (labels["kind"] == LABEL_KINDS.index("class")) & ~np.isin(labels["id"], labels["undoes"])
        in_order: Rows = labels[chosen][np.argsort(labels[chosen]["place"])]
        _, first = np.unique(in_order["crop"], return_index=True)
        return in_order[first]


def read_on(store: Reader, before: EventTable = EventTable()) -> EventTable:
    """Return the ledger `before` with what came since in its store.

    Raises
    ------
    ProjectError
        When the store cannot be read.
    """
    presentations = _longer(store, PRESENTATIONS, before.presentations, _with_prediction)
    upto = int(presentations["id"][-1]) if len(presentations) else 0  # more may come while the rest is read
    frames = store._select("SELECT id, source FROM frame WHERE id > :after", {"after": max(before.sources, default=0)})
    return EventTable(
        presentations,
        _longer(store, EVENTS, before.events, upto=upto),
        _longer(store, LABELS, before.labels),
        {**before.sources, **{frame_id: store._source(stored) for frame_id, stored in frames}},
    )


def _code(column: str, names: tuple[str, ...]) -> str:
    """Return SQL for the index of a column's name; 0 for NULL and for a name that is not known."""
    cases = " ".join(f"WHEN '{name}' THEN {index}" for index, name in enumerate(names))
    return f"CASE {column} {cases} ELSE 0 END"


PRESENTATIONS = """SELECT presentation.id, crop_id, frame_id, y, x, utc_ns, generation, coalesce(labels_known, -1),
        control, prediction_shown, repeated, during_fit, cost,
        CASE WHEN json_valid(why) THEN json_extract(why, '$.cost_spread') END, CASE WHEN control THEN why END
    FROM presentation JOIN crop ON crop.id = crop_id
    WHERE presentation.id > :after ORDER BY presentation.id LIMIT :chunk"""
EVENTS = f"""SELECT id, presentation_id, perf_ns, utc_ns,
        {_code("kind", EVENT_KINDS)}, {_code("reason", EVENT_REASONS)}
    FROM event WHERE id > :after AND +presentation_id <= :upto ORDER BY id LIMIT :chunk"""
LABELS = f"""SELECT id, coalesce(original, id), crop_id, coalesce(presentation_id, 0), coalesce(class_id, 0),
        coalesce(undoes, 0), {_code("kind", LABEL_KINDS)}, {_code("given", GIVEN)}, unsure
    FROM label WHERE id > :after ORDER BY id LIMIT :chunk"""


def _with_prediction(row: tuple[Any, ...]) -> tuple[Any, ...]:
    *columns, why = row
    if why is None:
        return (*columns, 0, np.nan)
    reason = QueryReason.from_json(why)
    best = max(zip(reason.probs_K, reason.class_ids, strict=True), key=lambda pair: pair[0], default=(np.nan, 0))
    return (*columns, best[1], best[0])


def _longer(
    store: Reader,
    query: str,
    before: Rows,
    row_of: Callable[[tuple[Any, ...]], tuple[Any, ...]] | None = None,
    **values: int,
) -> Rows:
    """Return rows with those that come after the last of them, read a chunk at a time."""
    parts = [before]
    while True:
        after = int(parts[-1]["id"][-1]) if len(parts[-1]) else 0
        chunk = store._select(query, {"after": after, "chunk": CHUNK, **values})
        if chunk:
            parts.append(np.array([*map(row_of, chunk)] if row_of else chunk, before.dtype))
        if len(chunk) < CHUNK:
            return np.concatenate(parts) if len(parts) > 1 else before
