"""The table of all commands. A command's module is imported only when it runs or shows its own help."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True, slots=True)
class Entry:
    """A command, or a group of them: the module that registers it, and the first sentence of its help."""

    module: str
    summary: str


TABLE: dict[str, Entry] = {
    "demo": Entry(
        "demo",
        "Show active learning on MNIST, or on synthetic digits if MNIST is not found, beside random selection.",
    ),
    "mnist": Entry("mnist", "Show where MNIST is, or download it."),
    "open": Entry("frame", "Open napari with the Label crops widget, these images and this project."),
    "score": Entry(
        "frame",
        "Score the crops of an image with a project's newest model and write I, C, v and the query's ranks as CSV.",
    ),
    "query": Entry("frame", "Write the crops of an image that are worth labelling next, best first."),
    "train": Entry("frame", "Retrain a project's classifier and cost model on all its labels and efforts."),
    "apply": Entry("apply", "Classify every crop of images with a project's newest model."),
    "export": Entry("exchange", "Write the labels of a project for another program."),
    "import": Entry(
        "exchange",
        "Make a new project from a JSON file of an earlier version: the same settings, labels, events and crops.",
    ),
    "label": Entry("exchange", "Label crops from a CSV file: all its rows, or none if one is wrong."),
    "microscope": Entry(
        "microscope",
        "Write simulated STED frames as OME-TIFF into a folder, slowly, as a microscope would: for demos and tests.",
    ),
    "experiment": Entry(
        "reproduce",
        "Compare settings (arms) of your choice on digits, on simulated STED fields, or on a labelled project.",
    ),
    "replay": Entry(
        "replay",
        "Simulate how much time another β, acquisition function or backbone would have saved on a project's labels.",
    ),
    "backbone": Entry("backbone", "List the networks that models can use, and add or download others."),
    "project": Entry(
        "project", "Make a project, show what is in it, find its images, check it, repair it and pack it."
    ),
    "reproduce": Entry("reproduce", "Reproduce the paper: Table 1, Figure 1, and their base costs."),
}


class Loaded(Mapping[str, Any]):
    """The commands by name, each imported when it is looked up."""

    def __getitem__(self, name: str) -> Any:
        group = typer.Typer()
        import_module(f"costal.cli.{TABLE[name].module}").register(group)
        return typer.main.get_group(group).commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(TABLE)

    def __len__(self) -> int:
        return len(TABLE)


class Commands(TyperGroup):
    """All commands: listed from the table, loaded when one of them runs."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = Loaded()

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names, in the order of the table."""
        return list(TABLE)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return what a list of commands shows of one, None if there is no such command."""
        return TyperCommand(cmd_name, help=TABLE[cmd_name].summary) if cmd_name in TABLE else None

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the name, the command itself and the arguments that are left for it."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, self.commands[name] if name in TABLE else listed, rest
