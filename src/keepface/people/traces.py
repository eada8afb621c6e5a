"""Find what the cache of identity features holds of a person: its names say nothing, so the faces are compared."""

from collections.abc import Sequence
from pathlib import Path

from keepface.identity.compare import cosine
from keepface.identity.embed import SAME_PERSON, FeatureCache, IdentityFeatures
from keepface.people.person import Person
from keepface.people.store import Library

COMPARABLE = ("recogniser", "recogniser_sha256", "channels")  # what two vectors must share to be compared


def cached_features(library: Library, person: Person, cache: FeatureCache) -> tuple[Path, ...]:
    """Return the cache's entries that may be of a person: those whose face passes for theirs, on the safe side.

    Entries that can't be compared (damaged, or by other networks) count as well, and so do all when a photo of the
    person has no features. A cache only saves time: what is deleted too much is made again.
    """
    entries = cache.entries()
    if not entries:
        return ()
    kept = [library.features(person, photo) for photo in person.photos]
    known = [item.features for item in kept if item is not None]
    if len(known) < len(kept):
        return tuple(entries)
    return tuple(path for path in entries if _may_be(cache.read(path.stem), known))


def _may_be(entry: IdentityFeatures | None, known: Sequence[IdentityFeatures]) -> bool:
    return entry is None or any(not _comparable(entry, item) or _alike(entry, item) for item in known)


def _comparable(entry: IdentityFeatures, item: IdentityFeatures) -> bool:
    return all(entry.provenance.get(name) == item.provenance.get(name) for name in COMPARABLE)


def _alike(entry: IdentityFeatures, item: IdentityFeatures) -> bool:
    floor = SAME_PERSON.get(item.provenance.get("recogniser", ""), -1.0)
    return float(cosine(entry.recogniser, item.recogniser)) >= floor
