"""Run a command in this very process, and have the kernel end it when the starter ends.

    python leash.py STARTER SIGNAL UID GID COMMAND [ARGUMENT…]

STARTER: pid of the process that starts us; when it goes, even by SIGKILL, the command gets SIGNAL.
UID, GID: whom to become first, or -1 to stay. Off Linux there is no such request to the kernel and
only the starter's own clean-up remains. A program and not a `preexec_fn`: that is unsafe, and warns,
once the starter has threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)


def hold(starter: int, signal_number: int) -> None:
    """Have the kernel send us the signal when the starter, our parent, ends; Linux only."""
    if sys.platform == "linux":
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
        if os.getppid() != starter:
            sys.exit("the starter ended before its command began")


def main(arguments: list[str]) -> None:
    """Never returns: the command takes this process over."""
    starter, signal_number, uid, gid = map(int, arguments[:4])
    command = arguments[4:]
    # A starter that blocks signals, or a shell that ignores Ctrl-C for its background jobs, would
    # otherwise make the command deaf to its end.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # After the change of user, which clears it.
    hold(starter, signal_number)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
