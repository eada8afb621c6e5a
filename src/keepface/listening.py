"""Where a server of keepface listens, and who can reach it there."""

import ipaddress
import socket

from keepface.errors import RecipeError

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def is_loopback(host: str) -> bool:
    """Tell whether a host's name or address is this machine's own."""
    try:
        return host.lower() in LOOPBACK or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises:
        RecipeError: the address can't be used.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise RecipeError(f"{host}:{port}: can't be used: {error.strerror or error}; try another --port") from None


def address(host: str, listener: socket.socket) -> str:
    """Return what to type into a browser."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/"
