"""What each decision brings to one training of the paper's experiment, and to its test.

Run ``OMP_WAIT_POLICY=PASSIVE python -m tests.benchmarks.one_training``: prints JSON and keeps it as
``resources/benchmarks/one-training.json``. Each way is measured in processes of its own, in turns, in CPU seconds on
one thread: 150 steps on 500 images of MNIST, and a test of 10,000. All but bfloat16 give the same up to rounding.
"""

import json
import os
import statistics
import subprocess
import sys
from dataclasses import replace
from typing import Any

from costal.agent import classifier, training
from costal.agent.devices import on_threads
from costal.paper.datasets import load_dataset
from costal.paper.plan import PROTOCOL
from costal.types import finish
from tests.benchmarks.peers import Tuning, train_in_turn
from tests.benchmarks.stalls import kept, machine
from tests.benchmarks.stopwatch import timed
from tests.benchmarks.training import TrainingRequest, _lots, _stacked

REPEATS = 7
AS_IT_IS = "as it is: float32, channels_last, no vmap"
AT_ONCE = "freed memory returned to the system at once"
WAYS = (AS_IT_IS, "by vmap", "channels first", AT_ONCE, "in bfloat16", "plain PyTorch, channels_last")


class Contiguous(training._One):
    """A network alone, in the layout that images come in."""

    def __init__(self, module: Any) -> None:
        self._module, self.parameters = module, dict(module.named_parameters())

    def take_gradients(self, batch: Any, precision: Any) -> Any:
        """Return the loss of the batch; the gradients are set."""
        for each in self.parameters.values():
            each.grad = None
        with precision:
            loss = self._module(*(each[0] for each in batch))
        loss.backward()
        return loss.detach()[None]


def measured(way: str) -> dict[str, float]:
    """Return the CPU seconds of a training and of a test in one way; each is done once before, to set torch up."""
    dataset = load_dataset("mnist")
    request = TrainingRequest(models=1, labels=500, device="cpu", data="mnist")
    lots, protocol = _lots(dataset, request, 0), PROTOCOL
    if way == "in bfloat16":
        protocol = replace(protocol, precision="bfloat16")
    elif way == "by vmap":
        training._One = lambda module: training._Stack([module])  # type: ignore[assignment, misc, return-value]
    elif way == "channels first":
        training._One = Contiguous  # type: ignore[misc]
    if way.startswith("plain"):
        times = [timed(lambda: train_in_turn(lots, protocol, "cpu", Tuning(1, True)), "cpu")[1] for _ in range(2)]
        return {"train": times[-1].cpu_s}
    pairs = [_stacked(lots, protocol, "cpu") for _ in range(2)]
    (agent,), spent = pairs[-1]
    if way != AS_IT_IS:
        return {"train": spent.cpu_s}
    with on_threads(1):
        tests = [timed(lambda: finish(classifier.classify(agent, dataset.test()[0], "cpu")), "cpu") for _ in range(2)]
    return {"train": spent.cpu_s, "test": tests[-1][1].cpu_s}


def main() -> None:
    """Measure every way in turns, and say how long each takes beside the product."""
    if len(sys.argv) > 1:
        print(json.dumps(measured(sys.argv[1])))
        return
    seconds: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for repeat in range(REPEATS):
        for way in WAYS[repeat % len(WAYS) :] + WAYS[: repeat % len(WAYS)]:
            environ = os.environ | ({"MALLOC_TRIM_THRESHOLD_": "65536"} if way == AT_ONCE else {})
            command = [sys.executable, "-m", "tests.benchmarks.one_training", way]
            done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, check=True)
            seconds[way].append(json.loads(done.stdout))
    medians = {way: statistics.median(each["train"] for each in some) for way, some in seconds.items()}
    ratios = {
        way: [round(each["train"] / own["train"], 3) for each, own in zip(some, seconds[AS_IT_IS], strict=True)]
        for way, some in seconds.items()
    }
    figures = {
        "machine": machine(),
        "repeats": REPEATS,
        "training, median CPU s": {way: round(value, 2) for way, value in medians.items()},
        "ratio to the product": {
            way: {"median": statistics.median(some), "least": min(some), "most": max(some)}
            for way, some in ratios.items()
        },
        "test of 10,000, median CPU s": round(statistics.median(each["test"] for each in seconds[AS_IT_IS]), 2),
    }
    print(kept("one-training", figures))


if __name__ == "__main__":
    main()
