"""The errors that a person reads: each names the thing, the cause and the remedy."""


class CostalError(Exception):
    """An expected failure, worded for the person at the screen."""


class FrameError(CostalError):
    """A frame cannot be read, normalised or tiled."""


class AgentError(CostalError):
    """The agent cannot score or cannot learn."""


class ProjectError(CostalError):
    """A project folder, its store or one of its model files cannot be used."""


class EffortError(CostalError):
    """An effort event arrived in a state that cannot take it."""


class DatasetError(CostalError):
    """A data set of the paper's experiment is missing or unreadable."""


def in_one_line(error: BaseException) -> str:
    """Return the kind of an error and its message, for a sentence about it."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
