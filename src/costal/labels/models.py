"""Model generations: the agent's weights as safetensors, with a JSON card beside them. Pickles are never loaded.

A card holds exactly what the model was trained on and how: the ids of the labels that stood, settings, seed, metrics.
Rolling back saves an older generation again as the newest, so nothing is ever overwritten.
"""

import hashlib
import json
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load, save

import costal
from costal.errors import ProjectError
from costal.files import write_atomically
from costal.types import Agent, AgentSettings, BackboneCard, CostModel, Training, Weights

CARD_FORMAT = 2
LATER = ("pixel_um", "low_C", "high_C", "recipe")
"""Of an origin what versions after the first put beside it, where older ones do not refuse it."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """How a model came to be: the ids of the labels that stood, the seed, figures of merit, and when (UTC, ns).

    `copy_of` is the generation that was rolled back to, 0 for a trained one. `pixel_um` are the pixel sizes of the
    frames that the labels are from, most labels first; empty when unknown, as in cards of older versions. `low_C` and
    `high_C` are the range that a project normalises all its frames with from this model on; empty where each frame has
    its own. `recipe` is what it was made from (see `labels.recipes`), empty in cards of older versions.
    """

    label_ids: tuple[int, ...] = ()
    seed: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    utc_ns: int = 0
    copy_of: int = 0
    pixel_um: tuple[float, ...] = ()
    low_C: tuple[float, ...] = ()
    high_C: tuple[float, ...] = ()
    recipe: str = ""

    def is_stale(self, standing: Collection[int]) -> bool:
        """Return whether it was trained on a label that has been taken back or replaced since."""
        return not set(self.label_ids) <= set(standing)


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A saved agent: its number counts up from 1; `model_hash` is the SHA-256 of its file, empty for an unsaved one."""

    number: int
    agent: Agent
    provenance: Provenance = field(default_factory=Provenance)
    model_hash: str = ""


def save_agent(
    folder: Path, agent: Agent, provenance: Provenance = Provenance(), keep: int | None = None
) -> ModelVersion:
    """Return the agent as the next generation, written to disk; the card comes last and makes it count.

    With `keep` only so many of the newest generations stay.
    """
    number = 1 + newest_number(folder)
    tensors = {
        f"{_member(place)}{name}": array
        for place, weights in enumerate(agent.classifier)
        for name, array in weights.items()
    }
    if agent.cost_model is not None:
        tensors |= {f"cost.{name}": array for name, array in agent.cost_model.weights.items()}
    content = save(tensors)
    provenance = replace(provenance, utc_ns=time.time_ns())
    model_hash = hashlib.sha256(content).hexdigest()
    card = {
        "format": CARD_FORMAT,
        "generation": number,
        "software": f"napari-costal {costal.__version__}",
        "settings": asdict(agent.settings),
        "crop_shape": agent.crop_shape,
        "is_rgb": agent.is_rgb,
        "backbone": asdict(agent.backbone) if agent.backbone else None,
        "precision": agent.precision if agent.backbone else agent.settings.training.precision,
        "label_count": agent.label_count,
        "effort_count": agent.cost_model.effort_count if agent.cost_model else 0,
        "annotators": agent.cost_model.annotators if agent.cost_model else None,
        "notes": agent.notes,
        "origin": {key: entry for key, entry in asdict(provenance).items() if key not in LATER},
        **{key: getattr(provenance, key) for key in LATER},
        "model_hash": model_hash,
        "shapes": {name: array.shape for name, array in tensors.items()},
    }
    folder.mkdir(exist_ok=True)
    write_atomically(_model_path(folder, number), content)
    write_atomically(_card_path(folder, number), json.dumps(card, indent=1, ensure_ascii=False).encode())
    for old in sorted(_numbers(folder))[:-keep] if keep else ():
        _discard(folder, old)
    return ModelVersion(number, agent, provenance, model_hash)


def _discard(folder: Path, number: int) -> None:
    """Delete a generation, the card first; what somebody reads just now (Windows) goes the next time."""
    with suppress(OSError):
        _card_path(folder, number).unlink(missing_ok=True)
        _model_path(folder, number).unlink(missing_ok=True)


def roll_back(folder: Path, number: int) -> ModelVersion:
    """Return an older generation saved again as the newest.

    Raises
    ------
    ProjectError
        When there is no such generation, or it cannot be read or written.
    """
    if number not in _numbers(folder):
        kept = ", ".join(map(str, sorted(_numbers(folder)))) or "none"
        raise ProjectError(f"There is no model {number} in {folder}. Choose one that is kept: {kept}.")
    version = load_version(folder, number)
    return save_agent(folder, version.agent, replace(version.provenance, copy_of=number))


def kept_versions(folder: Path) -> list[ModelVersion]:
    """Return the generations on disk, newest first, that can be read."""
    versions = []
    for number in sorted(_numbers(folder), reverse=True):
        with suppress(ProjectError):
            versions.append(load_version(folder, number))
    return versions


def newest_number(folder: Path) -> int:
    """Return the number of the newest generation on disk, 0 when there is none."""
    return max(_numbers(folder), default=0)


def newest_provenance(folder: Path) -> Provenance | None:
    """Return how the newest model came to be, read from its card alone; None when there is none.

    Raises
    ------
    ProjectError
        When the card cannot be read.
    """
    numbers = _numbers(folder)
    if not numbers:
        return None
    path = _card_path(folder, max(numbers))
    try:
        return _origin_of(_read_card(path))
    except (TypeError, ValueError, AttributeError) as error:
        raise ProjectError(f"{path} is not a model card ({error!r}). Delete it and train again.") from error


def load_newest(folder: Path) -> ModelVersion | None:
    """Return the newest saved agent, None when there is none.

    Raises
    ------
    ProjectError
        When its file is not safetensors (a pickle, say), is damaged, or is not the one that its card tells of.
    """
    numbers = _numbers(folder)
    return load_version(folder, max(numbers)) if numbers else None


def load_version(folder: Path, number: int) -> ModelVersion:
    """Return one saved agent; raises as `load_newest`."""
    path = _card_path(folder, number)
    card = _read_card(path)
    try:
        agent = _agent_of(card, _fitting_tensors(card, _model_path(folder, number)))
        return ModelVersion(number, agent, _origin_of(card), card.get("model_hash", ""))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProjectError(f"{path} is not a model card ({error!r}). Delete it and train again.") from error


def _fitting_tensors(card: dict[str, Any], path: Path) -> Weights:
    """Return the arrays of a model file, which must be the one that its card tells of."""
    tensors = load_weights_file(path)
    shapes = {name: list(array.shape) for name, array in tensors.items()}
    if shapes != card["shapes"]:
        name = next(
            name for name in shapes.keys() | card["shapes"].keys() if shapes.get(name) != card["shapes"].get(name)
        )
        raise ProjectError(
            f"{path} does not fit its card: {name} has shape {shapes.get(name)}, not {card['shapes'].get(name)}. "
            "Delete both files and train again; the labels are untouched."
        )
    if card.get("model_hash", "") not in ("", hashlib.sha256(path.read_bytes()).hexdigest()):
        raise ProjectError(
            f"{path} was changed after it was saved: it does not fit its card, the .json file beside it. Delete both "
            "files and train again; the labels are untouched."
        )
    return tensors


def _origin_of(card: dict[str, Any]) -> Provenance:
    origin = card.get("origin", {})
    numbers = (key for key in LATER if key != "recipe")
    later: dict[str, Any] = {key: tuple(float(each) for each in card.get(key, ())) for key in numbers}
    later["recipe"] = str(card.get("recipe", ""))
    return Provenance(**origin | {"label_ids": tuple(origin.get("label_ids", ()))} | later)


def _known_to(settings: type[AgentSettings | Training], entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a card that are settings today: an older or newer version may have had others."""
    known = {each.name for each in fields(settings)}
    return {key: entry for key, entry in entries.items() if key in known}


def _agent_of(card: dict[str, Any], tensors: Weights) -> Agent:
    classifier = tuple(takewhile(bool, (_under(_member(place), tensors) for place in count())))
    cost_weights = _under("cost.", tensors)
    likelihood = card["settings"].get("cost_likelihood", "log_normal")
    cost_model = (
        CostModel(cost_weights, tuple(card["annotators"]), card["effort_count"], likelihood) if cost_weights else None
    )
    return Agent(
        settings_of(card["settings"]),
        tuple(card["crop_shape"]),
        classifier,
        cost_model,
        card["label_count"],
        tuple(card["notes"]),
        backbone_of(card.get("backbone")),
        card.get("is_rgb", False),
        card["precision"] if card.get("backbone") else "float32",
    )


def settings_of(written: Mapping[str, Any]) -> AgentSettings:
    """Return an agent's settings from the entries that a card or a recipe has of them."""
    settings = _known_to(AgentSettings, written) | {
        "training": Training(**_known_to(Training, written["training"])),
        "acquisition_cost_K": tuple(written["acquisition_cost_K"]),
        "class_ids": tuple(written["class_ids"]),
    }
    return AgentSettings(**settings)


def backbone_of(written: Mapping[str, Any] | None) -> BackboneCard | None:
    """Return what a model sees through; one from before there was a choice has its own CNN."""
    if written is None:
        return None
    return BackboneCard(**{**written, **{key: tuple(written[key]) for key in ("mean", "std")}})


def load_weights_file(path: Path) -> Weights:
    """Return the arrays of a safetensors file by name.

    Raises
    ------
    ProjectError
        When the file is missing or anything but safetensors.
    """
    try:
        return dict(load(path.read_bytes()))
    except FileNotFoundError as error:
        raise ProjectError(f"{path} is missing. Delete its card and train again; the labels are untouched.") from error
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise ProjectError(
            f"{path} is not a safetensors file ({error}). It was not opened, because a pickle can run code. "
            "Delete it and train again; the labels are untouched."
        ) from error


def _read_card(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(path.read_text("utf-8"))
        if card["format"] > CARD_FORMAT:
            raise ProjectError(
                f"{path} was written by a newer version. Update napari-costal, or delete it and train again."
            )
        return dict(card)
    except OSError as error:
        raise ProjectError(f"{path} cannot be read: {error.strerror}. Choose another model, or train again.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ProjectError(f"{path} is not a model card ({error}). Delete it and train again.") from error


def _member(place: int) -> str:
    """Return what the names of an ensemble member's arrays begin with."""
    return f"classifier{place}." if place else "classifier."


def _under(prefix: str, tensors: Weights) -> Weights:
    return {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}


def _numbers(folder: Path) -> list[int]:
    return [int(path.stem) for path in folder.glob("*.json") if path.stem.isdecimal()]


def _model_path(folder: Path, number: int) -> Path:
    return folder / f"{number:04}.safetensors"


def _card_path(folder: Path, number: int) -> Path:
    return folder / f"{number:04}.json"
