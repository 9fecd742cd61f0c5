"""Backbones that the user added on this machine: their names and cards, read without torch.

Weights that a user brought are no cache, so they lie in the user's data folder: safetensors, and beside them a JSON
card that is named after the network. The card is written last and makes them count.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import platformdirs

from costal.errors import AgentError
from costal.files import write_atomically
from costal.types import ADDED_BACKBONE, BackboneCard

CARD_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Download:
    """Weights that can be fetched: a file of `DOWNLOADS_FROM`, the beginning of its SHA-256, its size and licence."""

    file: str
    sha256: str
    mebibytes: float
    licence: str


DOWNLOADS_FROM = "https://download.pytorch.org/models/"
TERMS = "BSD-3-Clause (torchvision); its README says that the terms of ImageNet may apply to the weights"
DOWNLOADS = {
    "torchvision:resnet18": Download("resnet18-f37072fd.pth", "f37072fd", 44.7, TERMS),
    "torchvision:resnet50": Download("resnet50-11ad3fa6.pth", "11ad3fa6", 97.8, TERMS),
    "torchvision:convnext_tiny": Download("convnext_tiny-983f1562.pth", "983f1562", 109.1, TERMS),
    "torchvision:mobilenet_v3_small": Download("mobilenet_v3_small-047dcff4.pth", "047dcff4", 9.8, TERMS),
}
"""By backbone. The file's name has the first eight hexadecimal digits of its hash, as published."""


def added_folder() -> Path:
    """Return the folder that holds what the user added."""
    return platformdirs.user_data_path("napari-costal") / "backbones"


def added_names(folder: Path | None = None) -> tuple[str, ...]:
    """Return the names of the backbones that were added, in order; what else lies there is passed over."""
    names = (path.stem.replace("-", ":", 1) for path in (folder or added_folder()).glob("*.json"))
    return tuple(sorted(name for name in names if ADDED_BACKBONE.fullmatch(name)))


def added_card(name: str, folder: Path | None = None) -> BackboneCard:
    """Return the card of a backbone that was added.

    Raises
    ------
    AgentError
        When it was not, or its card cannot be read, with the remedy.
    """
    return _read(name, folder or added_folder())[0]


def kept_card(name: str, folder: Path | None = None) -> BackboneCard | None:
    """Return the card of a backbone that was added, None when it was not, or its card is of no use any more."""
    if name not in added_names(folder):
        return None
    with suppress(AgentError):
        return added_card(name, folder)
    return None


def weights_file(name: str, folder: Path | None = None) -> Path:
    """Return the file with the weights of a backbone that was added; raises as `added_card`."""
    folder = folder or added_folder()
    return folder / _read(name, folder)[1]


def write_card(card: BackboneCard, file: str, folder: Path) -> None:
    """Write the card of weights that lie in a file of the folder: from now on they count."""
    document = {"format": CARD_FORMAT, "weights": file, **asdict(card)}
    write_atomically(_card_path(card.name, folder), json.dumps(document, indent=1, ensure_ascii=False).encode())


def how_to_get(name: str) -> str:
    """Return the sentence that tells how weights come onto this machine."""
    add = f"'costal backbone add FILE --name {name}'"
    if name in DOWNLOADS:
        return (
            f"Download them with 'costal backbone download {name}', add a file with {add}, or choose another backbone."
        )
    return f"Add them with {add}, or choose another backbone."


def other_weights(name: str) -> AgentError:
    """Return the error that refuses to put weights in the place of others."""
    return AgentError(
        f"This machine has other weights of '{name}', and models that were trained with them need them. Add "
        "--overwrite to replace them."
    )


def _card_path(name: str, folder: Path) -> Path:
    return folder / f"{name.replace(':', '-')}.json"


def _read(name: str, folder: Path) -> tuple[BackboneCard, str]:
    path = _card_path(name, folder)
    try:
        document = json.loads(path.read_text("utf-8"))
        if document["format"] > CARD_FORMAT:
            raise AgentError(f"{path} was written by a newer version. Update napari-costal.")
        entries = {each.name: document[each.name] for each in fields(BackboneCard)}
        entries |= {key: int(entries[key]) for key in ("feature_count", "side")}
        card = BackboneCard(**entries | {key: tuple(map(float, entries[key])) for key in ("mean", "std")})
        file = document["weights"]
        if card.name != name or Path(file).name != file:
            raise ValueError("it describes other weights")
    except FileNotFoundError as error:
        raise AgentError(f"The weights of '{name}' are not on this machine. {how_to_get(name)}") from error
    except OSError as error:
        raise AgentError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise AgentError(f"{path} is not a backbone card ({error}). Delete it. {how_to_get(name)}") from error
    return card, file
