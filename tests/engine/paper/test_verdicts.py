from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from costal.paper.outcomes import Quantity, exactly
from costal.paper.plan import RANDOM_ARM, Arm, Plan
from costal.paper.rulings import all_hold, any_holds, either_holds, judge
from costal.paper.verdicts import RULE, verdicts
from tests.engine.paper.rounds_table import BIASES, rounds_table

STD, BALD, ENTROPY = (
    Arm("STD", acquisition="std"),
    Arm("BALD", acquisition="bald"),
    Arm("Entropy", acquisition="predictive_entropy"),
)
KNOWN = tuple(Arm(f"known {beta}", acquisition="std", beta=beta, cost="known") for beta in (0.0, 0.1, 0.2, 0.3, 0.4))
LEARNED = Arm("learned", acquisition="std", beta=0.3)
TABLE_1 = Plan("table1", "mnist", (STD, BALD, ENTROPY, RANDOM_ARM), rounds=10, repeats=3)
FIGURE_1 = Plan("figure1", "mnist", (RANDOM_ARM, *KNOWN, LEARNED), rounds=2, repeats=3, looked_at=(1,))
OPPOSITE = {"holds": "does not hold", "does not hold": "holds", "undecided": "undecided"}


def race(**labels):
    """Return runs of Table 1's plan that reach 90 % at these labels, one for each repeat; None: never."""
    names = {arm.name: arm for arm in TABLE_1.arms}
    rows = []
    for name, reached in labels.items():
        for repeat, at in enumerate(reached):
            for round_number in range(TABLE_1.rounds + 1):
                count = 20 + 10 * round_number
                accuracy = 0.5 if at is None or count < at else 0.9
                rows.append((names[name].name, repeat, round_number, count, accuracy, 0.0))
    return rounds_table(rows)


def price(beta):
    return 1000 - 2000 * beta


def sweep(
    cost=price, early=lambda beta: 0.9 - 0.1 * beta, late=lambda beta: 0.95, learned_cost=420.0, bias=(-2.0, -1.0)
):
    """Return runs of Figure 1's plan; random selection costs 700 and ends at an accuracy of 0.95."""
    rows = []
    for arm in FIGURE_1.arms:
        for repeat in range(FIGURE_1.repeats):
            jitter = 1e-3 * (repeat - 1)
            if arm == RANDOM_ARM:
                end, accuracies, jitter = 700.0, (0.5, 0.85, 0.95), 0.0
            else:
                end, accuracies = (
                    cost(arm.beta),
                    (0.5, early(arm.beta) + jitter * (1 + arm.beta), late(arm.beta) + jitter),
                )
            for at, accuracy in enumerate(accuracies):
                total = at / 2 * (learned_cost if arm == LEARNED else end) * (1 + jitter)
                biases = (each + jitter if arm == LEARNED and at else np.nan for each in bias)
                rows.append((arm.name, repeat, at, 20 + 10 * at, accuracy, total, *biases))
    return rounds_table(rows, *BIASES)


def parts_of(verdict):
    return [part.verdict for part in verdict.parts]


values = st.lists(st.floats(-100, 100), min_size=2, max_size=6)


@given(values, st.floats(-100, 100))
def test_a_verdict_follows_the_95_percent_interval(values, limit):
    assume(np.std(values) > 1e-6)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assume(min(abs(low - limit), abs(high - limit)) > 1e-6)
    expected = "holds" if high < limit else "does not hold" if low > limit else "undecided"
    assert judge(exactly(values), limit) == expected
    assert judge(exactly(values), limit, "above") == OPPOSITE[expected]


@given(st.lists(st.floats(-100, 100), max_size=1))
def test_fewer_than_two_repeats_decide_nothing(values):
    assert judge(exactly(values)) == judge(exactly(values), side="above") == "undecided"


def test_an_interval_that_ends_at_the_limit_decides_nothing():
    assert judge(exactly([1, 1]), 1) == judge(exactly([1, 1]), 1, "above") == "undecided"


@pytest.mark.parametrize(
    ("low", "high", "below"),
    [
        pytest.param((0.1, 0.2), (0.5, 0.5), "holds", id="all bounds below"),
        pytest.param((0.1, 0.2), (0.5, np.nan), "undecided", id="one without a bound above"),
        pytest.param((2.0, 2.0), (np.nan, 3.0), "does not hold", id="all bounds above"),
        pytest.param((0.5, 0.5), (2.0, 2.0), "undecided", id="bounds on both sides"),
    ],
)
def test_where_values_are_not_known_their_bounds_decide(low, high, below):
    quantity = Quantity(np.array([np.nan, np.nan]), np.array(low), np.array(high))
    assert judge(quantity, 1) == below
    assert judge(quantity, 1, "above") == OPPOSITE[below]


@pytest.mark.parametrize(
    ("rulings", "every", "some"),
    [
        (["holds", "holds"], "holds", "holds"),
        (["holds", "undecided"], "undecided", "holds"),
        (["holds", "not tested"], "undecided", "holds"),
        (["holds", "undecided", "does not hold"], "does not hold", "holds"),
        (["undecided", "does not hold"], "does not hold", "undecided"),
        (["does not hold", "does not hold"], "does not hold", "does not hold"),
        (["undecided", "undecided"], "undecided", "undecided"),
    ],
)
def test_verdicts_are_put_together(rulings, every, some):
    assert all_hold(rulings) == every
    assert any_holds(rulings) == some


def test_a_claim_without_a_part_that_was_tested_is_not_tested():
    assert all_hold([]) == all_hold(["not tested"]) == "not tested"


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("holds", "undecided", "holds"),
        ("undecided", "does not hold", "does not hold"),
        ("holds", "holds", "holds"),
        ("holds", "does not hold", "undecided"),
        ("undecided", "undecided", "undecided"),
    ],
)
def test_two_measures_of_one_thing_decide_unless_they_contradict_each_other(one, other, together):
    assert either_holds(one, other) == either_holds(other, one) == together


# claim 1


def test_claim_1_holds_when_every_function_needs_fewer_labels_and_std_fewest():
    df = race(STD=(50, 60, 50), BALD=(80, 80, 80), Entropy=(80, 90, 80), random=(100, 110, 100))
    claim = verdicts(df, TABLE_1)[0]
    assert claim.verdict == "holds"
    assert parts_of(claim) == ["holds"] * 5
    assert claim.parts[0].figures == ("0.515 [0.450, 0.580] over 3 of 3 repeats",)


def test_claim_1_does_not_hold_when_one_function_needs_more():
    df = race(STD=(50, 60, 50), BALD=(120, 110, 120), Entropy=(80, 90, 80), random=(90, 90, 90))
    claim = verdicts(df, TABLE_1)[0]
    assert parts_of(claim) == ["holds", "does not hold", "undecided", "holds", "holds"]
    assert claim.verdict == "does not hold"


def test_random_selection_that_never_gets_there_counts_with_its_labels_at_the_end():
    df = race(STD=(50, 60, 50), BALD=(80, 80, 80), Entropy=(80, 90, 80), random=(110, None, 110))
    claim = verdicts(df, TABLE_1)[0]
    assert parts_of(claim)[:3] == ["holds"] * 3
    assert "1 not known; with the unknown repeats at most" in claim.parts[0].figures[0]


def test_a_function_that_never_gets_there_cannot_win():
    df = race(STD=(50, 50, 50), BALD=(None,) * 3, Entropy=(80, 90, 80), random=(80, 80, 70))
    claim = verdicts(df, TABLE_1)[0]
    assert parts_of(claim)[1] == "does not hold"
    assert (
        claim.parts[1]
        .figures[0]
        .startswith("– over 0 of 3 repeats, 3 not known; with the unknown repeats at least 1.57")
    )
    assert parts_of(claim)[3] == "holds"


def test_repeats_that_are_not_finished_are_counted_and_left_out():
    df = race(STD=(50, 60, 50), BALD=(80, 80, 80), Entropy=(80, 90, 80), random=(100, 110, 100))
    df = df[(df["repeat"] == 0) | (df["round"] < 10)]
    claim = verdicts(df, TABLE_1)[0]
    assert claim.verdict == "undecided"
    assert claim.parts[0].figures == ("0.500 (no interval) over 1 of 3 repeats, 2 not finished",)


def test_an_order_that_labels_to_the_target_do_not_show_is_decided_by_the_area():
    df = race(STD=(80, 80, 80), BALD=(80, 80, 80), Entropy=(80, 90, 80), random=(100, 110, 100))
    assert parts_of(verdicts(df, TABLE_1)[0])[3] == "undecided"
    df.loc[(df["arm"] == "BALD") & (df["labels"] < 50), "accuracy"] = 0.1
    assert parts_of(verdicts(df, TABLE_1)[0])[3] == "holds"


# claims 2 to 5


def test_an_arm_of_fewer_repeats_has_all_of_its_own_and_no_part_in_slopes():
    dear = {0.1: 5000.0}  # far off the line of the others
    plan = replace(FIGURE_1, arms=tuple(replace(arm, repeats=2) if arm.beta == 0.1 else arm for arm in FIGURE_1.arms))
    df = sweep(cost=lambda beta: dear.get(beta, price(beta)))
    df = df[(df["arm"] != "known 0.1") | (df["repeat"] < 2)]
    _, dearer, slopes, *_ = verdicts(df, plan)
    assert dearer.parts[1].figures[0].endswith("over 2 of 2 repeats")
    assert slopes.parts[0].figures == ("-2,000.0 [-2,005.0, -1,995.0] over 3 of 3 repeats",)


def test_the_cost_fitted_by_least_squares_is_judged_and_the_log_normal_one_is_told():
    plain = Arm("plain", acquisition="std", beta=0.3, cost="plain")
    df = sweep(learned_cost=800.0)
    own = sweep()
    own = own[own["arm"] == "learned"].assign(arm="plain")
    claim = verdicts(pd.concat([df, own]), replace(FIGURE_1, arms=(*FIGURE_1.arms, plain)))[4]
    assert claim.verdict == "holds"
    assert claim.notes[0].startswith("For comparison only, learned (does not hold): learned costs less than random")


def test_figure_1_as_the_paper_saw_it_lets_claims_2_to_5_hold():
    df = sweep(cost=lambda beta: 1000 - 2000 * beta if beta else 1100.0)
    first, *rest = verdicts(df, FIGURE_1)
    assert first.verdict == "not tested"
    assert [each.number for each in rest] == [2, 3, 4, 5]
    assert [each.verdict for each in rest] == ["holds"] * 4


@pytest.mark.parametrize(
    ("cost", "expected", "crossed"),
    [
        pytest.param(price, ["holds", "holds"], "β = 0.150 [0.149, 0.151], in 3 of 3 repeats.", id="between two β"),
        pytest.param(
            lambda beta: 800 - 2000 * beta, ["holds", "does not hold"], "β = 0.050 [0.049, 0.051], in 3", id="early"
        ),
        pytest.param(
            lambda beta: 600.0,
            ["does not hold"] * 2,
            "in 0 of 3 repeats; in 3 it is not higher even at β = 0",
            id="at 0",
        ),
        pytest.param(
            lambda beta: 900.0, ["holds"] * 2, "in 0 of 3 repeats; in 3 it stays above up to β = 0.4", id="never"
        ),
    ],
)
def test_claim_2_compares_cost_with_random_selections_and_tells_where_it_crosses(cost, expected, crossed):
    claim = verdicts(sweep(cost=cost), FIGURE_1)[1]
    assert parts_of(claim) == expected
    assert crossed in claim.notes[0]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({}, ["holds", "holds", "holds"], id="all hold"),
        pytest.param({"cost": lambda beta: 100 + beta}, ["does not hold", "holds", "holds"], id="cost rises"),
        pytest.param({"early": lambda beta: 0.8 + beta / 10}, ["holds", "does not hold", "holds"], id="accuracy rises"),
        pytest.param({"early": lambda beta: 0.8}, ["holds", "undecided", "holds"], id="accuracy stays"),
        pytest.param({"late": lambda beta: 0.94}, ["holds", "holds", "does not hold"], id="less accurate than random"),
        pytest.param({"late": lambda beta: 0.946}, ["holds", "holds", "undecided"], id="less by about the margin"),
        pytest.param(
            {"cost": lambda beta: 700 - 100 * beta}, ["holds", "holds", "does not hold"], id="not considerably cheaper"
        ),
        pytest.param(
            {"late": lambda beta: 0.95 if beta == 0.3 else 0.9}, ["holds", "holds", "holds"], id="one β is enough"
        ),
    ],
)
def test_claim_3_has_a_verdict_for_cost_for_accuracy_and_for_some_beta(changed, expected):
    assert parts_of(verdicts(sweep(**changed), FIGURE_1)[2]) == expected


@pytest.mark.parametrize(
    ("early", "late", "expected"),
    [
        pytest.param(lambda beta: 0.9 - 0.1 * beta, lambda beta: 0.95 - 0.01 * beta, "holds", id="flatter"),
        pytest.param(lambda beta: 0.9, lambda beta: 0.95 - 0.01 * beta, "does not hold", id="steeper"),
        pytest.param(lambda beta: 0.9 - 0.01 * beta, lambda beta: 0.95 - 0.01 * beta, "undecided", id="as steep"),
    ],
)
def test_claim_4_compares_the_slopes_of_accuracy_on_beta(early, late, expected):
    claim = verdicts(sweep(early=early, late=late), FIGURE_1)[3]
    assert claim.verdict == expected
    assert "The slopes are" in claim.notes[0]


def test_claim_4_needs_an_earlier_round_to_look_at():
    assert verdicts(sweep(), replace(FIGURE_1, looked_at=()))[3].verdict == "not tested"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({}, "holds holds holds holds holds holds", id="all hold"),
        pytest.param({"learned_cost": 380.0}, "holds holds holds holds does-not holds", id="better than known"),
        pytest.param({"learned_cost": 500.0}, "holds holds holds holds holds does-not", id="much worse than known"),
        pytest.param({"learned_cost": 800.0}, "does-not holds holds holds holds does-not", id="dearer than random"),
        pytest.param({"learned_cost": 1200.0}, "does-not does-not holds holds holds does-not", id="dearer than β = 0"),
        pytest.param({"bias": (-1.0, 1.0)}, "holds holds holds does-not holds holds", id="the pool overestimated"),
        pytest.param({"bias": (np.nan, 0.0)}, "holds holds undecided undecided holds holds", id="bias not known"),
    ],
)
def test_claim_5_has_a_verdict_for_each_comparison_and_each_bias(changed, expected):
    result = " ".join(
        ruling.replace("does not hold", "does-not") for ruling in parts_of(verdicts(sweep(**changed), FIGURE_1)[4])
    )
    assert result == expected


def test_an_arm_that_the_plan_lacks_leaves_its_part_untested_and_the_claim_undecided():
    plan = replace(FIGURE_1, arms=(RANDOM_ARM, KNOWN[0], LEARNED))
    result = verdicts(sweep(), plan)
    assert [each.verdict for each in result] == ["not tested"] * 4 + ["undecided"]
    assert parts_of(result[4]) == ["holds"] * 4 + ["not tested"] * 2


def test_no_claim_is_tested_by_a_plan_of_other_arms():
    assert {each.verdict for each in verdicts(sweep(), replace(FIGURE_1, arms=(RANDOM_ARM,)))} == {"not tested"}


def test_before_anything_ran_every_claim_that_can_be_tested_is_undecided():
    result = [each.verdict for each in verdicts(sweep().iloc[:0], FIGURE_1)]
    assert result == ["not tested"] + ["undecided"] * 4


def test_every_number_of_a_claim_is_among_its_figures():
    claim = verdicts(sweep(), FIGURE_1)[1]
    assert claim.figures == (claim.parts[0].figures[0], claim.parts[1].figures[0], claim.notes[0])


def test_the_rule_states_the_margins_that_are_used():
    assert all(word in RULE for word in ("95 %", "0.005", "10 %", "0.2"))
