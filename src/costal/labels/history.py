"""Undo and redo, derived from the append-only label rows: pure, so that a reopened project remembers them."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

MOST_REMEMBERED = 10_000
"""Label rows that an undo can reach back over."""


class LabelRow(NamedTuple):
    """What undo needs of a row: `undoes` and `redoes` name other rows."""

    id: int
    undoes: int | None
    redoes: int | None
    action_id: int | None = None


@dataclass(frozen=True, slots=True)
class History:
    """Ids of labels that can be undone and redone, the next one last; the first stands for all of one action."""

    done: tuple[int, ...] = ()
    undone: tuple[int, ...] = ()

    def after(self, row: LabelRow) -> "History":
        """Return the history after one more row: a new label ends what could be redone."""
        if row.undoes is not None:
            rest = tuple(each for each in self.done if each != row.undoes)
            return History(rest, (*self.undone, row.undoes))
        done = (*self.done, row.id)[-MOST_REMEMBERED:]
        if row.redoes is not None:
            return History(done, tuple(each for each in self.undone if each != row.redoes))
        return History(done)


def history_of(rows: Iterable[LabelRow]) -> History:
    """Return the history that rows in the order of their ids lead to."""
    history = History()
    for _, together in groupby(rows, _turn_of):
        history = history.after(next(together))
    return history


def _turn_of(row: LabelRow) -> tuple[int, bool, bool]:
    """Return what the rows have in common that one action, its undo or its redo wrote."""
    return row.action_id or -row.id, row.undoes is None, row.redoes is None
