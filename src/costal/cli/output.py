"""The output of a command: text for people, or with ``--json`` one JSON object for programs."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def tell(text: str, figures: Mapping[str, object], as_json: bool) -> None:
    """Print the text, or the same as one line of strict JSON; paths become text, NaN and infinity null."""
    # As escapes only, because the code page of a Windows terminal has no β.
    print(json.dumps(_plain(figures), default=str, allow_nan=False) if as_json else text)


def warn(notes: Iterable[tuple[str, str]]) -> None:
    """Print notes, each after the name of the frame that it is about, on the error output; equal ones once."""
    names: dict[str, dict[str, None]] = {}
    for name, note in notes:
        names.setdefault(note, {})[name] = None
    for note, own in names.items():
        print(f"{next(iter(own)) if len(own) == 1 else f'{len(own)} frames'}: {note}", file=sys.stderr)


def _plain(entry: object) -> object:
    if isinstance(entry, float):
        return entry if abs(entry) < float("inf") else None
    if isinstance(entry, Mapping):
        return {str(key): _plain(each) for key, each in entry.items()}
    if isinstance(entry, list | tuple):
        return [_plain(each) for each in entry]
    return entry
