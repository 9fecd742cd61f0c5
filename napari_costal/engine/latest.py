"""Tickets that tell the newest request from earlier ones, so that outdated results are dropped."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class Latest:
    """Makes a ticket for each request; only tickets made since the last `renew` are current."""

    def __init__(self) -> None:
        self.number = 0

    def renew(self) -> "Ticket":
        """Make all earlier tickets outdated, and return a current one."""
        self.number += 1
        return self.ticket()

    def ticket(self) -> "Ticket":
        """Return a ticket that is current until the next `renew`."""
        return Ticket(self, self.number)


@dataclass(frozen=True, slots=True)
class Ticket:
    """Belongs to a request, on any thread, and says whether its result is still needed."""

    latest: Latest
    number: int

    @property
    def is_current(self) -> bool:
        """Whether there is no newer request."""
        return self.number == self.latest.number

    def only(self, act: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that calls `act` as long as the ticket is current."""
        return lambda *arguments: act(*arguments) if self.is_current else None
