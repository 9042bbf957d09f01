from a1_training.recipe import tiny_recipe


def test_recipe_stages_are_ordered():
    assert tiny_recipe().stages[0].name == "match"
