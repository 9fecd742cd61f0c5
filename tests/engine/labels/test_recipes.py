import pytest
from hypothesis import given
from hypothesis import strategies as st

from costal.errors import ProjectError
from costal.labels.recipes import Recipe, digest_of, ids_of, spans_of

RECIPE = Recipe((1, 2, 3, 7), 9, 5, {"passes": 4}, (1, 16, 16), {1: 0, 2: 1, 4: 0}, 20.0, low_C=(0.0,), high_C=(1.0,))


def test_ids_are_written_by_spans():
    assert spans_of((1, 2, 3, 7, 9, 10)) == "1-3 7 9-10"


@given(st.sets(st.integers(1, 60)))
def test_spans_give_the_ids_back(ids):
    rising = tuple(sorted(ids))
    assert ids_of(spans_of(rising)) == rising


def test_equal_recipes_have_one_digest_and_another_number_of_threads_another():
    text = RECIPE.to_json()
    assert Recipe.from_json(text) == RECIPE
    assert Recipe.from_json(text).to_json() == text
    assert len(digest_of(text)) == 64
    assert digest_of("") == ""
    assert digest_of(text.replace('"threads": 1', '"threads": 2')) != digest_of(text)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"label_ids": "1-x"}'])
def test_what_is_no_recipe_is_refused_with_a_remedy(text):
    with pytest.raises(ProjectError, match="Update napari-costal"):
        Recipe.from_json(text)
