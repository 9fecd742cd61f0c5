"""The tools of the bench, said once: what each is called, does, and the key that it has by default."""

from typing import NamedTuple

PAUSE, HELP, STOP = "pause", "help", "stop"


class Tool(NamedTuple):
    """A tool of the bench; a key that `is_fixed` cannot be changed in the preferences."""

    word: str
    does: str
    key: str
    is_fixed: bool = False


TOOLS = {
    "skip": Tool("Skip", "you cannot tell; the time still teaches the cost model", "S"),
    "exclude": Tool("Exclude", "a bad crop: never ask for it again", "X"),
    "unsure": Tool("Unsure", "the class that you give next is kept as unsure; again: it is not", "U"),
    "note": Tool("Note", "write a note on this crop; the clock stands still meanwhile", "N"),
    "undo": Tool("Undo", "take the last answer back and show its crop again", "Z"),
    "redo": Tool("Redo", "give the answer that was undone last again", "Y"),
    "back": Tool("Back", "show the crop before this one; its answer stands until you give another", "B"),
    "why": Tool("Why", "show the prediction and why this crop was asked; that you looked is kept", "V"),
    PAUSE: Tool("Pause", "stop the clock and cover the crop, or go on", "P"),
    HELP: Tool("?", "which key does what", "?", True),
    STOP: Tool("Stop", "leave the query; what you answered is kept", "Esc", True),
}
LABELLING_KEYS = {name: tool.key for name, tool in TOOLS.items() if not tool.is_fixed}
"""The keys by default of those tools whose key the user may change."""
