from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from costal.agent.classifier import classifier_tasks, train_classifiers
from costal.agent.cost import cost_task, train_cost_models
from costal.agent.devices import BatchSetup
from costal.agent.stacks import in_stacks
from costal.agent.training import TrainingTask
from costal.errors import AgentError
from costal.types import Agent, AgentSettings, Answer, Progress, Training, finish

SHAPE = (1, 8, 8)
TRAINING = Training(min_steps=30, epochs=0, batch=8, learning_rate=3e-3)
FOOTING = BatchSetup("cpu", TRAINING.batch)


def answers_of(seed, count=20):
    rng = np.random.default_rng(seed)
    return [
        Answer(
            rng.random(SHAPE, dtype=np.float32) + index % 2,
            index % 2,
            float(rng.lognormal()),
            censored=index % 7 == 6,
            annotator="ab"[index % 2],
            order=index,
        )
        for index in range(count)
    ]


def classifier_lesson(seed, training=TRAINING, **settings):
    agent = Agent(AgentSettings(2, training=training, **settings), SHAPE)
    return classifier_tasks(agent, answers_of(seed), seed)[0]


def log_normal_lesson(seed, training=TRAINING, **settings):
    return cost_task(Agent(AgentSettings(2, training=training, **settings), SHAPE), answers_of(seed), seed)


def least_squares_lesson(seed, training=TRAINING):
    return log_normal_lesson(seed, training, cost_likelihood="least_squares")


KINDS = pytest.mark.parametrize(
    ("lesson_of", "train"),
    [
        (classifier_lesson, train_classifiers),
        (log_normal_lesson, train_cost_models),
        (least_squares_lesson, train_cost_models),
    ],
    ids=["classifier", "cost model", "least squares"],
)
PROTOCOLS = pytest.mark.parametrize(
    "training",
    [TRAINING, replace(TRAINING, augment=True, schedule="one_cycle", class_weights=True)],
    ids=["plain", "one cycle, augmented"],
)


def assert_close_weights(first, second, atol):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=0, atol=atol)


def assert_equal_weights(first, second):
    assert_close_weights(first, second, atol=0)


def parameters_of(tasks):
    return [{name: each.detach().clone() for name, each in one.module.named_parameters()} for one in tasks]


def farthest(first, second):
    return max(abs(first[name] - second[name]).max() for name in first)


@KINDS
@PROTOCOLS
def test_a_stack_gives_each_member_what_it_gives_alone(lesson_of, train, training):
    tasks = [lesson_of(seed, training) for seed in range(3)]
    before = parameters_of(tasks)
    stacked = finish(train(tasks, training, "cpu"))
    assert all(farthest(*each) > 0.01 for each in zip(before, parameters_of(tasks), strict=True))
    for seed, weights in enumerate(stacked):
        (alone,) = finish(train([lesson_of(seed, training)], training, "cpu"))
        assert_close_weights(weights, alone, atol=1e-4)
    assert farthest(stacked[0], stacked[1]) > 0.01


@KINDS
def test_the_order_in_a_stack_does_not_matter(lesson_of, train):
    places = [2, 0, 3, 1]
    straight = finish(train([lesson_of(seed) for seed in range(4)], TRAINING, "cpu"))
    shuffled = finish(train([lesson_of(seed) for seed in places], TRAINING, "cpu"))
    for place, seed in enumerate(places):
        assert_close_weights(shuffled[place], straight[seed], atol=1e-4)


@KINDS
@PROTOCOLS
def test_the_same_stack_gives_the_same_bytes(lesson_of, train, training):
    first, again = (finish(train([lesson_of(seed, training) for seed in range(3)], training, "cpu")) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert {name: array.tobytes() for name, array in one.items()} == {
            name: array.tobytes() for name, array in other.items()
        }


@KINDS
def test_a_stack_trains_without_a_warning_of_vmap(lesson_of, train, recwarn):
    finish(train([lesson_of(seed) for seed in range(2)], replace(TRAINING, min_steps=1, precision="bfloat16"), "cpu"))
    assert not recwarn.list


@KINDS
@pytest.mark.parametrize("place", range(3))
def test_a_diverging_member_is_told_within_ten_steps_whatever_its_place(lesson_of, train, place):
    tasks = [lesson_of(seed) for seed in range(3)]
    tasks[place].inputs_N[5] = np.nan
    before = parameters_of(tasks)
    with pytest.raises(AgentError, match=r"Training the (classifier|cost model) diverged at step ([1-9]|1\d) or"):
        finish(train(tasks, TRAINING, "cpu"))
    for kept, after in zip(before, parameters_of(tasks), strict=True):
        assert_equal_weights(kept, after)


# which lessons share a stack


class Straight(nn.Module):
    """A module of a given number of outputs that nobody trains here."""

    def __init__(self, outputs, likelihood=""):
        super().__init__()
        self.likelihood = likelihood
        self.layer = nn.Linear(1, outputs)


class Bent(Straight):
    """Another kind of module with the same parameters."""


def plain_lesson(count=4, outputs=2, side=8, likelihood="", kind=Straight, seed=0):
    crops = np.random.default_rng(seed).random((count, 1, side, side), dtype=np.float32)
    return TrainingTask(kind(outputs, likelihood), crops, (torch.arange(count),), seed)


def noting(stacks, room=1000):
    """Return a training that notes its stacks, trains nothing, and finds a GPU full for larger batches than `room`."""

    def train(tasks, training, device):
        stacks.append((list(tasks), training.batch, device))
        yield Progress(0, 1, "training")
        if device != "cpu" and training.batch > room:
            raise torch.OutOfMemoryError("simulated")
        return [{"crops": task.inputs_N} for task in tasks]

    return train


def stacked(tasks, batch_setup=FOOTING, room=1000):
    stacks = []
    trained, batch_setup = finish(in_stacks(tasks, TRAINING, batch_setup, noting(stacks, room)))
    return trained, batch_setup, stacks


@pytest.mark.parametrize(
    ("difference", "stack_count"),
    [
        pytest.param({"seed": 3}, 1, id="another seed and other crops"),
        pytest.param({"count": 5}, 2, id="another number of crops"),
        pytest.param({"outputs": 3}, 2, id="another number of outputs"),
        pytest.param({"side": 9}, 2, id="another size of crops"),
        pytest.param({"likelihood": "least_squares"}, 2, id="another likelihood"),
        pytest.param({"kind": Bent}, 2, id="another kind of module"),
    ],
)
def test_lessons_share_a_stack_where_shapes_and_numbers_of_crops_are_equal(difference, stack_count):
    _, _, stacks = stacked([[plain_lesson()], [plain_lesson(**difference)]])
    assert len(stacks) == stack_count


KEYS = st.lists(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), max_size=3), max_size=6)


@given(KEYS, st.integers(0, 100))
def test_every_lesson_is_trained_once_among_its_likes_and_comes_back_to_its_place(keys, seed):
    tasks = [[plain_lesson(*key, seed=seed) for key in own] for own in keys]
    trained, _, stacks = stacked(tasks)
    flat = [task for own in tasks for task in own]
    taken = [task for stack, _, _ in stacks for task in stack]
    assert sorted(map(id, taken)) == sorted(map(id, flat))
    assert len(stacks) == len({key for own in keys for key in own})
    for stack, _, _ in stacks:
        assert len({(len(task.inputs_N), task.module.layer.out_features) for task in stack}) == 1
    firsts = [min(flat.index(task) for task in stack) for stack, _, _ in stacks]
    assert firsts == sorted(firsts)
    assert [len(own) for own in trained] == [len(own) for own in keys]
    for own, lesson_list in zip(trained, tasks, strict=True):
        for weights, task in zip(own, lesson_list, strict=True):
            assert weights["crops"] is task.inputs_N


def test_an_agent_without_lessons_gets_no_weights_and_leaves_the_others_as_they_are():
    trained, _, stacks = stacked([[], [plain_lesson()], []])
    assert [len(own) for own in trained] == [0, 1, 0]
    assert len(stacks) == 1
    assert stacked([[], []]) == ([[], []], FOOTING, [])


def test_crops_of_two_sizes_with_one_network_train_apart():
    """Crops of 38 and 39 px have networks of equal shape, and still do not fit into one array."""
    agents = [Agent(AgentSettings(2), (1, side, side)) for side in (38, 39)]
    training = Training(min_steps=1, epochs=0)
    crops = [np.zeros((1, side, side), np.float32) for side in (38, 39)]
    tasks = [
        classifier_tasks(agent, [Answer(crop, index, 1.0) for index in range(2)], 0)
        for agent, crop in zip(agents, crops, strict=True)
    ]
    shapes = [[tuple(each.shape) for each in own[0].module.parameters()] for own in tasks]
    assert shapes[0] == shapes[1]
    trained, _ = finish(in_stacks(tasks, training, FOOTING, train_classifiers))
    assert [len(own) for own in trained] == [1, 1]


# a full GPU


def test_a_full_gpu_halves_the_batch_of_the_whole_stack_and_of_the_stacks_after_it():
    small, large = [plain_lesson(count=4) for _ in range(3)], [plain_lesson(count=9) for _ in range(2)]
    tasks = [[small[0]], [large[0]], [small[1]], [large[1], small[2]]]
    _, batch_setup, stacks = stacked(tasks, BatchSetup("cuda", 8), room=2)
    assert [(len(stack), batch, device) for stack, batch, device in stacks] == [
        (3, 8, "cuda"),
        (3, 4, "cuda"),
        (3, 2, "cuda"),
        (2, 2, "cuda"),
    ]
    assert (batch_setup.device, batch_setup.batch) == ("cuda", 2)
    assert "batches of 2 crops" in batch_setup.note


def test_a_stack_that_met_a_full_gpu_halfway_learns_as_if_it_had_begun_with_the_smaller_batch():
    def crowded(tasks, training, device):
        job = train_classifiers(tasks, training, "cpu")
        if training.batch > 4:
            yield next(job)
            yield next(job)
            raise torch.OutOfMemoryError("simulated")
        return (yield from job)

    tasks = [[classifier_lesson(seed)] for seed in range(2)]
    trained, batch_setup = finish(in_stacks(tasks, TRAINING, BatchSetup("cuda", 8), crowded))
    assert batch_setup.batch == 4
    smaller = replace(TRAINING, batch=4)
    expected = finish(train_classifiers([classifier_lesson(seed) for seed in range(2)], smaller, "cpu"))
    for (weights,), others in zip(trained, expected, strict=True):
        assert_equal_weights(weights, others)
