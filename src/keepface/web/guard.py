"""What stands before every call: who may call, from where, how often and with how much.

Other sites must not speak to keepface through a browser on this machine. Against a site that calls itself by this
machine's address (DNS rebinding) the Host is checked, against one that sends forms here (CSRF) the Origin and what the
browser says of the call (Fetch Metadata). Where others than this machine can call, they need the token.
"""

import hmac
import ipaddress
import logging
import secrets
import time
import traceback
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from fastapi.responses import JSONResponse, RedirectResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keepface.listening import LOOPBACK
from keepface.web.settings import MIB, ServeSettings

LOG = logging.getLogger("keepface.web")
API = "/v1"
FORMS = ("/v1/people", "/v1/restorations", "/v1/albums")  # calls of the API that send files
BODY_BYTES = 65_536  # of other calls of the API
COOKIE = "keepface"
SAFE = ("GET", "HEAD", "OPTIONS")
CLIENTS = 4_096  # addresses whose calls are counted at one time
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
API_HEADERS = {"content-security-policy": "default-src 'none'; frame-ancestors 'none'", "cache-control": "no-store"}
PAGE_HEADERS = {  # the page's own scripts and styles stand in it; nothing comes from, or goes, elsewhere
    "content-security-policy": (
        "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; base-uri 'self'; "
        "form-action 'self'; frame-ancestors 'none'"
    )
}


class Guard:
    """Passes calls on, or refuses them in JSON."""

    def __init__(self, app: ASGIApp, settings: ServeSettings) -> None:
        self.app, self._settings = app, settings
        self._rate = Rate(settings.rate_per_minute)
        self._cookie = secrets.token_urlsafe(32)  # what a browser that knew the token holds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a call and pass it on."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refused = self._refusal(scope)
        if scope["type"] == "websocket":
            if refused is not None:
                await send({"type": "websocket.close", "code": 1008})
                return
            await self.app(scope, receive, send)
            return
        sending = _Sending(send, scope["path"])
        if refused is not None:
            await refused(scope, receive, sending)
            return
        try:
            await self.app(scope, self._limited(scope, receive), sending)
        except HTTPException as error:
            await _answer(sending, scope, receive, error.status_code, str(error.detail))
        except Exception as error:
            LOG.error("%s in %s", type(error).__name__, _place(error))  # no text of it: it may name somebody
            said = f"something went wrong inside keepface ({type(error).__name__})"
            await _answer(sending, scope, receive, 500, said)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self._is_ours(host):
            return _refused(403, "this name is not one that keepface is called by; see --allow-host")
        if not _is_from_here(scope, headers, host):
            return _refused(403, "calls from other sites are refused")
        if self._counts(scope) and not self._rate.takes(_address(scope)):
            return _refused(429, "too many calls; try again later", {"retry-after": str(self._rate.wait_s)})
        if self._settings.token is not None:
            return self._admission(scope, headers)
        return self._too_large(scope, headers)

    def _admission(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        """Ask for the token: in a header, in the page's address once, or as the cookie that was given for it."""
        token = self._settings.token or ""
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and _same(given.strip(), token):
            return self._too_large(scope, headers)
        if _same(_cookie(headers), self._cookie):
            return self._too_large(scope, headers)
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["type"] == "http" and scope["method"] == "GET" and scope["path"] == "/" and _same(asked, token):
            welcome = RedirectResponse("/", 303)
            welcome.set_cookie(COOKIE, self._cookie, path="/", httponly=True, samesite="strict")
            return welcome
        return _refused(
            401,
            "a token is needed: open the address that keepface printed, or send the header Authorization: Bearer TOKEN",
            {"www-authenticate": "Bearer"},
        )

    def _too_large(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        length = headers.get("content-length")
        if length is not None and (not length.isascii() or not length.isdecimal()):
            return _refused(400, "the length of the body is no number")
        if length is not None and (len(length) > 18 or int(length) > self._most(scope)):
            return _refused(413, _too_much(self._most(scope)))
        return None

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """Count what comes in, whatever length was said, and break off where it is too much."""
        most, received = self._most(scope), 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise HTTPException(413, _too_much(most))
            return message

        return counted

    def _most(self, scope: Scope) -> int:
        path = scope["path"]
        if path.startswith(f"{API}/") and path not in FORMS:
            return BODY_BYTES
        return self._settings.album_mib * MIB + MIB  # and the form around the files

    def _counts(self, scope: Scope) -> bool:
        """Tell whether a call counts: those of the API, the page's that change something, and tries of a token."""
        is_try = b"token=" in scope["query_string"]
        return is_try or scope["path"].startswith(f"{API}/") or scope.get("method", "GET") not in SAFE

    def _is_ours(self, host: str) -> bool:
        """Tell whether a Host is this machine: its own names, those allowed and, with a token, any address."""
        name = _host_name(host)
        if name is None:
            return False
        known = {*LOOPBACK, self._settings.host.lower(), *(other.lower() for other in self._settings.hosts)}
        if name in known:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._settings.is_local  # an address can't be rebound


class Rate:
    """A bucket of calls for each address, filled evenly; the address that was quiet for longest is let go first."""

    def __init__(self, per_minute: int) -> None:
        self._most, self._a_second = float(per_minute), per_minute / 60
        self._left: dict[str, tuple[float, float]] = {}  # calls left, when

    @property
    def wait_s(self) -> int:
        """Return after how many seconds there is a call again."""
        return max(1, round(1 / self._a_second))

    def takes(self, address: str) -> bool:
        """Tell whether an address may call once more, and count it."""
        now = time.monotonic()
        left, then = self._left.pop(address, (self._most, now))
        left = min(self._most, left + (now - then) * self._a_second)
        is_taken = left >= 1
        self._left[address] = (left - 1 if is_taken else left, now)
        while len(self._left) > CLIENTS:
            del self._left[next(iter(self._left))]
        return is_taken


class _Sending:
    """Sends an answer with the headers that keep it to itself."""

    def __init__(self, send: Send, path: str) -> None:
        self._send, self.has_begun = send, False
        self._headers = HEADERS | (API_HEADERS if path.startswith(f"{API}/") else PAGE_HEADERS)

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_begun = True
            headers = MutableHeaders(scope=message)
            for name, value in self._headers.items():
                headers.setdefault(name, value)
        await self._send(message)


async def _answer(sending: _Sending, scope: Scope, receive: Receive, status: int, text: str) -> None:
    if not sending.has_begun:
        await _refused(status, text)(scope, receive, sending)


def _refused(status: int, text: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": text, "where": None}, status, headers={"connection": "close", **(headers or {})})


def _is_from_here(scope: Scope, headers: Headers, host: str) -> bool:
    """Tell whether a call comes from our own page, or from no page at all; other sites may link to ours. [Fetch]"""
    origin = headers.get("origin")
    if origin is not None:
        try:
            if urlsplit(origin).netloc.lower() != host.lower():
                return False
        except ValueError:
            return False
    site = headers.get("sec-fetch-site", "none").lower()
    is_link = scope.get("method") == "GET" and headers.get("sec-fetch-mode", "").lower() == "navigate"
    return site in ("none", "same-origin") or (is_link and not scope["path"].startswith(f"{API}/"))


def _host_name(host: str) -> str | None:
    """Return a Host without its port, and an address without its brackets; `None` when it is none."""
    try:
        parts = urlsplit(f"//{host}")
        name = parts.hostname
        _ = parts.port
    except ValueError:
        return None
    is_plain = parts.netloc == host and not parts.username and not parts.path and not parts.query
    return name.rstrip(".") if name and is_plain else None


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value


def _same(given: str, wanted: str) -> bool:
    """Compare in a time that tells nothing of what is wanted."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _too_much(most: int) -> str:
    return f"the body is larger than {most / MIB:g} MiB" if most >= MIB else f"the body is larger than {most} bytes"


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].name}:{frames[-1].lineno}" if frames else "nowhere"
