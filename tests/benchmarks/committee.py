"""The committee beside its peers, interleaved in one run: what it takes, whether it says the same, and the limit."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import spearmanr

from costal.loop import learn, new_agent
from costal.paper.datasets import load_dataset
from costal.paper.plan import PROTOCOL
from costal.paper.sources import Dataset
from costal.seeds import rng_for, seed_for
from costal.types import Agent, AgentSettings, Floats, Job, Progress, finish
from tests.benchmarks.committee_peers import BATCH, PEERS, CommitteePeer, trunk_once
from tests.benchmarks.limit import Limit, limit_of
from tests.benchmarks.machine import Figures, machine
from tests.benchmarks.overhead import Overhead, measure_overhead
from tests.benchmarks.peers import Lot
from tests.benchmarks.stopwatch import timed, unit_on

if TYPE_CHECKING:
    from costal.agent.networks import Network

OURS = "costal"
LABELS = 100
OVERHEAD_SIDE = 128
AGREEMENT_CROPS, AGREEMENT_SEEDS = 100, 40


@dataclass(frozen=True, slots=True)
class CommitteeRequest:
    """What is compared: committees of so many passes, asked about so many crops of each shape (channels, side, crops).

    The first shape is that of the digits of `data`, on which agreement is judged too; on the others a network with
    weights as they are drawn is asked about noise, for time does not depend on what crops show.
    """

    passes: int = 50
    shapes: tuple[tuple[int, int, int], ...] = ((1, 28, 1000), (1, 64, 300), (3, 64, 300), (1, 128, 150), (4, 128, 150))
    repeats: int = 3
    device: str = "auto"
    data: str = "auto"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """What one way took for the crops of one shape: median, least and most of the repeats; `ratio` is to ours."""

    channels: int
    side: int
    crops: int
    name: str
    seconds: float
    least: float
    most: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """Whether I (BALD) has the mean and the spread, over mask seeds, that ordinary dropout gives it.

    `within` is the share of crops whose means are within two standard errors (0.95 where nothing differs);
    `spread_ratio` the median ratio of standard deviations, ours over theirs.
    """

    crops: int
    seeds: int
    within: float
    spread_ratio: float


@dataclass(frozen=True, slots=True)
class CommitteeFigures(Figures):
    """What the comparison came to; seconds are in `unit`.

    `of_limit` is how many times our time is that of the limit as measured in the same turn, the median over turns.
    `rank_correlation` is Spearman's, by acquisition function, of our I to that of float64 under the same masks.
    `missing` names the peers whose packages are not installed.
    """

    request: CommitteeRequest
    unit: str
    threads: int
    rows: tuple[Row, ...]
    limits: tuple[Limit, ...]
    of_limit: tuple[float, ...]
    agreement: Agreement
    rank_correlation: dict[str, float]
    overhead: Overhead
    missing: tuple[str, ...]


def compare_committee(request: CommitteeRequest) -> Job[CommitteeFigures]:
    """Return what asking a committee takes, by us and by each peer that is installed, in turns on one thread.

    Raises
    ------
    CostalError
        When the device or the data are not here.
    """
    from costal.agent.devices import choose_device, on_threads

    request = replace(request, device=choose_device(request.device))
    dataset = load_dataset(request.data)
    here = machine(request.device, dataset.fingerprint)
    rows: list[Row] = []
    limits: list[Limit] = []
    of_limit: list[float] = []
    with on_threads(1):
        yield Progress(0, len(request.shapes), "Training the network that is asked")
        digits = _trained(dataset, request)
        for number, (channels, side, _) in enumerate(request.shapes):
            agent = digits if number == 0 else _untrained(channels, side, request)
            crops = _crops(dataset, request, number)
            found, limit, times = yield from _repeated(agent, crops, request, number)
            rows += found
            limits.append(limit)
            of_limit.append(times)
        yield Progress(len(request.shapes), len(request.shapes), "Comparing what they say")
        crops = _crops(dataset, request, 0)
        agreement = _agreement(digits, crops[:AGREEMENT_CROPS], request)
        ranks = _rank_correlation(digits, crops, request)
        overhead = measure_overhead(OVERHEAD_SIDE, request.passes, request.device, request.seed)
    summed = _summed(rows, request)
    return CommitteeFigures(
        here,
        request,
        unit_on(request.device),
        1,
        summed,
        tuple(limits),
        tuple(of_limit),
        agreement,
        ranks,
        overhead,
        tuple(peer.name for peer in PEERS if not peer.is_here),
    )


def _trained(dataset: Dataset, request: CommitteeRequest) -> Agent:
    """Return an agent that has learned from some labels of the data."""
    rng = rng_for(request.seed, "labels")
    lot = Lot(*dataset.take(rng.permutation(dataset.train_size)[:LABELS]), request.seed)
    settings = AgentSettings(len(dataset.class_names), PROTOCOL, acquisition="bald", passes=request.passes)
    return finish(learn(new_agent(settings, dataset.crop_shape), lot.answers, lot.seed, request.device))


def _untrained(channels: int, side: int, request: CommitteeRequest) -> Agent:
    """Return an agent with weights as they are drawn, for crops of another shape."""
    import torch

    from costal.agent.networks import Network, initialise, to_weights

    network = Network((channels, side, side), 10)
    initialise(network, torch.Generator().manual_seed(seed_for(request.seed, channels, side)))
    settings = AgentSettings(10, acquisition="bald", passes=request.passes)
    return Agent(settings, (channels, side, side), (to_weights(network),))


def _crops(dataset: Dataset, request: CommitteeRequest, number: int) -> Floats:
    channels, side, count = request.shapes[number]
    if number == 0:
        return dataset.test()[0][:count]
    rng = rng_for(request.seed, "crops", number)
    return rng.random((count, channels, side, side), dtype=np.float32)


def _network(agent: Agent) -> "Network":
    from costal.agent.classifier import build_classifiers

    return build_classifiers(agent)[0]


def _repeated(
    agent: Agent, crops: Floats, request: CommitteeRequest, number: int
) -> Job[tuple[list[Row], Limit, float]]:
    """Return what each way took in each repeat, the limit's median, and how many times our time is that of it."""
    rows: list[Row] = []
    turns: list[tuple[float, Limit]] = []
    count, side = len(crops), crops.shape[-1]
    for repeat in range(request.repeats):
        yield Progress(number, len(request.shapes), f"{count} crops of {side} px, repeat {repeat + 1}")
        of_repeat = _turns(agent, crops, request, repeat)
        limit = limit_of(_network(agent), count, request.passes, side, request.device)
        turns.append((next(row.seconds for row in of_repeat if row.name == OURS), limit))
        rows += of_repeat
    middle = sorted((limit for _, limit in turns), key=lambda limit: limit.seconds)[len(turns) // 2]
    return rows, middle, statistics.median(took / limit.seconds for took, limit in turns)


def _turns(agent: Agent, crops: Floats, request: CommitteeRequest, repeat: int) -> list[Row]:
    """Return what each way takes once, in an order that changes from repeat to repeat."""
    ways: list[str | CommitteePeer] = [OURS, *(peer for peer in PEERS if peer.is_here)]
    first = repeat % len(ways)
    return [_turn(way, agent, crops, request) for way in ways[first:] + ways[:first]]


def _turn(way: str | CommitteePeer, agent: Agent, crops: Floats, request: CommitteeRequest) -> Row:
    import torch

    device = request.device
    if isinstance(way, CommitteePeer):
        network = _network(agent).to(device)
        there = torch.from_numpy(crops).to(device)
        way.ask(network, there[:BATCH], 2)  # what is set up once
        _, spent = timed(lambda: way.ask(network, there, request.passes), device)
        name = way.name
    else:
        _ask(agent, crops[:BATCH], 0, device)
        _, spent = timed(lambda: _ask(agent, crops, 0, device), device)
        name = way
    seconds = spent.on(device)
    return Row(crops.shape[1], crops.shape[2], len(crops), name, seconds, seconds, seconds, 1.0)


def _ask(agent: Agent, crops: Floats, seed: int, device: str) -> Floats:
    from costal.agent.classifier import ask_committee

    output, _ = finish(ask_committee(agent, crops, seed, device))
    return output.information_N


def _summed(rows: Sequence[Row], request: CommitteeRequest) -> tuple[Row, ...]:
    """Return one row for each shape and way, over the repeats, the dearest first."""
    summed = []
    for channels, side, _ in request.shapes:
        own = [row for row in rows if (row.channels, row.side) == (channels, side)]
        took = {name: [row.seconds for row in own if row.name == name] for name in {row.name for row in own}}
        ours = statistics.median(took[OURS])
        middle = {name: statistics.median(each) for name, each in took.items()}
        summed += [
            replace(
                own[0],
                name=name,
                seconds=middle[name],
                least=min(took[name]),
                most=max(took[name]),
                ratio=middle[name] / ours,
            )
            for name in sorted(took, key=lambda name: -middle[name])
        ]
    return tuple(summed)


def _agreement(agent: Agent, crops: Floats, request: CommitteeRequest) -> Agreement:
    import torch

    network, there = _network(agent), torch.from_numpy(crops)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(request.seed)
        theirs = np.stack([trunk_once(network, there, request.passes) for _ in range(AGREEMENT_SEEDS)])
    ours = np.stack([_ask(agent, crops, seed, request.device) for seed in range(AGREEMENT_SEEDS)])
    error_N = np.sqrt((ours.var(0, ddof=1) + theirs.var(0, ddof=1)) / AGREEMENT_SEEDS)
    within = float(np.mean(abs(ours.mean(0) - theirs.mean(0)) <= 2 * error_N))
    return Agreement(len(crops), AGREEMENT_SEEDS, within, float(np.median(ours.std(0) / theirs.std(0))))


def _rank_correlation(agent: Agent, crops: Floats, request: CommitteeRequest) -> dict[str, float]:
    import torch

    from costal.agent.acquisition import ACQUISITION_FUNCTIONS
    from costal.agent.committee import Committee

    found = []
    for device, dtype in (("cpu", torch.float64), (request.device, None)):
        network = _network(agent).to(torch.float64 if dtype else torch.float32)
        committee = Committee([network], request.passes, request.seed, dtype)
        found.append(committee.probs(committee.features(crops, device)).cpu())
    exact, ours = found
    return {
        name: float(spearmanr(function(exact).numpy(), function(ours).numpy()).statistic)
        for name, function in ACQUISITION_FUNCTIONS.items()
    }
