"""The classifier: trained on labels, asked as a committee for information or as one mean network for classes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from costal.agent.acquisition import ACQUISITION_FUNCTIONS
from costal.agent.backbones import inputs_of, taught
from costal.agent.cards import members_of, passes_of, training_of
from costal.agent.committee import Committee
from costal.agent.devices import (
    CPU_BATCH,
    BatchSetup,
    choose_device,
    first_batch_setup,
    in_batches,
    prepare_for_inference,
    to_device,
)
from costal.agent.heads import State, fit_heads, on_features
from costal.agent.networks import Network, initialise, load_weights, standardise, to_weights
from costal.agent.training import TrainingTask, fit
from costal.errors import AgentError
from costal.seeds import seed_for
from costal.types import Agent, Answer, Floats, Job, Training, Weights

BATCH = 256
"""Crops that a CPU asks a committee about at once: with fewer, reading the heads' weights would count."""


def build_classifiers(agent: Agent) -> list[Network]:
    """Return the networks of an agent's ensemble, or raise AgentError when its weights do not fit."""
    networks = []
    for weights in agent.classifier:
        network = Network(agent.input_shape, agent.settings.class_count)
        load_weights(network, weights)
        networks.append(network.eval())
    return networks


def reason_no_classifier(class_indices: list[int]) -> str:
    """Return why a committee is refused with labels of these classes, or an empty string when it is not."""
    classes, labels = len(set(class_indices)), len(class_indices)
    if classes >= 2:
        return ""
    return (
        f"The classifier needs labels of at least two classes; so far there {'is' if labels == 1 else 'are'} {labels} "
        f"label{'' if labels == 1 else 's'} of {classes} class{'' if classes == 1 else 'es'}. "
        "Label crops of another class."
    )


class ClassifierTask(nn.Module):
    """The loss of a classifier on a batch: cross entropy, each class with its weight."""

    def __init__(self, network: Network, weight_K: torch.Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("weight_K", weight_K)

    def forward(
        self, inputs: torch.Tensor, feature_mask: torch.Tensor, hidden_mask: torch.Tensor, class_B: torch.Tensor
    ) -> torch.Tensor:
        """Return the mean loss."""
        outputs = self.network.head(self.network.trunk(inputs), feature_mask, hidden_mask)
        return F.cross_entropy(outputs.float(), class_B, weight=self.get_buffer("weight_K"))


def classifier_tasks(agent: Agent, answers: Sequence[Answer], seed: int) -> list[TrainingTask]:
    """Return what each member of an agent's ensemble learns from the answers that have a label.

    With a frozen backbone the answers have features.

    Raises
    ------
    AgentError
        When fewer than two classes have labels, or the agent's weights do not fit.
    """
    labelled = [answer for answer in answers if answer.class_index is not None]
    classes = [int(answer.class_index) for answer in labelled if answer.class_index is not None]
    if reason_no_classifier(classes):
        raise AgentError(reason_no_classifier(classes))
    settings = agent.settings
    inputs_N = taught(agent, labelled)
    even = torch.ones(settings.class_count)
    weight_K = class_weights(classes, settings.class_count) if training_of(agent).class_weights else even
    tasks = []
    for member in range(members_of(agent)):
        own = seed_for(seed, "member", member) if member else seed
        network = Network(inputs_N.shape[1:] if agent.backbone is None else agent.input_shape, settings.class_count)
        initialise(network, torch.Generator().manual_seed(seed_for(own, "classifier weights")))
        standardise(network, inputs_N)
        module = ClassifierTask(network, weight_K.clone())
        tasks.append(TrainingTask(module, inputs_N, (torch.tensor(classes),), seed_for(own, "classifier training")))
    return tasks


def stacked_cross_entropy(state: State, outputs_M_B_K: torch.Tensor, targets: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return each member's loss (M,): what `ClassifierTask` is for one."""
    (class_M_B,) = targets
    log_probs = outputs_M_B_K.log_softmax(-1).gather(2, class_M_B[..., None])[..., 0]
    weight_M_B = state["weight_K"].gather(1, class_M_B)
    return -(weight_M_B * log_probs).sum(1) / weight_M_B.sum(1)


def train_classifiers(tasks: Sequence[TrainingTask], training: Training, device: str) -> Job[list[Weights]]:
    """Return the weights of each lesson's classifier, trained together (see `training.fit`)."""
    message = "Training the classifier"
    if on_features(tasks[0].module):
        yield from fit_heads(tasks, training, device, message, stacked_cross_entropy)
    else:
        yield from fit(tasks, training, device, message)
    networks = [task.module.network for task in tasks]
    return [to_weights(network) for network in networks if isinstance(network, Network)]


def class_weights(class_indices: list[int], class_count: int) -> torch.Tensor:
    """Return weights (K,) with which every labelled class counts alike: labels / (classes x labels of the class)."""
    counts = Counter(class_indices)
    weights = [len(class_indices) / (len(counts) * counts[k]) if counts[k] else 0.0 for k in range(class_count)]
    return torch.tensor(weights, dtype=torch.float32)


@dataclass(frozen=True, slots=True)
class CommitteeOutput:
    """What a committee says of crops: I, its mean class probabilities, and the trunk's features projected."""

    information_N: Floats
    probs_N_K: Floats
    features_N_F: Floats


def ask_committee(agent: Agent, inputs_N: Floats, seed: int, device: str) -> Job[tuple[CommitteeOutput, BatchSetup]]:
    """Return what the committee says of each crop, given as pixels or as features, and the footing it ended on.

    Raises
    ------
    AgentError
        When the agent has no classifier, with the reason, or its weights do not fit the crops.
    """
    if not agent.classifier:
        raise AgentError("The committee cannot predict. " + " ".join(agent.notes or ("It is not trained yet.",)))
    committee = Committee(build_classifiers(agent), passes_of(agent), seed)
    inputs_N = yield from inputs_of(agent, inputs_N, device)
    acquisition = ACQUISITION_FUNCTIONS[agent.settings.acquisition]

    def attempt(crops: Floats, there: BatchSetup) -> tuple[torch.Tensor, ...]:
        features_M = committee.features(crops, there.device)
        probs_T_B_K = committee.probs(features_M)
        return acquisition(probs_T_B_K), probs_T_B_K.mean(0), committee.projected(features_M)

    batch_setup = first_batch_setup(device, len(inputs_N), agent.input_shape, BATCH)
    outputs, batch_setup = yield from in_batches(inputs_N, batch_setup, attempt, "Predicting with the committee")
    return CommitteeOutput(*outputs), batch_setup


def classify(agent: Agent, inputs_N: Floats, device: str = "auto") -> Job[Floats]:
    """Return the class probabilities (N, K) of the mean network (nothing dropped), averaged over the ensemble.

    Crops are given as pixels or as features.

    Raises
    ------
    AgentError
        When the agent has no classifier yet.
    """
    if not agent.classifier:
        raise AgentError("There is no classifier yet. Label crops of two classes and train first.")
    networks, device = build_classifiers(agent), choose_device(device)
    inputs_N = yield from inputs_of(agent, inputs_N, device)

    def attempt(crops: Floats, there: BatchSetup) -> tuple[torch.Tensor]:
        for network in networks:
            prepare_for_inference(network, there.device)
        with torch.inference_mode():
            batch = to_device(crops, there.device)
            return (torch.stack([network(batch).softmax(-1) for network in networks]).mean(0),)

    batch_setup = first_batch_setup(device, len(inputs_N), agent.input_shape, CPU_BATCH)
    (probs_N_K,), _ = yield from in_batches(inputs_N, batch_setup, attempt, "Classifying")
    return probs_N_K
