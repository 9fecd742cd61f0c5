"""The classifier: trained on labels, asked as a committee for information or as one mean network for classes."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from costal.agent.acquisition import ACQUISITION_FUNCTIONS
from costal.agent.committee import Committee
from costal.agent.devices import Footing, choose_device, in_batches
from costal.agent.networks import Network, initialise, load_weights, to_weights
from costal.agent.training import fit
from costal.errors import AgentError
from costal.seeds import seed_for
from costal.types import Agent, AgentSettings, Answer, Floats, Job, Weights

BATCH = 256


def build_classifier(crop_shape: tuple[int, int, int], class_count: int, weights: Weights) -> Network:
    """Return the network of these weights, or raise AgentError when they do not fit."""
    network = Network(crop_shape, class_count)
    load_weights(network, weights)
    return network.eval().to(memory_format=torch.channels_last)


def why_refused(class_indices: list[int]) -> str:
    """Return why a committee is refused with labels of these classes, or an empty string when it is not."""
    classes, labels = len(set(class_indices)), len(class_indices)
    if classes >= 2:
        return ""
    return (
        f"A committee needs labels of at least two classes; so far there {'is' if labels == 1 else 'are'} {labels} "
        f"label{'' if labels == 1 else 's'} of {classes} class{'' if classes == 1 else 'es'}. "
        "Label crops of another class."
    )


def train_classifier(
    answers: list[Answer], settings: AgentSettings, before: Weights | None, seed: int, device: str
) -> Job[Weights]:
    """Return the weights of a classifier trained on all answers that have a label.

    From scratch, or with ``settings.training.warm`` from `before`.

    Raises
    ------
    AgentError
        When `before` does not fit, fewer than two classes have labels, or training diverges.
    """
    labelled = [answer for answer in answers if answer.class_index is not None]
    classes = [int(answer.class_index) for answer in labelled if answer.class_index is not None]
    if why_refused(classes):
        raise AgentError(why_refused(classes))
    crops = np.stack([answer.crop_C_H_W for answer in labelled])
    network = Network(crops.shape[1:], settings.class_count)
    initialise(network, torch.Generator().manual_seed(seed_for(seed, "classifier weights")))
    if settings.training.warm and before is not None:
        load_weights(network, before)
    network.to(device)
    targets = torch.tensor(classes, device=device)
    weight = class_weights(classes, settings.class_count).to(device) if settings.training.class_weights else None

    def loss(outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(outputs, targets[rows], weight=weight)

    yield from fit(
        network,
        [{"params": network.parameters()}],
        crops,
        loss,
        settings.training,
        seed_for(seed, "classifier training"),
        device,
        "Training the classifier",
    )
    return to_weights(network)


def class_weights(class_indices: list[int], class_count: int) -> torch.Tensor:
    """Return weights (K,) with which every labelled class counts alike: labels / (classes x labels of the class)."""
    counts = Counter(class_indices)
    weights = [len(class_indices) / (len(counts) * counts[k]) if counts[k] else 0.0 for k in range(class_count)]
    return torch.tensor(weights, dtype=torch.float32)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a committee says of crops: I, its mean class probabilities, and the trunk's features projected."""

    information_N: Floats
    probs_N_K: Floats
    features_N_F: Floats


def ask_committee(agent: Agent, crops_N_C_H_W: Floats, seed: int, device: str) -> Job[tuple[Opinion, Footing]]:
    """Return what the committee says of each crop, and the footing that the work ended on.

    Raises
    ------
    AgentError
        When the agent has no classifier, with the reason, or its weights do not fit the crops.
    """
    if agent.classifier is None:
        raise AgentError("The committee cannot be asked. " + " ".join(agent.notes or ("It has not learned yet.",)))
    network = build_classifier(agent.crop_shape, agent.settings.class_count, agent.classifier)
    committee = Committee(network, agent.settings.passes, seed)
    acquisition = ACQUISITION_FUNCTIONS[agent.settings.acquisition]

    def attempt(crops: Floats, there: Footing) -> tuple[Floats, Floats, Floats]:
        features_F_B = committee.features(crops, there.device)
        probs_T_B_K = committee.probs(features_F_B)
        found = acquisition(probs_T_B_K), probs_T_B_K.mean(0), committee.projected(features_F_B)
        information_B, probs_B_K, features_B_P = (each.cpu().numpy() for each in found)
        return information_B, probs_B_K, features_B_P

    found, footing = yield from in_batches(crops_N_C_H_W, Footing(device, BATCH), attempt, "Asking the committee")
    return Opinion(*(np.concatenate(each) for each in zip(*found, strict=True))), footing


def classify(agent: Agent, crops_N_C_H_W: Floats, device: str = "auto") -> Job[Floats]:
    """Return the class probabilities (N, K) of the mean network (nothing dropped).

    Raises
    ------
    AgentError
        When the agent has no classifier yet.
    """
    if agent.classifier is None:
        raise AgentError("There is no classifier yet. Label crops of two classes and train first.")
    network = build_classifier(agent.crop_shape, agent.settings.class_count, agent.classifier)

    def attempt(crops: Floats, there: Footing) -> Floats:
        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(crops)).to(there.device)
            probs: Floats = network.to(there.device)(batch).softmax(-1).cpu().numpy()
            return probs

    probs_N_K, _ = yield from in_batches(crops_N_C_H_W, Footing(choose_device(device), BATCH), attempt, "Classifying")
    return np.concatenate(probs_N_K)
