"""How `keepface serve` is set up, and what it takes from whoever calls."""

import math
from dataclasses import dataclass
from pathlib import Path

from keepface.errors import RecipeError
from keepface.listening import LOOPBACK, is_loopback

MIB = 2**20
TOKEN_LENGTH = 16  # ours: letters of the shortest token that is taken


@dataclass(frozen=True)
class ServeSettings:
    """Where to listen, what to restore with, and the limits.

    Raises:
        RecipeError: a limit out of range, or another address than this machine's own without a token.
    """

    host: str = "127.0.0.1"
    port: int = 7878  # 0 takes a free one
    token: str | None = None  # whoever calls must know it; needed where others than this machine can call
    hosts: tuple[str, ...] = ()  # names by which the page is called besides its addresses, such as attic.local
    family: str = "compact"  # a bundled name, a folder or a hub id
    device: str | None = None
    precision: str | None = None
    library: Path | None = None  # folder of the people; None: the user's own
    cache: Path | None = None  # folder of kept features, from which a person is forgotten too
    folder: Path | None = None  # in which the private folder of photos and results is made; None: the user's cache
    upload_mib: int = 64  # a file
    album_mib: int = 2048  # all files of one call
    photos: int = 200  # of one call
    uploads: int = 4  # calls that send files at one time
    queue: int = 16  # jobs that wait or run
    rate_per_minute: int = 600  # calls from one address
    keep_minutes: float = 60.0  # results
    kept_mib: int = 2048  # results in memory; beyond it the oldest go
    max_pixels: int = 64_000_000  # of a photo
    silence_s: float = 60.0  # of an upload, until it is given up

    def __post_init__(self) -> None:
        limits = ("upload_mib", "album_mib", "photos", "uploads", "queue", "rate_per_minute", "kept_mib", "max_pixels")
        for name in limits:
            if getattr(self, name) < 1:
                raise RecipeError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        for name in ("keep_minutes", "silence_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise RecipeError(f"{name} is {getattr(self, name)}; it must be above 0")
        if not 0 <= self.port <= 65535:
            raise RecipeError(f"port is {self.port}; it must be from 0 to 65535")
        if self.token is not None and (len(self.token) < TOKEN_LENGTH or not self.token.isascii()):
            raise RecipeError(f"the token has {len(self.token)} letters; at least {TOKEN_LENGTH} are needed, all ASCII")
        if self.token is None and not self.is_local:
            raise RecipeError(
                f"{self.host} can be reached from other machines, and whoever reaches it has your photos: a token is "
                f"needed; set KEEPFACE_TOKEN, or listen at {LOOPBACK[1]}"
            )

    @property
    def is_local(self) -> bool:
        """Tell whether no other machine can call."""
        return is_loopback(self.host)
