"""The tools of the labelling page: name, action and default key of each."""

from typing import NamedTuple

PAUSE, HELP, STOP = "pause", "help", "stop"


class Tool(NamedTuple):
    """A tool of the labelling page; a key that `is_fixed` cannot be changed in the preferences."""

    word: str
    does: str
    key: str
    is_fixed: bool = False


TOOLS = {
    "skip": Tool("Skip", "you cannot tell the class; the time still trains the cost model", "S"),
    "exclude": Tool("Exclude", "a bad crop: never ask about it again", "X"),
    "unsure": Tool("Unsure", "mark the next answer as unsure; press again to cancel", "U"),
    "note": Tool("Note", "write a note on this crop; the timer stops meanwhile", "N"),
    "undo": Tool("Undo", "take the last answer back and show its crop again", "Z"),
    "redo": Tool("Redo", "restore the last undone answer", "Y"),
    "back": Tool("Back", "show the previous crop; its answer stays until you give another", "B"),
    "why": Tool("Why", "show the prediction and why this crop was chosen; the answer records that you looked", "V"),
    PAUSE: Tool("Pause", "stop the timer and hide the crop; press again to go on", "P"),
    HELP: Tool("?", "list the keys", "?", True),
    STOP: Tool("Stop", "stop the query; your answers are kept", "Esc", True),
}
LABELLING_KEYS = {name: tool.key for name, tool in TOOLS.items() if not tool.is_fixed}
"""The default keys of the tools whose key the user may change."""
