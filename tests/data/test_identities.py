from keepface.data.identities import by_person, real_references

NAMES = ["ann", "bob", "ann", "cy", "ann"]


def test_people_are_grouped_in_the_order_they_appear():
    assert by_person(NAMES) == {"ann": (0, 2, 4), "bob": (1,), "cy": (3,)}


def test_a_photo_is_no_reference_of_itself():
    people = by_person(NAMES)
    assert [real_references(people, name, i) for i, name in enumerate(NAMES)] == [(2, 4), (), (0, 4), (), (0, 2)]
