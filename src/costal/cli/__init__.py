"""The command line: the only place that prints."""

import io
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from costal.errors import CostalError

if TYPE_CHECKING:
    import typer


def make_app() -> "typer.Typer":
    """Return the command line with all its commands; none of their modules is imported yet."""
    import typer

    from costal.cli.commands import Commands

    app = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        help="Cost-sensitive active learning: label the crops that teach the most for the least effort.",
    )
    app.callback()(_commands)
    return app


def _commands() -> None:
    """Make the command line a group even though nothing is registered with it."""


def main() -> None:
    """Run ``costal``."""
    run(make_app)


def run(make: Callable[[], "typer.Typer"]) -> None:
    """Run a command line; an expected failure is one sentence on the error stream and exit code 1."""
    # A waiting torch thread must not spin: on a busy machine it would slow training by an order of magnitude.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a Windows code page has no β
    try:
        make()()
    except CostalError as error:
        print(f"costal: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except OSError as error:
        if error.filename is None:  # not caused by a path
            raise
        print(f"costal: {error.filename} cannot be used: {error.strerror}. Check the path.", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("costal: stopped.", file=sys.stderr)
        raise SystemExit(130) from None
