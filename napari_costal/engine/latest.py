"""Tell the newest request from those before it: a result that is too old is dropped."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class Latest:
    """Gives out a ticket for each request; only those given out since the last `renew` are current."""

    def __init__(self) -> None:
        self.number = 0

    def renew(self) -> "Ticket":
        """Make all tickets before outdated, and return a current one."""
        self.number += 1
        return self.ticket()

    def ticket(self) -> "Ticket":
        """Return a ticket that is current until the next `renew`."""
        return Ticket(self, self.number)


@dataclass(frozen=True, slots=True)
class Ticket:
    """Travels with a request, on any thread, and tells whether its result is still wanted."""

    latest: Latest
    number: int

    @property
    def is_current(self) -> bool:
        """Whether nothing newer was asked for."""
        return self.number == self.latest.number

    def only(self, act: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does what `act` does, and nothing once the ticket is outdated."""
        return lambda *arguments: act(*arguments) if self.is_current else None
