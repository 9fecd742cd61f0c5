"""The committee's peers: what a user would write, or install, to ask T dropout passes how informative crops are (BALD).

Each takes Gal's network as `costal` builds it, and crops on its device, and returns I (N,). All are asked for `BATCH`
crops at once, which serves them better than more or fewer. They compute in float32, as they come; one plain loop has
the precision and the memory layout that `costal` uses on the device.
"""

import importlib.util
import io
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from costal.types import Floats

if TYPE_CHECKING:
    from costal.agent.networks import Network

BATCH = 32
Ask = Callable[["Network", Any, int], Floats]


@dataclass(frozen=True, slots=True)
class CommitteePeer:
    """Another way to ask a committee: its name, the package it needs (none: only torch), and the way."""

    name: str
    package: str
    ask: Ask

    @property
    def is_here(self) -> bool:
        """Whether its package is installed."""
        return not self.package or importlib.util.find_spec(self.package) is not None


def plain_loop(network: "Network", crops: Any, passes: int) -> Floats:
    """Return I by the whole network run once for each pass, with the dropout of torch."""
    import torch

    whole = with_dropout(network)
    whole.train()
    with torch.inference_mode():
        return _bald_of_batches(crops, lambda batch: [whole(batch) for _ in range(passes)])


def plain_loop_alike(network: "Network", crops: Any, passes: int) -> Floats:
    """Return I by the plain loop in the precision and the memory layout that ours has on this device."""
    import torch

    from costal.agent.devices import fast_dtype

    whole = with_dropout(network).to(memory_format=torch.channels_last)
    whole.train()
    dtype = fast_dtype(str(crops.device))
    crops = crops.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast(crops.device.type, dtype, enabled=dtype is not torch.float32):
        return _bald_of_batches(crops, lambda batch: [whole(batch).float() for _ in range(passes)])


def trunk_once(network: "Network", crops: Any, passes: int) -> Floats:
    """Return I by the trunk run once, and the rest once for each pass, with the dropout of torch."""
    import torch
    from torch.nn.functional import dropout

    from costal.agent.networks import FEATURE_DROP, HIDDEN_DROP

    def of(batch: Any) -> list[Any]:
        features = network.trunk(batch)
        hidden = [torch.relu(network.hidden(dropout(features, FEATURE_DROP))) for _ in range(passes)]
        return [network.output(dropout(each, HIDDEN_DROP)) for each in hidden]

    with torch.inference_mode():
        return _bald_of_batches(crops, of)


def baal_default(network: "Network", crops: Any, passes: int) -> Floats:
    """Return I as baal does unless told otherwise: each batch is repeated in memory, once for each pass."""
    return _by_baal(network, crops, passes, caching=False)


def baal_caching(network: "Network", crops: Any, passes: int) -> Floats:
    """Return I by baal's `MCCachingModule`, which keeps what a layer gave for the input of the pass before."""
    return _by_baal(network, crops, passes, caching=True)


def batchbald(network: "Network", crops: Any, passes: int) -> Floats:
    """Return I by batchbald_redux: masks that all crops of a batch share, the trunk run once, as its author advises."""
    import torch
    from batchbald_redux.batchbald import compute_conditional_entropy, compute_entropy
    from batchbald_redux.consistent_mc_dropout import BayesianModule, ConsistentMCDropout

    from costal.agent.networks import FEATURE_DROP, HIDDEN_DROP

    class Head(BayesianModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.rest = torch.nn.Sequential(
                ConsistentMCDropout(FEATURE_DROP),
                network.hidden,
                torch.nn.ReLU(),
                ConsistentMCDropout(HIDDEN_DROP),
                network.output,
            )

        def mc_forward_impl(self, features: Any) -> Any:
            return self.rest(features).log_softmax(-1)

    head = Head().eval()  # in which state it draws its masks once
    with torch.inference_mode():
        found = [head(network.trunk(batch), passes) for batch in crops.split(BATCH)]
        log_probs_N_T_K = torch.cat(found)
        with redirect_stderr(io.StringIO()):  # it draws bars
            information_N = compute_entropy(log_probs_N_T_K) - compute_conditional_entropy(log_probs_N_T_K)
    return np.asarray(information_N, dtype=np.float32)


PEERS = (
    CommitteePeer("baal", "baal", baal_default),
    CommitteePeer("baal, MCCachingModule", "baal", baal_caching),
    CommitteePeer("batchbald_redux", "batchbald_redux", batchbald),
    CommitteePeer("plain loop", "", plain_loop),
    CommitteePeer("plain loop, as tuned", "", plain_loop_alike),
    CommitteePeer("trunk once, then a loop", "", trunk_once),
)


def _by_baal(network: "Network", crops: Any, passes: int, caching: bool) -> Floats:
    from baal.active.heuristics import BALD
    from baal.bayesian.caching_utils import MCCachingModule
    from baal.bayesian.dropout import MCDropoutModule
    from baal.modelwrapper import ModelWrapper, TrainingArgs

    model = MCDropoutModule(with_dropout(network))
    model = MCCachingModule(model) if caching else model
    settings = TrainingArgs(batch_size=BATCH, use_cuda=crops.is_cuda, replicate_in_memory=not caching)
    asked = ModelWrapper(model, settings)
    asked.eval()
    probs = [asked.predict_on_batch(batch, passes).softmax(1).cpu().numpy() for batch in crops.split(BATCH)]
    return np.asarray(BALD().compute_score(np.concatenate(probs)), dtype=np.float32)


def with_dropout(network: "Network") -> Any:
    """Return the network as one sequence of layers, with dropout where Gal has it."""
    import torch

    from costal.agent.networks import FEATURE_DROP, HIDDEN_DROP

    return torch.nn.Sequential(
        network.trunk,
        torch.nn.Dropout(FEATURE_DROP),
        network.hidden,
        torch.nn.ReLU(),
        torch.nn.Dropout(HIDDEN_DROP),
        network.output,
    )


def _bald_of_batches(crops: Any, logits_of: Callable[[Any], list[Any]]) -> Floats:
    """Return I (N,) of crops by the logits of all passes that `logits_of` gives for a batch."""
    import torch

    from costal.agent.acquisition import bald

    found = [bald(torch.stack(logits_of(batch)).softmax(-1)) for batch in crops.split(BATCH)]
    information_N: Floats = torch.cat(found).cpu().numpy()
    return information_N
