"""The cost model: log effort regressed from the crop, one shared spread, a likelihood that knows censoring.

mu = mean + scale x (network(crop) + annotator term + practice term x log(1 + order)); log effort ~ Normal(mu, spread).
A censored effort (at least so long) contributes the probability of exceeding it. A prediction is the log-normal
*mean*, exp(mu + spread^2 / 2), in the unit of the efforts.

Source: Bernatchez, Durand, Lavoie-Cardinal 2022 (a CNN for the cost); Tobin 1958 (censored likelihood).
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from costal.agent.devices import Footing, in_batches
from costal.agent.networks import Network, initialise, load_weights, to_weights
from costal.agent.training import fit
from costal.agent.value import COST_FLOOR
from costal.seeds import seed_for
from costal.types import AgentSettings, Answer, CostModel, Floats, Job, Pool

FEWEST_EFFORTS = 10
"""Below this many measured efforts that are not censored, the cost stays uniform."""
LEAST_SPREAD = 0.05
TERM_PENALTY = 0.01
TERM_RATE = 10
BATCH = 512


class CostNetwork(nn.Module):
    """Network and terms of the cost model; `mu` is in log units of effort."""

    def __init__(self, crop_shape: tuple[int, int, int], annotator_count: int) -> None:
        super().__init__()
        self.network = Network(crop_shape, 1)
        self.log_spread = nn.Parameter(torch.tensor(0.0))
        self.annotator_A = nn.Parameter(torch.zeros(annotator_count))
        self.practice = nn.Parameter(torch.tensor(0.0))
        self.register_buffer("mean", torch.tensor(0.0))
        self.register_buffer("scale", torch.tensor(1.0))

    def mu(self, output_N: Tensor, annotator_N: Tensor, order_N: Tensor) -> Tensor:
        """Return the mean log effort (N,) from the network's output and the presentation's terms."""
        known = annotator_N >= 0
        annotator = torch.where(known, self.annotator_A[annotator_N.clamp(min=0)], self.annotator_A.mean())
        mean, scale = self.get_buffer("mean"), self.get_buffer("scale")
        return mean + scale * (output_N + annotator + self.practice * torch.log1p(order_N))

    def spread(self) -> Tensor:
        """Return the shared standard deviation of log effort, at least `LEAST_SPREAD`."""
        return self.log_spread.exp().clamp(min=LEAST_SPREAD)


def censored_nll(log_effort_N: Tensor, censored_N: Tensor, mu_N: Tensor, spread: Tensor) -> Tensor:
    """Return the negative log likelihood (N,) of log efforts, of which the censored ones are lower bounds."""
    z = (log_effort_N - mu_N) / spread
    measured = 0.5 * z**2 + spread.log() + 0.5 * math.log(2 * math.pi)
    return torch.where(censored_N, -torch.special.log_ndtr(-z), measured)


def usable_efforts(answers: list[Answer]) -> list[Answer]:
    """Return the answers whose effort can teach the cost model."""
    return [answer for answer in answers if answer.effort is not None]


def why_uniform(answers: list[Answer]) -> str:
    """Return why the cost must stay uniform for now, or an empty string when there are enough efforts."""
    measured = sum(not answer.censored for answer in usable_efforts(answers))
    if measured >= FEWEST_EFFORTS:
        return ""
    return f"Cost is uniform until {FEWEST_EFFORTS} efforts are measured ({measured} so far): β has no effect yet."


def train_cost_model(answers: list[Answer], settings: AgentSettings, seed: int, device: str) -> Job[CostModel | None]:
    """Return the cost model trained from scratch on all usable efforts, None while there are too few.

    Raises
    ------
    AgentError
        When training diverges.
    """
    if why_uniform(answers):
        return None
    usable = usable_efforts(answers)
    crops = np.stack([answer.crop_C_H_W for answer in usable])
    annotators = tuple(sorted({answer.annotator for answer in usable}))
    log_effort = np.log(np.maximum([float(answer.effort or 0) for answer in usable], COST_FLOOR))
    model = CostNetwork(crops.shape[1:], len(annotators))
    initialise(model, torch.Generator().manual_seed(seed_for(seed, "cost weights")))
    # A censored effort may be near zero seconds: only measured ones tell where log efforts lie.
    measured = log_effort[[not answer.censored for answer in usable]]
    model.get_buffer("mean").fill_(float(measured.mean()))
    model.get_buffer("scale").fill_(float(measured.std()) or 1.0)
    nn.init.constant_(model.log_spread, math.log(max(float(measured.std()), LEAST_SPREAD)))
    model.to(device)
    target = torch.tensor(log_effort, dtype=torch.float32, device=device)
    censored = torch.tensor([answer.censored for answer in usable], device=device)
    annotator = torch.tensor([annotators.index(answer.annotator) for answer in usable], device=device)
    order = torch.tensor([answer.order for answer in usable], dtype=torch.float32, device=device)

    def loss(outputs: Tensor, rows: Tensor) -> Tensor:
        mu = model.mu(outputs[:, 0], annotator[rows], order[rows])
        penalty = model.annotator_A.square().sum() + model.practice.square()
        return censored_nll(target[rows], censored[rows], mu, model.spread()).mean() + TERM_PENALTY * penalty

    # Adam moves a parameter by about its rate per step: the terms must get as far as log effort reaches.
    rate = TERM_RATE * settings.training.learning_rate
    yield from fit(
        model.network,
        [
            {"params": model.network.parameters()},
            {"params": [model.log_spread, model.annotator_A, model.practice], "lr": rate},
        ],
        crops,
        loss,
        settings.training,
        seed_for(seed, "cost training"),
        device,
        "Training the cost model",
    )
    return CostModel(to_weights(model), annotators, len(usable))


def predict_cost(
    cost_model: CostModel, crop_shape: tuple[int, int, int], pool: Pool, device: str
) -> Job[tuple[Floats, float]]:
    """Return the predicted effort (N,) of a pool and the shared standard deviation of log effort.

    The effort is the log-normal mean for the pool's annotator, at least `COST_FLOOR`. An annotator that the model has
    not seen counts as the average one.

    Raises
    ------
    AgentError
        When the model's weights do not fit the crops.
    """
    model = CostNetwork(crop_shape, len(cost_model.annotators))
    load_weights(model, cost_model.weights)
    known = pool.annotator in cost_model.annotators
    annotator = torch.tensor([cost_model.annotators.index(pool.annotator) if known else -1])
    order = torch.tensor([float(pool.order)])
    spread = model.spread().item()

    def attempt(crops: Floats, there: Footing) -> Floats:
        model.to(there.device)
        with torch.inference_mode():
            output = model.network(torch.from_numpy(np.ascontiguousarray(crops)).to(there.device))[:, 0]
            mu = model.mu(output, annotator.to(there.device), order.to(there.device))
            cost: Floats = (mu + model.spread() ** 2 / 2).exp().clamp(min=COST_FLOOR).cpu().numpy()
            return cost

    costs, _ = yield from in_batches(pool.crops_N_C_H_W, Footing(device, BATCH), attempt, "Predicting the cost")
    return np.concatenate(costs), spread
