"""Who is who: the photos of each person, and the other photos that can lead a target's restoration."""

from collections.abc import Mapping, Sequence


def by_person(identities: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Group the numbers of the photos by person, in the order of first appearance."""
    people: dict[str, list[int]] = {}
    for index, identity in enumerate(identities):
        people.setdefault(identity, []).append(index)
    return {identity: tuple(indices) for identity, indices in people.items()}


def real_references(people: Mapping[str, Sequence[int]], identity: str, index: int) -> tuple[int, ...]:
    """Return the other photos of the person on photo `index`."""
    return tuple(other for other in people[identity] if other != index)
