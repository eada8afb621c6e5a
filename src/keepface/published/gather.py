"""Find a family's published files in folders, in the model hub's cache, or on the hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from keepface.errors import HashMismatchError, WeightsError
from keepface.published.files import Release, releases_of
from keepface.weights.store import CardState, sha256

Hub = Literal["cache", "download"]
INSIGHTFACE = Path(".insightface") / "models"  # in the user's own folder: where insightface keeps its packs


@dataclass(frozen=True)
class Sources:
    """Where a family's published files are: by the release's name, then by the file's name as files.toml has it."""

    family: str
    paths: dict[str, dict[str, Path]]

    def path(self, release: str, file: str = "") -> Path:
        """Return where a file is, by the first of its names; a release of one file needs no name."""
        files = self.paths[release]
        return files[file] if file else next(iter(files.values()))

    def folder(self, release: str, file: str) -> Path:
        """Return the folder that a file is in."""
        return self.path(release, file).parent


def gather(family: str, folders: Sequence[Path], hub: Hub) -> Sources:
    """Find every file of a family: in the folders in their order, then in the hub's cache or on the hub.

    In a folder a file is looked for below OWNER/NAME/, NAME/ and the folder itself; what is on no hub below NAME/NAME/
    too, and where insightface keeps its packs.

    Raises:
        WeightsError: an unknown family, no such folder, or files that are nowhere; the text says how to get them.
        HashMismatchError: a file is not the one that its publisher names.
    """
    for folder in folders:
        if not folder.is_dir():
            raise WeightsError(f"{folder}: there is no such folder")
    paths: dict[str, dict[str, Path]] = {}
    lacking: list[str] = []
    for release in releases_of(family).values():
        found = {names[0]: find(release, names, folders, hub) for names in release.wanted}
        paths[release.name] = {name: path for name, path in found.items() if path is not None}
        if missing := [name for name, path in found.items() if path is None]:
            lacking.append(f"{_how_to_get(release)}: {', '.join(missing)}")
    if lacking:
        raise WeightsError(f"{family}: not all of its files are there; " + "; ".join(lacking))
    return Sources(family, paths)


def find(release: Release, names: Sequence[str], folders: Sequence[Path], hub: Hub) -> Path | None:
    """Find one file by any of its names; `None` when it is nowhere.

    Raises:
        HashMismatchError: it is not the one that its publisher names.
        WeightsError: the hub can't be asked.
    """
    places = _places(release, folders)
    local = next((place / name for name in names for place in places if (place / name).is_file()), None)
    path = local or (_from_hub(release, names, hub) if release.hub else None)
    wanted = next((release.sha256[name] for name in names if name in release.sha256), None)
    if path and wanted and (got := sha256(path)) != wanted:
        raise HashMismatchError(f"{path}: SHA-256 is {got}, {release.hub} names {wanted}; fetch or copy it again")
    return path


def _places(release: Release, folders: Sequence[Path]) -> list[Path]:
    """List where a release's files may be; what is on no hub is unpacked by hand, or by insightface in its own folder.

    insightface's archives unpack to NAME/NAME/ where they are unpacked into a folder of their name.
    """
    inside = [release.hub or release.folder, release.folder]
    own = []
    if not release.hub:
        inside.append(f"{release.folder}/{release.folder}")
        own = [Path.home() / INSIGHTFACE / release.folder, Path.home() / INSIGHTFACE / release.folder / release.folder]
    return [folder / part for folder in folders for part in (*inside, "")] + own


def _from_hub(release: Release, names: Sequence[str], hub: Hub) -> Path | None:
    unreachable = ""
    for name in names:
        try:
            return Path(hf_hub_download(release.hub, name, local_files_only=hub == "cache"))
        except LocalEntryNotFoundError as error:  # not in the cache, and the hub is out of reach or not to be asked
            unreachable = str(error).splitlines()[0]
        except EntryNotFoundError:
            continue
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            raise WeightsError(f"{release.hub}: the hub says: {str(error).splitlines()[0]}") from None
    if unreachable and hub == "download":
        raise WeightsError(
            f"{release.hub}: {names[0]} is not in the hub's cache, and the hub can't be asked: {unreachable} "
            "Copy the files by hand and name their folder: --from FOLDER"
        )
    return None


def _how_to_get(release: Release) -> str:
    if not release.hub:
        return (
            f"by hand from {release.page}: unpack {release.folder}.zip into FOLDER/{release.folder}, "
            "and name it: --from FOLDER"
        )
    return f"from {release.hub} (keepface weights fetch {release.family} --accept-licence)"


def states(family: str, folders: Sequence[Path]) -> list[CardState]:
    """Say of each published file of a family whether it is on this machine; nothing is fetched."""
    found = []
    for release in releases_of(family).values():
        for names in release.wanted:
            title = f"{release.name}/{names[0]}"
            try:
                path = find(release, names, folders, "cache")
                found.append(CardState(title, path, path is not None, "" if path else _how_to_get(release)))
            except WeightsError as error:
                found.append(CardState(title, None, False, str(error)))
    return found
