"""``costal mnist``: find MNIST, or download it."""

from pathlib import Path
from typing import Annotated

import typer

from costal.errors import DatasetError
from costal.paper.datasets import download_mnist, find_mnist, user_cache, where_to_put


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(mnist)


def mnist(
    download: Annotated[
        bool, typer.Option("--download", help="Download MNIST into the user's cache, or into --data.")
    ] = False,
    data: Annotated[Path | None, typer.Option(help="Folder to look in, or to download to.")] = None,
) -> None:
    """Show where MNIST is, or download it. Without --download nothing leaves this machine."""
    root = find_mnist(data)
    if root is None and download:
        download_mnist(data or user_cache())
        root = find_mnist(data)
    if root is None:
        raise DatasetError(
            f"MNIST was not found. Run 'costal mnist --download', or: {where_to_put(data or user_cache())}"
        )
    print(f"MNIST is in {root / 'MNIST' / 'raw'}")
