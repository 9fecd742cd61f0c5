"""The cost model: log effort regressed from the crop, one shared spread, a likelihood that knows censoring.

mu = mean + scale x (network(crop) + annotator term + practice term x log(1 + order)); log effort ~ Normal(mu, spread).
A censored effort (at least so long) contributes the probability of exceeding it. A prediction is the log-normal
*mean*, exp(mu + spread^2 / 2), in the unit of the efforts.

With the likelihood ``least_squares`` mu is the effort itself and a prediction is mu: what a plain regression would do,
kept to compare with. It takes a censored effort as if it were measured.

Source: Bernatchez, Durand, Lavoie-Cardinal 2022 (a CNN for the cost); Tobin 1958 (censored likelihood).
"""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from costal.agent.backbones import taught
from costal.agent.devices import CPU_BATCH, BatchSetup, first_batch_setup, in_batches, prepare_for_inference, to_device
from costal.agent.heads import State, fit_heads, on_features
from costal.agent.networks import Network, initialise, load_weights, standardise, to_weights
from costal.agent.training import TrainingTask, fit
from costal.agent.value import COST_FLOOR
from costal.seeds import seed_for
from costal.types import Agent, Answer, CostLikelihood, CostModel, Floats, Job, Pool, Training, Weights

FEWEST_EFFORTS = 10
"""Below this many measured efforts that are not censored, the cost stays uniform."""
LEAST_SPREAD = 0.05
TERM_PENALTY = 0.01
TERM_RATE = 10.0


class CostNetwork(nn.Module):
    """Network and terms of the cost model; `mu` is in log units of effort, or for least squares in units of effort."""

    def __init__(self, input_shape: tuple[int, ...], annotator_count: int, likelihood: CostLikelihood) -> None:
        super().__init__()
        self.likelihood = likelihood
        self.network = Network(input_shape, 1)
        self.log_spread = nn.Parameter(torch.tensor(0.0))
        self.annotator_A = nn.Parameter(torch.zeros(annotator_count))
        self.practice = nn.Parameter(torch.tensor(0.0))
        self.register_buffer("mean", torch.tensor(0.0))
        self.register_buffer("scale", torch.tensor(1.0))

    def mu(self, output_N: Tensor, annotator_N: Tensor, order_N: Tensor) -> Tensor:
        """Return the mean (N,) from the network's output and the presentation's terms."""
        known = annotator_N >= 0
        annotator = torch.where(known, self.annotator_A[annotator_N.clamp(min=0)], self.annotator_A.mean())
        mean, scale = self.get_buffer("mean"), self.get_buffer("scale")
        return mean + scale * (output_N + annotator + self.practice * torch.log1p(order_N))

    def spread(self) -> Tensor:
        """Return the shared standard deviation of log effort, at least `LEAST_SPREAD`."""
        return self.log_spread.exp().clamp(min=LEAST_SPREAD)

    def effort(self, mu_N: Tensor) -> Tensor:
        """Return the predicted effort (N,), at least `COST_FLOOR`."""
        mean = mu_N if self.likelihood == "least_squares" else (mu_N + self.spread() ** 2 / 2).exp()
        return mean.clamp(min=COST_FLOOR)

    def forward(
        self,
        inputs: Tensor,
        feature_mask: Tensor,
        hidden_mask: Tensor,
        target_B: Tensor,
        censored_B: Tensor,
        annotator_B: Tensor,
        order_B: Tensor,
    ) -> Tensor:
        """Return the mean loss of a batch."""
        output_B = self.network.head(self.network.trunk(inputs), feature_mask, hidden_mask)[:, 0].float()
        mu_B = self.mu(output_B, annotator_B, order_B)
        if self.likelihood == "least_squares":
            loss = ((target_B - mu_B) / self.get_buffer("scale")).square().mean()
        else:
            loss = censored_nll(target_B, censored_B, mu_B, self.spread()).mean()
        return loss + TERM_PENALTY * (self.annotator_A.square().sum() + self.practice.square())


def stacked_cost_loss(
    likelihood: CostLikelihood, state: State, outputs_M_B_1: Tensor, targets: Sequence[Tensor]
) -> Tensor:
    """Return each member's loss (M,): what `CostNetwork` is for one, of presentations whose annotators are known."""
    target_M_B, censored_M_B, annotator_M_B, order_M_B = targets
    practice, annotator_M_A, scale = state["practice"][:, None], state["annotator_A"], state["scale"][:, None]
    terms = annotator_M_A.gather(1, annotator_M_B) + practice * torch.log1p(order_M_B)
    mu_M_B = state["mean"][:, None] + scale * (outputs_M_B_1[..., 0] + terms)
    if likelihood == "least_squares":
        loss_M = ((target_M_B - mu_M_B) / scale).square().mean(1)
    else:
        spread = state["log_spread"].exp().clamp(min=LEAST_SPREAD)[:, None]
        loss_M = censored_nll(target_M_B, censored_M_B, mu_M_B, spread).mean(1)
    return loss_M + TERM_PENALTY * (annotator_M_A.square().sum(1) + practice[:, 0].square())


def censored_nll(log_effort_N: Tensor, censored_N: Tensor, mu_N: Tensor, spread: Tensor) -> Tensor:
    """Return the negative log likelihood (N,) of log efforts, of which the censored ones are lower bounds."""
    z = (log_effort_N - mu_N) / spread
    measured = 0.5 * z**2 + spread.log() + 0.5 * math.log(2 * math.pi)
    return torch.where(censored_N, -_log_survival(z), measured)


def _log_survival(z_N: Tensor) -> Tensor:
    """Return log P(Z > z), exact in both tails; `torch.special.log_ndtr` cannot be batched by `vmap`."""
    is_above = z_N > 0
    # Each side sees zeros for the other side's: what overflows there would still be in the gradient.
    above, below = torch.where(is_above, z_N, 0.0), torch.where(is_above, 0.0, z_N)
    far = (torch.special.erfcx(above / math.sqrt(2)) / 2).log() - above**2 / 2
    return torch.where(is_above, far, torch.log1p(-torch.erfc(-below / math.sqrt(2)) / 2))


def usable_efforts(answers: Sequence[Answer]) -> list[Answer]:
    """Return the answers whose effort can teach the cost model."""
    return [answer for answer in answers if answer.effort is not None]


def reason_uniform_cost(answers: Sequence[Answer]) -> str:
    """Return why the cost must stay uniform for now, or an empty string when there are enough efforts."""
    measured = sum(not answer.censored for answer in usable_efforts(answers))
    if measured >= FEWEST_EFFORTS:
        return ""
    return (
        f"All crops get one cost until {FEWEST_EFFORTS} efforts are measured ({measured} so far): β has no effect yet."
    )


def cost_task(agent: Agent, answers: Sequence[Answer], seed: int) -> TrainingTask:
    """Return what an agent's cost model learns, from scratch, from all usable efforts, which must suffice.

    With a frozen backbone the answers have features.
    """
    usable = usable_efforts(answers)
    likelihood = agent.settings.cost_likelihood
    effort = np.maximum([float(answer.effort or 0) for answer in usable], COST_FLOOR)
    target = effort if likelihood == "least_squares" else np.log(effort)
    annotators = annotators_of(answers)
    model = CostNetwork(agent.input_shape, len(annotators), likelihood)
    initialise(model, torch.Generator().manual_seed(seed_for(seed, "cost weights")))
    inputs_N = taught(agent, usable)
    standardise(model.network, inputs_N)
    # A censored effort may be near zero seconds: only measured ones tell where efforts lie.
    measured = target[[not answer.censored for answer in usable]]
    model.get_buffer("mean").fill_(float(measured.mean()))
    model.get_buffer("scale").fill_(float(measured.std()) or 1.0)
    nn.init.constant_(model.log_spread, math.log(max(float(measured.std()), LEAST_SPREAD)))
    targets = (
        torch.tensor(target, dtype=torch.float32),
        torch.tensor([answer.censored for answer in usable]),
        torch.tensor([annotators.index(answer.annotator) for answer in usable]),
        torch.tensor([answer.order for answer in usable], dtype=torch.float32),
    )
    return TrainingTask(model, inputs_N, targets, seed_for(seed, "cost training"))


def annotators_of(answers: Sequence[Answer]) -> tuple[str, ...]:
    """Return who gave usable efforts, in order."""
    return tuple(sorted({answer.annotator for answer in usable_efforts(answers)}))


def train_cost_models(tasks: Sequence[TrainingTask], training: Training, device: str) -> Job[list[Weights]]:
    """Return the weights of each lesson's cost model, trained together (see `training.fit`)."""
    # Adam moves a parameter by about its rate per step: the terms must get as far as log effort reaches.
    rates = dict.fromkeys(("log_spread", "annotator_A", "practice"), TERM_RATE)
    message = "Training the cost model"
    if on_features(tasks[0].module):
        likelihood: CostLikelihood = tasks[0].module.likelihood  # type: ignore[assignment]
        yield from fit_heads(tasks, training, device, message, partial(stacked_cost_loss, likelihood), rates)
    else:
        yield from fit(tasks, training, device, message, rates)
    return [to_weights(task.module) for task in tasks]


def predict_cost(
    cost_model: CostModel, input_shape: tuple[int, ...], pool: Pool, device: str
) -> Job[tuple[Floats, float]]:
    """Return the predicted effort (N,) of a pool and the shared standard deviation of log effort.

    The effort is the log-normal mean for the pool's annotator, at least `COST_FLOOR`. An annotator that the model has
    not seen counts as the average one. The pool's features, or else its crops, have `input_shape`.

    Raises
    ------
    AgentError
        When the model's weights do not fit the crops.
    """
    model = CostNetwork(input_shape, len(cost_model.annotators), cost_model.likelihood)
    load_weights(model, cost_model.weights)
    known = pool.annotator in cost_model.annotators
    annotator = torch.tensor([cost_model.annotators.index(pool.annotator) if known else -1])
    order = torch.tensor([float(pool.order)])
    spread = 0.0 if cost_model.likelihood == "least_squares" else model.spread().item()

    def attempt(crops: Floats, there: BatchSetup) -> tuple[torch.Tensor]:
        model.to(there.device)
        prepare_for_inference(model.network, there.device)
        with torch.inference_mode():
            output = model.network(to_device(crops, there.device))[:, 0]
            mu = model.mu(output, annotator.to(there.device), order.to(there.device))
            return (model.effort(mu),)

    batch_setup = first_batch_setup(device, len(pool.inputs), input_shape, CPU_BATCH)
    (cost_N,), _ = yield from in_batches(pool.inputs, batch_setup, attempt, "Predicting the cost")
    return cost_N, spread
