"""A folder that guides itself: what such a call may ask for, and who is in the folder's photos."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from keepface.cli.restore_call import Call, Model
from keepface.cli.show import progress
from keepface.errors import MissingExtraError, RecipeError

if TYPE_CHECKING:
    from keepface.engine.from_album import AlbumPeople
    from keepface.engine.provenance import Options
    from keepface.engine.whole import PictureRestorer


def check_from_album(call: Call, model: Model) -> None:
    """Refuse, before any network is loaded, what can't go together.

    Raises:
        RecipeError: others are to lead as well, or one person that was learned, or the whole picture is restored.
        MissingExtraError: SciPy is not installed.
    """
    if call.references or call.person is not None or call.everybody or model.adapter is not None:
        raise RecipeError("--from-album finds references in the album; leave out --ref, --person, --people, --adapter")
    if call.settings.tile or call.settings.changes_size:
        raise RecipeError("by tiles one person leads the whole picture; leave out --tile and --scale, or --from-album")
    if find_spec("scipy") is None:
        raise MissingExtraError("--from-album needs SciPy: pip install 'keepface[grouping]'")


def in_album(restorer: "PictureRestorer", call: Call, options: "Options", all_faces: bool) -> "AlbumPeople":
    """Find out who is in the photos of a call, also in those that were done before.

    Raises:
        RecipeError: the method is led by one person that it has learned.
    """
    from keepface.engine.batch import batching_for
    from keepface.engine.from_album import people_of_album
    from keepface.methods.method import Personal

    if isinstance(restorer.method, Personal):
        raise RecipeError(
            f"method {restorer.method.name!r} is led by one person it has learned; leave out --from-album"
        )
    photos = [job.source for job in call.jobs.jobs]
    with progress("looking for people") as advance:
        return people_of_album(restorer, photos, options, all_faces, batching_for(len(photos)).workers, advance)
