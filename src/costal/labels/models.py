"""Model files: the agent's weights as safetensors, with a JSON card beside them. Pickles are never loaded."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load, save

import costal
from costal.errors import ProjectError
from costal.labels.project import write_atomically
from costal.types import Agent, AgentSettings, CostModel, Training, Weights

CARD_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Generation:
    """A saved agent: its number counts up from 1."""

    number: int
    agent: Agent


def save_agent(folder: Path, agent: Agent) -> Generation:
    """Return the agent as the next generation, written to disk; the card comes last and makes it count."""
    number = 1 + max(_numbers(folder), default=0)
    tensors = {f"classifier.{name}": array for name, array in (agent.classifier or {}).items()}
    if agent.cost_model is not None:
        tensors |= {f"cost.{name}": array for name, array in agent.cost_model.weights.items()}
    card = {
        "format": CARD_FORMAT,
        "generation": number,
        "software": f"napari-costal {costal.__version__}",
        "settings": asdict(agent.settings),
        "crop_shape": agent.crop_shape,
        "label_count": agent.label_count,
        "effort_count": agent.cost_model.effort_count if agent.cost_model else 0,
        "annotators": agent.cost_model.annotators if agent.cost_model else None,
        "notes": agent.notes,
        "shapes": {name: array.shape for name, array in tensors.items()},
    }
    folder.mkdir(exist_ok=True)
    write_atomically(_model_path(folder, number), save(tensors))
    write_atomically(_card_path(folder, number), json.dumps(card, indent=1, ensure_ascii=False).encode())
    return Generation(number, agent)


def load_newest(folder: Path) -> Generation | None:
    """Return the newest saved agent, None when there is none.

    Raises
    ------
    ProjectError
        When its file is not safetensors (a pickle, say), is damaged, or does not have the shapes of its card.
    """
    numbers = _numbers(folder)
    return load_generation(folder, max(numbers)) if numbers else None


def load_generation(folder: Path, number: int) -> Generation:
    """Return one saved agent; raises as `load_newest`."""
    path = _card_path(folder, number)
    card = _read_card(path)
    try:
        return Generation(number, _agent_of(card, _fitting_tensors(card, _model_path(folder, number))))
    except (KeyError, TypeError, AttributeError) as error:
        raise ProjectError(f"{path} is not a model card ({error!r}). Delete it and train again.") from error


def _fitting_tensors(card: dict[str, Any], path: Path) -> Weights:
    """Return the arrays of a model file, which must have the shapes of its card."""
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
    return tensors


def _agent_of(card: dict[str, Any], tensors: Weights) -> Agent:
    classifier = _under("classifier.", tensors)
    cost_weights = _under("cost.", tensors)
    settings = card["settings"] | {
        "training": Training(**card["settings"]["training"]),
        "acquisition_cost_K": tuple(card["settings"]["acquisition_cost_K"]),
        "class_ids": tuple(card["settings"]["class_ids"]),
    }
    cost_model = CostModel(cost_weights, tuple(card["annotators"]), card["effort_count"]) if cost_weights else None
    return Agent(
        AgentSettings(**settings),
        tuple(card["crop_shape"]),
        classifier or None,
        cost_model,
        card["label_count"],
        tuple(card["notes"]),
    )


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
            f"{path} is not a safetensors file ({error}). It was not opened any further, for a pickle can run code. "
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


def _under(prefix: str, tensors: Weights) -> Weights:
    return {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}


def _numbers(folder: Path) -> list[int]:
    return [int(path.stem) for path in folder.glob("*.json") if path.stem.isdecimal()]


def _model_path(folder: Path, number: int) -> Path:
    return folder / f"{number:04}.safetensors"


def _card_path(folder: Path, number: int) -> Path:
    return folder / f"{number:04}.json"
