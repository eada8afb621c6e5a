import pytest

from keepface.engine.settings import RestoreSettings
from keepface.errors import RecipeError


def test_a_setting_out_of_range_is_named_with_its_range() -> None:
    with pytest.raises(RecipeError, match="identity is 1.5; it must be from 0 to 1"):
        RestoreSettings(identity=1.5)
    with pytest.raises(RecipeError, match="max_faces is 0; it must be 1 or more"):
        RestoreSettings(max_faces=0)


def test_a_number_that_is_no_number_is_refused() -> None:
    with pytest.raises(RecipeError, match="guidance is nan"):
        RestoreSettings(guidance=float("nan"))
