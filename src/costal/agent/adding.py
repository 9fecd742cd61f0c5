"""Weights that a user brings for a network of timm or torchvision: checked, kept as safetensors, loaded again.

What is kept is what features depend on, in float32; the network's own classifier is left out.
"""

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError
from safetensors.torch import load, save

from costal.agent.added import (
    added_card,
    added_folder,
    how_to_get,
    kept_card,
    other_weights,
    weights_file,
    write_card,
)
from costal.agent.architectures import Architecture, architecture_of
from costal.agent.weights import content_hash, unpickled
from costal.errors import AgentError
from costal.files import explained, write_atomically
from costal.types import BackboneCard

if TYPE_CHECKING:
    from torch import Tensor, nn

PICKLED = (".pth", ".pt", ".bin")
OTHER_FILE = "Use another file, or another name."


@dataclass(frozen=True, slots=True)
class Brought:
    """A file of weights as it came: its name and content, the SHA-256 that it must have or begin with, its terms."""

    file: str
    content: bytes
    sha256: str = ""
    source: str = ""
    licence: str = ""


def read_brought(path: Path, sha256: str = "", source: str = "", licence: str = "") -> Brought:
    """Return the file of a user, not opened yet.

    Raises
    ------
    AgentError
        When it cannot be read, or what should be its SHA-256 is none.
    """
    if sha256 and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise AgentError(f"'{sha256}' is not a SHA-256. Give its 64 hexadecimal digits.")
    try:
        return Brought(path.name, path.read_bytes(), sha256.lower(), source, licence)
    except OSError as error:
        raise AgentError(f"{path} cannot be read: {error.strerror}. Check the path.") from error


def add_backbone(name: str, brought: Brought, overwrite: bool = False, folder: Path | None = None) -> BackboneCard:
    """Return the card of a backbone, its weights kept in the user's data folder from now on.

    Raises
    ------
    AgentError
        When the file has another hash, is none of weights, or does not fit the network, with the first tensor that
        does not; when other weights of this name are here, and not to be overwritten.
    ProjectError
        When it cannot be written; then nothing has changed.
    """
    folder, architecture = folder or added_folder(), architecture_of(name)
    weights = fitting(name, architecture, _opened(brought))
    card = _card(name, architecture, content_hash(weights), brought)
    if not overwrite and kept_card(name, folder) not in (None, card):
        raise other_weights(name)
    file = f"{name.replace(':', '-')}-{card.sha256[:12]}.safetensors"
    _keep(folder / file, save(weights), card)
    for path in folder.glob(f"{name.replace(':', '-')}-????????????.safetensors"):
        if path.name != file:
            _remove(path)
    return card


def _card(name: str, architecture: Architecture, sha256: str, brought: Brought) -> BackboneCard:
    own = hashlib.sha256(brought.content).hexdigest()
    return BackboneCard(
        name,
        architecture.version,
        architecture.feature_count,
        architecture.side,
        architecture.mean,
        architecture.std,
        sha256,
        f"{brought.source or 'a file of the user'} ({brought.file}, SHA-256 {own})",
        brought.licence or "not stated",
    )


def _keep(path: Path, content: bytes, card: BackboneCard) -> None:
    """Write weights and then their card; when that fails, new weights are not left behind."""
    is_new = not path.exists()
    with explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_atomically(path, content)
        write_card(card, path.name, path.parent)
    except BaseException:
        if is_new:
            _remove(path)
        raise


def load_added(card: BackboneCard, folder: Path | None = None) -> "nn.Module":
    """Return what makes features (B, F) of standardised images, as a card says that was read here or elsewhere.

    Raises
    ------
    AgentError
        When its weights are not on this machine, are others here, or are damaged.
    """
    here = added_card(card.name, folder)
    if here.sha256 != card.sha256:
        raise AgentError(
            f"'{card.name}' has other weights on this machine than the model: their SHA-256 begins with "
            f"{here.sha256[:12]}, the model's with {card.sha256[:12]}. Add the weights that the model was trained with "
            f"({card.source}), or train again."
        )
    architecture = architecture_of(card.name)
    if (architecture.version, architecture.feature_count) != (card.version, card.feature_count):
        raise AgentError(
            f"'{card.name}' computes other features in this version than before ({card.version}; now "
            f"{architecture.version}). Add its weights again, then train again."
        )
    path = weights_file(card.name, folder)
    try:
        weights = load(path.read_bytes())
    except (OSError, SafetensorError, ValueError) as error:
        raise AgentError(f"{path} is missing or damaged ({error}). {how_to_get(card.name)}") from error
    if content_hash(weights) != card.sha256:
        raise AgentError(f"{path} was changed since it was added. {how_to_get(card.name)}")
    architecture.network.load_state_dict(weights, strict=False)  # counts of batches, which nothing uses, are not kept
    return architecture.extract


def fitting(name: str, architecture: Architecture, weights: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Return those of a file's tensors that the features depend on, in float32.

    Raises
    ------
    AgentError
        When one of them is missing, has another shape or holds what is no number; when the network knows one of the
        file's tensors not at all. Names the first.
    """
    needed, unfit = architecture.needed(), f"These are not weights of '{name}'"
    for tensor, shape in needed.items():
        if tensor not in weights:
            raise AgentError(f"{unfit}: {tensor}, one of {len(needed)} tensors, is missing. {OTHER_FILE}")
        if tuple(weights[tensor].shape) != shape:
            raise AgentError(f"{unfit}: {tensor} has shape {tuple(weights[tensor].shape)}, not {shape}. {OTHER_FILE}")
    unknown = next((each for each in weights if each not in architecture.known), None)
    if unknown is not None:
        raise AgentError(f"{unfit}: the network has no {unknown}. {OTHER_FILE}")
    own = {tensor: weights[tensor].float().contiguous() for tensor in needed}
    broken = next((tensor for tensor, each in own.items() if not each.isfinite().all()), None)
    if broken is not None:
        raise AgentError(f"{unfit}: {broken} contains values that are not finite numbers. {OTHER_FILE}")
    return own


def _opened(brought: Brought) -> "Mapping[str, Tensor]":
    """Return the tensors of a file by name; a pickle is opened only with its hash, and without running code."""
    kind = Path(brought.file).suffix.lower()
    own = hashlib.sha256(brought.content).hexdigest()
    if kind in PICKLED:
        if not brought.sha256:
            raise AgentError(
                f"{brought.file} is a pickle file, which can run code. Give its publisher's SHA-256 with --sha256, "
                "so that only the published file is opened, or use a safetensors file."
            )
        return unpickled(brought.content, brought.sha256, brought.file, "Get it again, or use safetensors.")
    if kind != ".safetensors":
        raise AgentError(f"{brought.file} does not have the name of a weights file. Use .safetensors or {PICKLED[0]}.")
    if not own.startswith(brought.sha256):
        raise AgentError(
            f"{brought.file} is damaged or is another file: its SHA-256 begins with {own[:12]}, not with "
            f"{brought.sha256[:12]}. Get it again."
        )
    try:
        weights: dict[str, Tensor] = load(brought.content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise AgentError(
            f"{brought.file} is not a safetensors file, or is cut short ({error}). Get it again."
        ) from error
    return weights


def _remove(path: Path) -> None:
    """Delete a file; what somebody reads just now (Windows) stays, and counts for nothing."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
