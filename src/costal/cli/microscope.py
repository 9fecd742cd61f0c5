"""``costal microscope``: a simulated microscope that writes frames into a folder."""

from pathlib import Path
from typing import Annotated

import typer

from costal.cli.progress import ProgressBar
from costal.errors import FrameError
from costal.frames.microscope import acquire, next_number

ENDLESS = 10**9


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(microscope)


def microscope(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write to, created if missing.")],
    frames: Annotated[int, typer.Option(min=1, max=100_000, help="Frames to acquire.")] = 10,
    every: Annotated[float, typer.Option(min=0, max=86_400, help="Seconds from one frame to the next.")] = 5.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated frames.")] = 0,
    shape: Annotated[int, typer.Option(min=16, max=16_384, help="Height and width of a frame in pixels.")] = 512,
    crop: Annotated[int, typer.Option(min=8, help="Side of the crops that each show one class, in pixels.")] = 64,
    planes: Annotated[int, typer.Option(min=1, max=100, help="Z planes of a frame, written one by one.")] = 1,
    preallocate: Annotated[
        bool, typer.Option("--preallocate", help="Create each file in full size first, then write the planes.")
    ] = False,
    forever: Annotated[bool, typer.Option("--forever", help="Continue until Ctrl-C.")] = False,
) -> None:
    """Write simulated STED frames as OME-TIFF into a folder, slowly, as a microscope would: for demos and tests.

    Numbering continues after the frames in the folder. Ctrl-C ends it and removes the unfinished frame.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FrameError(f"{folder} cannot be made ({error.strerror}). Choose another folder.") from error
    first = next_number(folder)
    step_s = every / planes  # what a plane takes, so that a frame takes `every`
    job = acquire(
        folder,
        ENDLESS if forever else frames,
        (shape, shape),
        crop,
        planes=planes,
        seed=seed,
        first=first,
        preallocate=preallocate,
        pause_s=step_s,
        plane_pause_s=step_s,
    )
    try:
        with ProgressBar() as bar:
            bar.drain(job)
    except KeyboardInterrupt:
        if not forever:
            raise
    finally:
        print(f"{next_number(folder) - first} frames written to {folder}")
