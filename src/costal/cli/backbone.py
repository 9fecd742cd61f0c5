"""``costal backbone``: list networks, add one from a file, download one."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from costal.agent.added import DOWNLOADS, added_folder
from costal.cli.output import AsJson, tell
from costal.cli.progress import ProgressBar
from costal.types import BackboneCard


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(
        no_args_is_help=True, help="List the networks that models can use, and add or download others."
    )
    for command in (add, download):
        commands.command()(command)
    commands.command("list")(list_backbones)
    app.add_typer(commands, name="backbone")


Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace other weights with this name.")]


def add(
    file: Annotated[Path, typer.Argument(help="Weights: safetensors, or .pth together with --sha256.")],
    name: Annotated[str, typer.Option(help="The network: timm:NAME or torchvision:NAME.")],
    sha256: Annotated[str, typer.Option(help="The SHA-256 that the file must have; a .pth needs it.")] = "",
    licence: Annotated[str, typer.Option(help="The licence of the weights, stored with them.")] = "",
    source: Annotated[str, typer.Option(help="The source of the weights, stored with them.")] = "",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Add a network of timm or torchvision with your own weights; they are checked, copied, and never run as code."""
    from costal.agent.adding import add_backbone, read_brought

    _tell(add_backbone(name, read_brought(file, sha256, source, licence), overwrite), as_json)


def download(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(DOWNLOADS)}.")],
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Download the weights of a network from its publisher, check their hash and add them."""
    from costal.agent.downloads import address_of, download_backbone, known_download

    known = known_download(name)
    typer.echo(
        f"{address_of(known)}: {known.mebibytes:g} MiB, SHA-256 {known.sha256}…, licence: {known.licence}", err=True
    )
    with ProgressBar() as bar:
        card = bar.drain(download_backbone(name, overwrite), name)
    _tell(card, as_json)


def list_backbones(as_json: AsJson = False) -> None:
    """List the networks that models can use on this machine, and measure the time per crop of each."""
    from costal.agent.listing import CROP, listed_backbones
    from costal.paper.environment import processor

    with ProgressBar() as bar:
        listed = bar.drain(listed_backbones())
    lines = [f"CPU ms: on one thread, for a grey crop of {CROP} px, on {processor()}"]
    for each in listed:
        if each.missing:
            lines.append(f"{each.name}: missing. {each.missing}")
            continue
        lines.append(
            f"{each.name}: {each.feature_count} features per channel at {each.side} px, {each.cpu_ms:.2f} CPU ms per "
            f"crop; licence: {each.licence}"
        )
    absent = [name for name in DOWNLOADS if name not in {each.name for each in listed}]
    lines += [f"Download with 'costal backbone download NAME': {', '.join(absent)}"] * bool(absent)
    lines.append(f"Added networks are in {added_folder()}")
    figures = {
        "backbones": [asdict(each) for each in listed],
        "crop_px": CROP,
        "processor": processor(),
        "downloads": absent,
        "folder": added_folder(),
    }
    tell("\n".join(lines), figures, as_json)


def _tell(card: BackboneCard, as_json: bool) -> None:
    text = (
        f"Added {card.name}: {card.feature_count} features per channel at {card.side} px, licence: {card.licence}\n"
        f"from {card.source}"
    )
    tell(text, asdict(card) | {"folder": added_folder()}, as_json)
