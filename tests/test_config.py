"""A recipe is read strictly: what is not a setting of that type is an error that says where."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepface.config import dump_toml, from_dict, override, read_toml, to_dict
from keepface.errors import RecipeError


@dataclass(frozen=True)
class Optim:
    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    warmup_steps: int = 0


@dataclass(frozen=True)
class Recipe:
    name: str
    optim: Optim = Optim()
    sampler: Literal["ddim", "unipc"] = "unipc"
    limit: int | None = None
    sizes: tuple[int, ...] = ()
    use_ema: bool = True
    shares: dict[str, float] = field(default_factory=dict)


def read(data: dict[str, Any]) -> Recipe:
    return from_dict(Recipe, {"name": "x", **data}, "r.toml")


def test_values_left_out_take_their_defaults() -> None:
    assert read({}) == Recipe("x")


def test_a_misspelt_key_names_the_near_one_and_its_table() -> None:
    with pytest.raises(RecipeError, match=r"r.toml \[optim\]: unknown key 'warmup_step'; did you mean 'warmup_steps'?"):
        read({"optim": {"warmup_step": 3}})


def test_a_key_like_no_other_lists_the_known_ones() -> None:
    with pytest.raises(RecipeError, match="unknown key 'zzz'; known keys: lr, betas, warmup_steps"):
        read({"optim": {"zzz": 3}})


def test_a_missing_key_without_default_is_an_error() -> None:
    with pytest.raises(RecipeError, match="r.toml: key 'name' is missing; it has no default"):
        from_dict(Recipe, {}, "r.toml")


def test_whole_numbers_are_taken_for_floats_and_lists_for_tuples() -> None:
    recipe = read({"optim": {"lr": 1, "betas": [0, 1]}, "sizes": [1, 2, 3], "shares": {"lfw": 1}})
    assert (recipe.optim.lr, recipe.optim.betas, recipe.sizes, recipe.shares) == (
        1.0,
        (0.0, 1.0),
        (1, 2, 3),
        {"lfw": 1.0},
    )
    assert isinstance(recipe.optim.lr, float)


@pytest.mark.parametrize(
    "data",
    [
        {"optim": {"lr": "1e-4"}},
        {"optim": {"lr": True}},
        {"optim": {"warmup_steps": 1.5}},
        {"optim": {"betas": [0.9]}},
        {"use_ema": 1},
        {"limit": "3"},
        {"sampler": "euler"},
        {"sizes": 3},
    ],
)
def test_nothing_else_is_converted(data: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="r.toml"):
        read(data)


def test_an_optional_value_takes_none_and_its_type() -> None:
    assert read({"limit": None}).limit is None
    assert read({"limit": 3}).limit == 3


@given(
    lr=st.floats(allow_nan=False, allow_infinity=False),
    sizes=st.lists(st.integers(-(2**40), 2**40)),
    limit=st.none() | st.integers(0, 10**9),
    name=st.text(st.characters(blacklist_categories=("Cs", "Cc"))),
)
def test_settings_survive_the_way_through_toml(lr: float, sizes: list[int], limit: int | None, name: str) -> None:
    recipe = Recipe(name, Optim(lr=lr), limit=limit, sizes=tuple(sizes))
    assert from_dict(Recipe, tomllib.loads(dump_toml(to_dict(recipe))), "again") == recipe


def test_an_assignment_reaches_a_nested_key_and_leaves_the_data_as_it_was() -> None:
    data = {"optim": {"lr": 1.0}}
    assert override(data, ["optim.lr=5e-5", "sampler=ddim", "sizes=[1, 2]"]) == {
        "optim": {"lr": 5e-5},
        "sampler": "ddim",
        "sizes": [1, 2],
    }
    assert data == {"optim": {"lr": 1.0}}


@pytest.mark.parametrize("assignment", ["lr", "=3"])
def test_an_assignment_without_key_or_equals_says_how_to_write_it(assignment: str) -> None:
    with pytest.raises(RecipeError, match="write it as key=value"):
        override({}, [assignment])


def test_an_assignment_through_a_value_is_an_error() -> None:
    with pytest.raises(RecipeError, match="'lr' is a value, not a table"):
        override({"lr": 1}, ["lr.x=2"])


def test_a_recipe_that_is_missing_or_no_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="there is no such recipe"):
        read_toml(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("a = ")
    with pytest.raises(RecipeError, match="broken.toml: not TOML"):
        read_toml(broken)
    twice = tmp_path / "twice.toml"
    twice.write_text("a = 1\na = 2\n")
    with pytest.raises(RecipeError, match="not TOML"):
        read_toml(twice)
