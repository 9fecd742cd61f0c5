import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from costal.agent import selection
from costal.agent import similarity as similarity_module
from costal.agent.selection import (
    BLOCK,
    COST_UNIT,
    GROWTH,
    SORTED,
    best_first,
    draw_controls,
    draw_controls_within,
    mixed_in,
    select_diverse,
    select_diverse_within_budget,
    total_cost,
    within_budget,
)
from costal.agent.similarity import Similarity, similarity


def rng(seed=0):
    return np.random.default_rng(seed)


def floats(values):
    return np.array(values, dtype=np.float32)


def line(*places):
    """Return features of one dimension."""
    return floats(places)[:, None]


def grid_places(rows, cols):
    return np.stack(np.divmod(np.arange(rows * cols), cols), axis=1)


# thinning


def test_a_crop_like_a_better_one_is_passed_over():
    like = Similarity(line(0, 0.5, 3, 1.4, 9), None, limit=1.0)
    # Crop 3 is near crop 1 alone, which was passed over itself.
    assert select_diverse(np.arange(5), floats([5, 4, 3, 2, 1]), like, 4, 0).tolist() == [0, 2, 3, 4]


@pytest.mark.parametrize(
    ("place", "is_neighbour"),
    [((2, 2), True), ((1, 2), True), ((3, 3), True), ((1, 3), True), ((2, 4), False), ((0, 2), False), ((4, 1), False)],
)
def test_neighbours_are_the_eight_crops_around(place, is_neighbour):
    like = Similarity(None, np.array([(2, 2), place, (90, 90)]))
    expected = [0, 2] if is_neighbour else [0, 1]
    assert select_diverse(np.arange(3), floats([3, 2, 1]), like, 2, 0).tolist() == expected


def test_when_unlike_crops_run_out_the_best_of_the_others_follow():
    like = Similarity(line(0, 0.1, 0.2, 5), None, limit=1.0)
    assert select_diverse(np.arange(4), floats([4, 3, 2, 1]), like, 3, 0).tolist() == [0, 3, 1]


def test_features_and_places_both_count():
    like = Similarity(line(0, 5, 0.1, 9), np.array([(0, 0), (0, 1), (7, 7), (5, 5)]), limit=1.0)
    assert select_diverse(np.arange(4), floats([4, 3, 2, 1]), like, 2, 0).tolist() == [0, 3]


def test_without_likeness_the_best_are_taken():
    assert select_diverse(np.array([1, 2, 3]), floats([9, 1, 3, 2]), None, 2, 0).tolist() == [2, 3]


def test_only_candidates_are_taken():
    like = Similarity(line(*range(6)), None, limit=0.5)
    assert select_diverse(np.array([1, 4]), floats([9, 1, 8, 7, 2, 6]), like, 3, 0).tolist() == [4, 1]


def test_a_pool_of_equal_crops_is_thinned_to_one_and_filled_up():
    many = 3 * BLOCK
    like = similarity(np.full((many, 4), 0.3, np.float32), None, rng())
    picked = select_diverse(np.arange(many), floats(np.arange(many)), like, 4, 0)
    assert picked.tolist() == [many - 1, many - 2, many - 3, many - 4]


def test_features_that_differ_by_rounding_are_the_same():
    features = rng().normal(size=(400, 8)).astype(np.float32)
    features[1] = np.nextafter(features[0], np.float32(np.inf))
    assert Similarity(features, None, limit=0.0).alike(np.array([0, 2]), np.array([1]))[:, 0].tolist() == [True, False]


def test_near_means_the_nearest_half_percent_of_random_pairs():
    features = rng().normal(size=(5000, 6)).astype(np.float32)
    like = similarity(features, None, rng(1))
    pairs = rng(2).integers(5000, size=(2, 200_000))
    near = np.linalg.norm(features[pairs[0]] - features[pairs[1]], axis=1) <= like.limit
    assert near[pairs[0] != pairs[1]].mean() == pytest.approx(0.005, rel=0.35)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_what_is_near_does_not_depend_on_the_scale_of_features(scale):
    features = rng().normal(size=(300, 5)).astype(np.float32)
    values = floats(rng(1).random(300))
    plain, scaled = (
        select_diverse(np.arange(300), values, similarity(each, None, rng(2)), 40, 0)
        for each in (features, features * scale)
    )
    assert plain.tolist() == scaled.tolist()
    assert plain.tolist() != select_diverse(np.arange(300), values, None, 40, 0).tolist()


@pytest.mark.parametrize("count", [0, 1])
def test_a_pool_without_pairs_has_no_near_ones(count):
    like = similarity(np.ones((count, 3), np.float32), None, rng())
    assert select_diverse(np.arange(count), floats([1] * count), like, 2, 0).tolist() == [0] * count


@pytest.mark.parametrize("count", [0, 1, BLOCK, SORTED - 1, SORTED, SORTED + 1, SORTED * GROWTH + 3 * BLOCK + 5])
def test_the_blocks_together_are_the_order_of_the_values(count):
    values = floats(rng().permutation(count))
    blocks = list(best_first(np.arange(count), values, 0))
    order = np.concatenate([np.empty(0, np.intp), *blocks])
    assert order.tolist() == np.argsort(-values).tolist()
    assert all(0 < len(block) <= BLOCK for block in blocks)


def test_ties_follow_the_seed_across_blocks():
    values = np.zeros(SORTED + 10, np.float32)
    first, again, other = (np.concatenate(list(best_first(np.arange(len(values)), values, s))) for s in (1, 1, 2))
    assert first.tolist() == again.tolist() != other.tolist()
    assert sorted(first.tolist()) == list(range(len(values)))


@given(
    count=st.integers(1, 60), n=st.integers(1, 20), limit=st.floats(0, 3), seed=st.integers(0, 50), edge=st.booleans()
)
def test_thinned_crops_are_those_of_a_plain_walk(count, n, limit, seed, edge):
    features = rng(seed).normal(size=(count, 2)).astype(np.float32)
    values = floats(rng(seed + 1).permutation(count))
    places = grid_places(count, 5)[rng(seed).permutation(count)] if edge else None
    taken, skipped = [], []
    for crop in np.argsort(-values):
        alike = [
            np.linalg.norm(features[crop].astype(float) - features[other]) <= limit
            or (edge and max(abs(places[crop] - places[other])) <= 1)
            for other in taken
        ]
        (skipped if any(alike) else taken).append(crop)
    found = select_diverse(np.arange(count), values, Similarity(features, places, limit), n, 0)
    assert found.tolist() == (taken + skipped)[:n]


@pytest.mark.parametrize("seed", range(4))
def test_a_walk_over_many_blocks_takes_what_a_plain_one_takes(monkeypatch, seed):
    monkeypatch.setattr(selection, "BLOCK", 4)
    monkeypatch.setattr(selection, "SORTED", 16)
    count = 400
    features = rng(seed).normal(size=(count, 2)).astype(np.float32)
    values, places = floats(rng(seed + 1).permutation(count)), grid_places(20, 20)
    like = Similarity(features, places, 0.3)
    taken = []
    for crop in np.argsort(-values):
        if not like.alike(np.array(taken, dtype=np.intp), np.array([crop])).any():
            taken.append(int(crop))
    assert select_diverse(np.arange(count), values, like, len(taken), 0).tolist() == taken


@pytest.mark.parametrize("offset", [0.0, 1e3], ids=["centred", "far from zero"])
@pytest.mark.parametrize("limit", [0.0, 0.5, 2.0, 50.0])
@pytest.mark.parametrize("pairs", [8, 2**18], ids=["piece by piece", "at once"])
def test_like_any_of_the_others_is_what_comparing_each_pair_says(monkeypatch, offset, limit, pairs):
    monkeypatch.setattr(similarity_module, "CACHED_PAIRS", pairs)
    features = (rng(3).normal(size=(90, 3)) + offset).astype(np.float32)
    features[10:20] = features[:10]  # the same crops again
    features[20:30] = features[:10] + np.array([limit, 0, 0], np.float32)  # as far as the limit but for rounding
    places = np.array([(0, 3 * crop) for crop in range(90)])
    places[40], places[50] = places[0] + (1, 1), (5, 0)
    like, others = Similarity(features, places, limit), np.arange(10)
    ones = np.arange(10, 90)
    assert like.is_like_any(ones, others).tolist() == like.alike(others, ones).any(axis=0).tolist()


# a time budget


def best_by_force(worths, costs, budget):
    subsets = itertools.product([False, True], repeat=len(worths))
    return max(
        sum(itertools.compress(worths, each))
        for each in subsets
        if math.fsum(itertools.compress(costs, each)) <= budget
    )


def test_a_budget_buys_by_worth_per_cost_and_what_else_fits():
    # Per cost 2.5, 2.5 and 2: the first two fit into 4.
    assert sorted(within_budget([6.0, 5.0, 5.0], [3.0, 2.0, 2.0], 4).tolist()) == [1, 2]
    # 10 for 1 comes first and leaves 9: 90 for 10 no longer fits, 8 for 9 does.
    assert within_budget([10.0, 90.0, 8.0], [1.0, 10.0, 9.0], 10).tolist() == [0, 2]


def test_what_is_bought_comes_with_the_greatest_worth_per_cost_first():
    assert within_budget([1.0, 9.0, 4.0, 0.5], [1.0, 3.0, 1.0, 9.0], 6).tolist() == [2, 1, 0]


def test_all_are_bought_when_all_fit():
    assert sorted(within_budget([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], 3).tolist()) == [0, 1, 2]


@pytest.mark.parametrize(
    ("worths", "costs"), [([], []), ([1.0], [5.0]), ([0.0, 0.0], [1.0, 1.0])], ids=["no crop", "too dear", "worthless"]
)
def test_a_budget_may_buy_nothing(worths, costs):
    assert within_budget(worths, costs, 4).tolist() == []


crops_with_costs = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), min_size=1, max_size=11)


@given(crops=crops_with_costs, budget=st.integers(0, 80))
def test_a_budget_falls_short_of_the_best_subset_by_less_than_one_crops_worth(crops, budget):
    worths, costs = zip(*crops, strict=True)
    bought = within_budget(worths, costs, budget)
    lacking = best_by_force(worths, costs, budget) - sum(worths[crop] for crop in bought)
    dearest = max((worth for worth, cost in crops if cost <= budget), default=0)
    assert lacking == 0 or lacking < dearest


@given(
    crops=st.lists(st.tuples(st.floats(0, 1), st.floats(1e-3, 30)), min_size=1, max_size=60),
    share=st.floats(0, 1.2),
)
def test_a_budget_is_never_exceeded_not_even_by_rounding(crops, share):
    worths, costs = (np.array(each) for each in zip(*crops, strict=True))
    budget = share * math.fsum(costs)
    bought = within_budget(worths, costs, budget)
    assert len(set(bought.tolist())) == len(bought)
    assert math.fsum(costs[bought]) <= budget
    # What is left would not buy another crop that is worth something.
    left = budget - total_cost(costs[bought])
    others = np.setdiff1d(np.flatnonzero(worths > 0), bought)
    assert all(total_cost([costs[other]]) > left for other in others)


def test_tenths_that_binary_fractions_cannot_hold_stay_within_the_budget():
    assert 0.1 + 0.2 > 0.3
    assert math.fsum(np.array([0.1, 0.2])[within_budget([1.0, 1.0], [0.1, 0.2], 0.3)]) <= 0.3


def test_many_equal_crops_are_bought_as_far_as_the_budget_goes():
    assert len(within_budget(np.full(20_000, 0.2), np.full(20_000, 3.0), 100)) == 33


def test_a_large_pool_comes_within_a_thousandth_of_what_no_choice_can_exceed():
    worths, costs, budget = rng().random(65_000) ** 3, rng(1).lognormal(1, 0.5, 65_000), 1200.0
    bought = within_budget(worths, costs, budget)
    densest = np.argsort(-worths / costs)
    spent = np.cumsum(costs[densest])
    bound = np.interp(budget, spent, np.cumsum(worths[densest]))  # crops may be cut
    assert bound * 0.999 < worths[bought].sum() <= bound
    assert 0.999 * budget < math.fsum(costs[bought]) <= budget


def test_bought_crops_are_unlike_as_long_as_the_budget_buys_such():
    # Pairs of near-duplicates, the better of each at an even index.
    features = line(*np.repeat(np.arange(30), 2) * 10.0)
    worths, costs = floats(100 - np.arange(60)), np.ones(60, np.float32)
    like = Similarity(features, None, limit=1.0)
    bought = select_diverse_within_budget(np.arange(60), worths, costs, 10, like, 0)
    assert bought.tolist() == list(range(0, 20, 2))
    more = select_diverse_within_budget(np.arange(60), worths, costs, 34, like, 0)
    assert sorted(more[:30].tolist()) == list(range(0, 60, 2))
    assert more[30:].tolist() == [1, 3, 5, 7]


@given(budget=st.floats(0.5, 400), seed=st.integers(0, 20), is_thinned=st.booleans())
def test_thinned_or_not_a_budget_holds_and_only_candidates_are_bought(budget, seed, is_thinned):
    worths, costs = floats(rng(seed).random(80)), rng(seed).lognormal(1, 0.7, 80).astype(np.float32)
    candidates = np.flatnonzero(rng(seed).random(80) < 0.6)
    like = (
        similarity(rng(seed).normal(size=(80, 2)).astype(np.float32), grid_places(8, 10), rng()) if is_thinned else None
    )
    bought = select_diverse_within_budget(candidates, worths, costs, budget, like, 0)
    assert set(bought.tolist()) <= set(candidates.tolist())
    assert len(set(bought.tolist())) == len(bought)
    assert math.fsum(costs[bought].astype(float)) <= budget


# controls


@pytest.mark.parametrize(
    ("share", "n", "fewest", "mean"),
    [(0.1, 10, 1, 1.0), (0.1, 15, 1, 1.5), (0.25, 1, 0, 0.25), (0.0, 10, 0, 0.0), (1.0, 5, 5, 5.0), (0.5, 100, 15, 15)],
    ids=["a whole one", "one or two", "none or one", "none", "all", "the pool is smaller than n"],
)
def test_each_slot_is_a_control_with_the_probability_of_the_share(share, n, fewest, mean):
    counts = [len(draw_controls(np.arange(30), share, n, rng(seed))) for seed in range(2000)]
    assert set(counts) == ({fewest} if mean == fewest else {fewest, fewest + 1})
    assert np.mean(counts) == pytest.approx(mean, abs=4 * math.sqrt(0.25 / 2000))


def test_controls_are_uniform_over_the_candidates_and_over_pairs_of_them():
    candidates = np.array([3, 5, 6, 11, 20])
    drawn = [draw_controls(candidates, 0.4, 5, rng(seed)) for seed in range(4000)]
    counts = [sum(crop in each for each in drawn) for crop in candidates]
    assert sum(counts) == 8000
    assert stats.chisquare(counts).pvalue > 0.001
    pairs = [sum(set(pair) == set(each.tolist()) for each in drawn) for pair in itertools.combinations(candidates, 2)]
    assert sum(pairs) == 4000
    assert stats.chisquare(pairs).pvalue > 0.001


def test_within_a_budget_controls_are_uniform_however_dear():
    costs = floats([1, 2, 3, 4, 5, 30])
    drawn = [draw_controls_within(np.arange(6), costs, 0.6, 11.0, rng(seed)) for seed in range(4000)]
    # 11 buys 11 / 3 = 3 at the mean cost, of which 1.8 are controls, and 2 of the dearest that fits.
    assert np.mean([len(each) for each in drawn]) == pytest.approx(1.8, abs=0.03)
    assert stats.chisquare(np.bincount(np.concatenate(drawn), minlength=6)[:5]).pvalue > 0.001
    assert not any(5 in each for each in drawn)


@given(budget=st.floats(0, 100), share=st.floats(0, 1), seed=st.integers(0, 30))
def test_controls_never_exceed_the_budget(budget, share, seed):
    costs = rng(seed).lognormal(1, 1, 40).astype(np.float32)
    drawn = draw_controls_within(np.arange(40), costs, share, budget, rng(seed))
    assert math.fsum(costs[drawn].astype(float)) <= budget
    assert total_cost(costs[drawn]) <= budget


def test_the_best_keep_their_order_and_controls_lie_at_every_position_alike():
    best, controls = np.array([9, 8, 7, 6]), np.array([1])
    positions = []
    for seed in range(2000):
        picked_n, control_n = mixed_in(best, controls, rng(seed))
        assert picked_n[~control_n].tolist() == [9, 8, 7, 6]
        assert picked_n[control_n].tolist() == [1]
        positions.append(int(control_n.argmax()))
    assert stats.chisquare(np.bincount(positions, minlength=5)).pvalue > 0.001


def test_costs_are_counted_in_units_that_only_round_up():
    assert total_cost([COST_UNIT, COST_UNIT * 1.01, 0.0]) == 4 * COST_UNIT
    assert total_cost([]) == 0
