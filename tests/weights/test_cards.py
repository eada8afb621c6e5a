import re

import pytest

from keepface.errors import WeightsError
from keepface.weights.cards import card, cards


def test_every_card_says_where_its_file_comes_from_and_on_what_terms():
    for name, one in cards().items():
        assert one.name == name
        assert re.fullmatch(r"[0-9a-f]{64}", one.sha256)
        assert one.bytes > 0
        assert one.member.endswith("/" + one.file)
        assert all([one.package, one.source, one.licence, one.trained_on, one.used_for])


def test_no_two_cards_share_a_file_name_or_a_hash():
    assert len({one.file for one in cards().values()}) == len(cards())
    assert len({one.sha256 for one in cards().values()}) == len(cards())


def test_an_unknown_card_is_an_error_that_lists_the_known_ones():
    with pytest.raises(WeightsError, match="weights 'arcface' are unknown; known weights: mtcnn-pnet, .*sface"):
        card("arcface")
