"""Writes the second half of ``docs/command-line.md``: every command with its arguments and options.

Usage: ``python -m tests.reference``. All words come from the commands themselves; what stands above the mark in the
page is written by hand and stays.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from costal.cli import make_app

PAGE = Path(__file__).resolve().parents[1] / "docs" / "command-line.md"
MARK = "<!-- Made by `python -m tests.reference` from here on. -->"
HEAD = ["| argument or option | default | what it is |", "|---|---|---|"]
WORDS = {"Path": "PATH", "int": "N", "float": "NUMBER"}


def commands() -> Iterator[tuple[str, Any]]:
    """Yield each command that can be run, by its whole name, in the order of ``costal --help``."""
    yield from _below("costal", typer.main.get_command(make_app()))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    members = getattr(command, "commands", None)
    if members is None:
        yield name, command
        return
    for member in members:
        yield from _below(f"{name} {member}", members[member])


def options_of(command: Any) -> list[str]:
    """Return all spellings of a command's options, such as ``-n`` and ``--overwrite``."""
    return [spelling for each in command.params for spelling in _spellings(each) if spelling.startswith("-")]


def _spellings(parameter: Any) -> list[str]:
    return [*parameter.opts, *parameter.secondary_opts]


def section(name: str, command: Any) -> str:
    """Return what the page says of one command, as Markdown."""
    paragraphs = [" ".join(text.split()) for text in inspect.cleandoc(command.help).split("\n\n")]
    kinds = {each.name: each.annotation for each in inspect.signature(command.callback).parameters.values()}
    rows = [_row(each, kinds.get(each.name)) for each in command.params if not each.hidden]
    return "\n\n".join([f"### `{name}`", *paragraphs, *(["\n".join([*HEAD, *rows])] if rows else [])])


def _row(parameter: Any, annotation: Any) -> str:
    kind = _bare(annotation)
    if parameter.param_type_name == "argument":
        spelled = f"`{parameter.name.upper()}{' …' if parameter.nargs == -1 else ''}`"
    else:
        word = "" if kind is bool else f" {_word(kind)}"
        spelled = " or ".join(f"`{each}{word}`" for each in _spellings(parameter))
    cells = (spelled, _default(parameter), parameter.help or "")
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"


def _bare(annotation: Any) -> Any:
    """Return the type of a parameter without its description and without None."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return next((each for each in get_args(annotation) if get_args(annotation)[-1] is type(None)), annotation)


def _word(kind: Any) -> str:
    return "|".join(get_args(kind)) if get_origin(kind) is Literal else WORDS.get(getattr(kind, "__name__", ""), "TEXT")


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    if isinstance(parameter.default, bool):
        return "on" if parameter.default else ""
    return f"`{parameter.default}`" if parameter.show_default and parameter.default is not None else ""


def page(by_hand: str) -> str:
    """Return the whole page, below what was written by hand."""
    sections = [section(name, command) for name, command in commands()]
    return "\n\n".join([by_hand.partition(MARK)[0].rstrip(), MARK, "## Reference", *sections]) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8", newline="\n")


if __name__ == "__main__":
    main()
