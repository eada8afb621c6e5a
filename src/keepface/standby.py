"""Other processes that begin at once: what they need is imported beforehand, in a server that they are forked from."""

import signal
import sys
from multiprocessing import forkserver, get_context, resource_tracker
from typing import Literal

FEWEST_PHOTOS = 48  # ours, measured: in smaller albums the seconds that a process takes to begin are not won back

Start = Literal["spawn", "forkserver"]  # of multiprocessing: from nothing, or forked from the server


def import_ahead(*modules: str) -> Start:
    """Begin to import modules in a server beside this process; return how others are to be started, to have them.

    Most of the seconds that a process takes to begin are imports. The server is one for each process that calls, and
    ends with it. It is for Linux alone; elsewhere processes start from nothing.
    """
    if sys.platform != "linux":
        return "spawn"
    get_context("forkserver").set_forkserver_preload(list(modules))
    resource_tracker.ensure_running()  # as the server would do, and in doing so unblock what is blocked here
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # while it imports, it would print a traceback
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return "forkserver"
