"""The tables of the zoo, and that docs/models.md is what they say today."""

import pathlib

import pytest

from vidjax.models.registry import list_models, model_card
from vidjax.tasks import zoo
from vidjax.typing import ClipSpec, ModelCard, Weights

# jaxtyping triples the time of tracing.
pytestmark = pytest.mark.usefixtures("unchecked")

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "models.md"


def test_the_page_of_models_is_current():
    page = PAGE.read_text(encoding="utf-8")
    assert zoo.models_page() == page, "run `vidjax models --page > docs/models.md`"


def test_the_page_has_every_model_but_the_tiny_ones_once():
    families = PAGE.read_text(encoding="utf-8").split("\n## ")[1]
    names = [line.split(" | ")[0] for line in families.splitlines()]
    for name in list_models():
        assert names.count(f"| {name}") == (not name.endswith("_tiny")), name


def test_published_accuracies_come_from_the_card_and_its_weights_once():
    def weights(tag, accuracy):
        return Weights(tag, "", 400, "", "", accuracy=accuracy)

    card = ModelCard(
        name="x",
        clip=ClipSpec(1),
        family="x",
        fusion="none",
        paper="",
        reference="",
        params=1,
        gmacs=1.0,
        accuracy="70 (paper)",
        weights=(weights("a", "71 (a)"), weights("b", ""), weights("c", "71 (a)")),
    )
    assert zoo.published_accuracy(card) == ("70 (paper)", "71 (a)")


def test_every_published_accuracy_names_its_source():
    for name in list_models():
        for text in zoo.published_accuracy(model_card(name)):
            assert text[0].isdigit(), (name, text)
            assert "(" in text, (name, text)


def test_families_are_counted():
    table = zoo.family_table(["c3d", "i3d_rgb", "i3d_flow"]).splitlines()
    assert len(table) == 4
    assert table[3].startswith("| [i3d](docs/models.md#i3d) | 2 | 12.67 to 12.69 M |")


def test_an_unknown_model_has_no_row():
    with pytest.raises(ValueError, match="c3d"):
        zoo.model_row("c3dd")
