"""What a command says: a text for people, or with ``--json`` one object for programs."""

import json
from collections.abc import Mapping
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def tell(text: str, figures: Mapping[str, object], as_json: bool) -> None:
    """Print the text, or the same as one line of strict JSON; paths become text, NaN and infinity null."""
    # In escapes alone, for the code page of a Windows terminal has no β.
    print(json.dumps(_plain(figures), default=str, allow_nan=False) if as_json else text)


def _plain(entry: object) -> object:
    if isinstance(entry, float):
        return entry if abs(entry) < float("inf") else None
    if isinstance(entry, Mapping):
        return {str(key): _plain(each) for key, each in entry.items()}
    if isinstance(entry, list | tuple):
        return [_plain(each) for each in entry]
    return entry
