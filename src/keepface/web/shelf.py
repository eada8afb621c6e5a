"""One private folder for photos and results on their way; it goes with the server, and no name in it is a caller's."""

import contextlib
import secrets
import shutil
import time
from pathlib import Path

from platformdirs import user_cache_path

from keepface.people.private_files import FOLDER_MODE, make_private, one_at_a_time

TURN = ".turn"
FOLDER = "serve-"
PAGE = "page"


class Shelf:
    """A folder of mode 0700 with random trays; what a killed server left is cleared away by the next one.

    Raises:
        KeepfaceError: the folder can't be made.
    """

    def __init__(self, beside: Path | None = None) -> None:
        place = user_cache_path("keepface") / "serve" if beside is None else beside
        make_private(place)
        self._held = contextlib.ExitStack()
        with one_at_a_time(place / TURN):
            _clear(place)
            self.folder = place / f"{FOLDER}{secrets.token_hex(8)}"
            self.folder.mkdir(mode=FOLDER_MODE)
            self._held.enter_context(one_at_a_time(self.folder / TURN))

    def tray(self) -> Path:
        """Make a folder of its own for one call or job."""
        folder = self.folder / secrets.token_hex(16)
        folder.mkdir(mode=FOLDER_MODE)
        return folder

    @property
    def page(self) -> Path:
        """Return the folder in which the page keeps what it shows; the page makes it."""
        return self.folder / PAGE

    def clear_page(self, older_than_s: float = 0.0) -> None:
        """Delete what the page keeps, or what of it is older than so many seconds."""
        latest = time.time() - older_than_s
        for path in [*self.page.rglob("*")] if self.page.is_dir() else ():
            with contextlib.suppress(OSError):
                if not path.is_dir() and path.lstat().st_mtime <= latest:
                    path.unlink()

    def discard(self, tray: Path) -> None:
        """Delete a tray and all that lies in it."""
        if tray.parent == self.folder:
            shutil.rmtree(tray, ignore_errors=True)

    def close(self) -> None:
        """Delete everything."""
        self._held.close()  # first, for Windows deletes no file that is held
        shutil.rmtree(self.folder, ignore_errors=True)


def _clear(place: Path) -> None:
    for folder in place.glob(f"{FOLDER}*"):
        with contextlib.suppress(Exception), one_at_a_time(folder / TURN, waits=False) as alone:
            if alone:
                shutil.rmtree(folder, ignore_errors=True)
