"""What can be put on (`Category`) and which of the two published networks does it (`Variant`).

The half-body network (hd) was trained on upper garments only and knows no label prompt; the
full-body network (dc) takes all three and is told which one by a one-word prompt. The words are
those of its training data and therefore part of the model.
"""

from enum import StrEnum


class Category(StrEnum):
    """The part of the body that the garment covers."""

    UPPER = "upper"
    LOWER = "lower"
    DRESS = "dress"


class Variant(StrEnum):
    """A published pair of UNets, named as in its checkpoint folder (`ootd_hd`, `ootd_dc`)."""

    HALF_BODY = "hd"
    FULL_BODY = "dc"


LABEL_PROMPTS: dict[Category, str] = {
    Category.UPPER: "upperbody",
    Category.LOWER: "lowerbody",
    Category.DRESS: "dress",
}

CATEGORIES: dict[Variant, frozenset[Category]] = {
    Variant.HALF_BODY: frozenset({Category.UPPER}),
    Variant.FULL_BODY: frozenset(Category),
}


def as_category(category: Category | str) -> Category:
    """A category by its name. Raises ValueError naming those that there are."""
    try:
        return Category(category)
    except ValueError:
        names = ", ".join(Category)
        raise ValueError(f"category is '{category}', but must be one of {names}.") from None


def check_category(variant: Variant, category: Category) -> None:
    """Raises ValueError if `variant` was not trained on garments of `category`."""
    if category not in CATEGORIES[variant]:
        raise ValueError(
            f"The half-body variant ({Variant.HALF_BODY}) dresses upper garments only, "
            f"not '{category}': use the full-body variant ({Variant.FULL_BODY})."
        )
