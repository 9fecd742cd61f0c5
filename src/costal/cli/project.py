"""``costal project``: make a project, and say what is in one."""

from pathlib import Path
from typing import Annotated

import typer

from costal.errors import ProjectError
from costal.labels.models import load_newest
from costal.labels.project import create_project, load_project
from costal.labels.store import Store


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(no_args_is_help=True, help="Make a project, say what is in it, check it.")
    for command in (new, info, check):
        commands.command()(command)
    app.add_typer(commands, name="project")


Folder = Annotated[Path, typer.Argument(help="The project's folder.")]


def new(
    folder: Folder,
    classes: Annotated[str, typer.Option("--classes", help="Class names, comma-separated.")] = "class 1,class 2",
) -> None:
    """Make a new project in an empty or new folder."""
    project = create_project(folder, tuple(name.strip() for name in classes.split(",")))
    print(f"Made {folder} with classes {', '.join(each.name for each in project.classes)}")


def info(folder: Folder) -> None:
    """Say which classes, labels and models a project has."""
    project = load_project(folder)
    with Store(project.store_path, read_only=True) as store:
        labels = store.labels()
        presentations = len(store.presented())
    print(f"{project.name}: {len(labels)} labelled crops, {presentations} presentations")
    for each in project.classes:
        count = sum(label.class_id == each.id for label in labels)
        print(f"  [{each.key}] {each.name}: {count}")
    newest = load_newest(project.model_folder)
    print(f"  model {newest.number}, trained on {newest.agent.label_count} labels" if newest else "  no model yet")


def check(folder: Folder) -> None:
    """Check that the store is whole; exit code 1 and what is wrong when it is not."""
    with Store(load_project(folder).store_path, read_only=True) as store:
        wrong = store.check()
    if wrong:
        raise ProjectError(f"{folder} is damaged: {'; '.join(wrong)}. Restore labels.sqlite from a backup.")
    print(f"{folder} is whole.")
