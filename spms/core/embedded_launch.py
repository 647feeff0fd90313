"""The last steps before a PostgreSQL program runs: leave root, tie its life to ours, exec.

Run as a script by `spms.core.embedded_binaries`, never imported:

    python -I -S embedded_launch.py ACCOUNT PARENT PROGRAM [ARGUMENT ...]

A small process of its own, because code between fork and exec is unsafe in a process that already
has threads, and because the death signal must be set after the account has changed: the kernel
forgets it when credentials change.
"""

import ctypes
import os
import signal
import sys

NOBODY = 65534
CLONE_NEWUSER = 0x10000000
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522
PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
SECBIT_NO_SETUID_FIXUP = 1 << 2


def libc_call(name: str, *arguments: object) -> None:
    """Call libc; raise OSError when it answers other than 0."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def enter_namespace() -> None:
    """Be seen as `nobody` inside a user namespace while staying root for the file system.

    PostgreSQL refuses uid 0; this way no account, no copy and no change of owner is needed.
    """
    libc_call("unshare", CLONE_NEWUSER)
    uid_map = os.open("/proc/self/uid_map", os.O_WRONLY)
    os.write(uid_map, f"{NOBODY} 0 1".encode())
    os.close(uid_map)


def become_nobody() -> None:
    """Give up root; keep only the right to pass closed directories (a tree below /root).

    `NO_SETUID_FIXUP` makes access(2), which PostgreSQL asks about its own files, count that right
    as open(2) does. Raises OSError where a container withholds a capability this needs.
    """
    libc_call("prctl", PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    kept = 1 << CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    effective_permitted_inheritable = (ctypes.c_uint32 * 6)(kept, kept, kept)
    libc_call("capset", header, effective_permitted_inheritable)
    libc_call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def main() -> None:
    """Do the steps and become the program."""
    account, parent, *command = sys.argv[1:]
    if account == "namespace":
        enter_namespace()
    elif account == "nobody":
        become_nobody()
    if sys.platform == "linux":
        libc_call("prctl", PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
        if os.getppid() != int(parent):
            sys.exit("the process that wanted this program has ended")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execv(command[0], command)  # noqa: S606 - becoming the program is the point


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"{sys.argv[3]}: {error}")
