from dataclasses import replace

import numpy as np
import pytest

from costal.paper import between_answers
from costal.paper.between_answers import chosen_between_answers
from costal.paper.experiment import begin, close_round, propose_round, seed_between
from costal.paper.expert import SimulatedExpert
from costal.paper.plan import Arm
from costal.types import finish

ANSWER, QUERY = Arm("answer", acquisition="std", beta=0.3, retrain="answer"), Arm("query", acquisition="std")
EXPERT = SimulatedExpert()


@pytest.fixture
def experiment(quick_experiment):
    return replace(quick_experiment, n=6, passes=5)


def begun(experiment, dataset, *arms):
    states = [begin(experiment, arm, 0, dataset, EXPERT) for arm in arms]
    closed = finish(close_round(experiment, states, [None] * len(arms), [None] * len(arms)))
    states = [state for state, _ in closed]
    return states, [finish(propose_round(experiment, state, dataset, EXPERT)) for state in states]


def test_the_crops_that_no_answer_can_change_stay_and_none_is_asked_twice(experiment, small_digits):
    states, proposals = begun(experiment, small_digits, ANSWER)
    (chosen,) = finish(chosen_between_answers(experiment, states, proposals, {0: small_digits}, EXPERT))
    picked_n = chosen.query.picked_n
    assert picked_n[:3].tolist() == proposals[0].query.picked_n[:3].tolist()
    assert len(set(picked_n.tolist())) == 6
    assert picked_n[3:].tolist() != proposals[0].query.picked_n[3:].tolist()
    assert np.array_equal(chosen.query.value_N, proposals[0].query.value_N)


def test_an_arm_that_learns_after_each_query_asks_what_it_proposed(experiment, small_digits):
    states, proposals = begun(experiment, small_digits, ANSWER, QUERY)
    chosen = finish(chosen_between_answers(experiment, states, proposals, {0: small_digits}, EXPERT))
    assert chosen[1] is proposals[1]
    (alone,) = finish(chosen_between_answers(experiment, states[:1], proposals[:1], {0: small_digits}, EXPERT))
    assert alone.asked_n.tolist() == chosen[0].asked_n.tolist()


def test_each_place_is_chosen_with_the_answers_given_two_crops_before_it(experiment, small_digits, monkeypatch):
    states, proposals = begun(experiment, small_digits, ANSWER)
    known = []
    learned = between_answers.learned

    def noted(shared, some, seeds):
        known.append(([each.class_index for each in some[0].answers], seeds))
        return (yield from learned(shared, some, seeds))

    monkeypatch.setattr(between_answers, "learned", noted)
    (chosen,) = finish(chosen_between_answers(experiment, states, proposals, {0: small_digits}, EXPERT))
    before = [each.class_index for each in states[0].answers]
    given = small_digits.classes(chosen.asked_n).tolist()
    assert [labels for labels, _ in known] == [before + given[:count] for count in (1, 2, 3)]
    seeds = [seed for _, (seed,) in known]
    assert len(set(seeds)) == 3
    first = replace(states[0], answers=(*states[0].answers, states[0].answers[0]))
    assert seeds[0] == seed_between(experiment, first)  # the number of answers tells, not which they are
