"""Weights fetched on a user's command, and only then: a few known files, checked by hash, kept as added ones are."""

import os
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

from costal.agent.added import DOWNLOADS, DOWNLOADS_FROM, Download, kept_card, other_weights
from costal.errors import AgentError
from costal.types import BackboneCard, Job, Progress

FROM = "COSTAL_WEIGHTS_URL"
"""The environment variable that names a mirror, which has the same files."""
PIECE = 1 << 18
MEBI = 1 << 20
PATIENCE_S = 30.0


def known_download(name: str) -> Download:
    """Return what can be fetched for a backbone.

    Raises
    ------
    AgentError
        When nothing is known for it.
    """
    if name not in DOWNLOADS:
        raise AgentError(
            f"The weights of '{name}' cannot be downloaded here, only those of {', '.join(DOWNLOADS)}. For others, get "
            f"the file and run 'costal backbone add FILE --name {name}'."
        )
    return DOWNLOADS[name]


def address_of(download: Download) -> str:
    """Return where a file is fetched from."""
    return os.environ.get(FROM, DOWNLOADS_FROM).rstrip("/") + f"/{download.file}"


def download_backbone(name: str, overwrite: bool = False, folder: Path | None = None) -> Job[BackboneCard]:
    """Return the card of a backbone whose weights were fetched; yields progress in bytes. Closed, it leaves nothing.

    What was fetched before is not fetched again, unless it is to be overwritten.

    Raises
    ------
    AgentError
        When nothing is known for this name, or other weights of it are here and not to be overwritten; when the network
        or the server fails; when another file comes.
    ProjectError
        When it cannot be written.
    """
    download = known_download(name)
    older = None if overwrite else kept_card(name, folder)
    if older is not None:
        if f"({download.file}, SHA-256 {download.sha256}" in older.source:
            return older
        raise other_weights(name)
    address = address_of(download)
    pieces, got, size = [], 0, round(download.mebibytes * MEBI)
    with closing(_pieces(address, size)) as arriving:
        for piece, total in arriving:
            pieces.append(piece)
            got += len(piece)
            yield Progress(got, max(got, total), f"Downloading {download.file}")
    yield Progress(got, got, "Checking")
    from costal.agent.adding import Brought, add_backbone

    brought = Brought(download.file, b"".join(pieces), download.sha256, address, download.licence)
    return add_backbone(name, brought, overwrite, folder)


def _pieces(address: str, size: int) -> Generator[tuple[bytes, int]]:
    """Yield what a server sends, piece by piece, with the number of bytes that it announced."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import urlopen

    remedy = "Try again later, or get the file elsewhere and add it with 'costal backbone add'."
    try:
        with urlopen(address, timeout=PATIENCE_S) as answer:
            total, got = int(answer.headers.get("Content-Length") or size), 0
            while piece := answer.read(PIECE):
                got += len(piece)
                if got > 2 * size:
                    raise AgentError(f"{address} sends more than the {size / MEBI:.1f} MiB that it should. {remedy}")
                yield piece, total
    except HTTPError as error:
        raise AgentError(
            f"{address} cannot be downloaded: the server says {error.code} {error.reason}. {remedy}"
        ) from (error)
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise AgentError(f"{address} cannot be downloaded: {reason}. Check the network connection. {remedy}") from error
    if got < total:
        raise AgentError(f"{address} was cut short: {got:,} of {total:,} bytes arrived. {remedy}")
