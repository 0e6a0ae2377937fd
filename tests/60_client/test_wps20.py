"""WPS with curl: the recipes of its page."""

from recipes import assert_recipes


def test_the_recipes_of_the_page_answer_what_it_says(gateway, tmp_path):
    assert_recipes("wps.md", gateway.url, tmp_path)
