"""The stages of dvc.yaml, one a file: `python -m stages.NAME` reads its inputs, calls the library, writes its outputs.

How a stage is started stands here and holds no arithmetic, which is why this file is no dependency of any stage.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

import psutil

INTERRUPTED = "interrupted: nothing is left half-written; `dvc repro` starts this stage again"


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Ctrl-C while a stage still imports says the same as later."""
    if issubclass(kind, KeyboardInterrupt):
        print(INTERRUPTED, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _hook


def _end_with_dvc() -> None:
    """End this process soon after the `dvc` that started it: whoever kills that means its stage too.

    Left alone, it would go on writing beside the next `dvc repro`, which does not know of it.
    """
    links = _links_to_dvc()
    while all(child.is_running() and child.ppid() == parent for child, parent in links):
        time.sleep(0.2)
    print("error: `dvc` is gone, and this stage ends with it; `dvc repro` starts it again", file=sys.stderr)
    os._exit(1)


def _links_to_dvc() -> list[tuple[psutil.Process, int]]:
    """This process and its parent's number, and the same of each one between it and `dvc`, which runs a shell."""
    links = [(psutil.Process(), os.getppid())]
    with suppress(psutil.Error):  # gone already: the last link is broken
        while "stages." in " ".join((above := psutil.Process(links[-1][1])).cmdline()):
            links.append((above, above.ppid()))
    return links


if "DVC_STAGE" in os.environ:  # DVC gives it to the commands that it runs
    threading.Thread(target=_end_with_dvc, daemon=True).start()

from mia import params, paths  # noqa: E402
from mia.errors import InputError  # noqa: E402

# Threads that wait for each other spin for a moment, then give the core up: the same numbers, as fast on an idle
# machine, twice as fast on a busy one (docs/LOG.md). It must be set before torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

# Matplotlib keeps its list of fonts below the home, and where it cannot it makes the list anew and says so, each stage.
if not (os.path.isdir(os.path.expanduser("~")) and os.access(os.path.expanduser("~"), os.W_OK)):
    os.environ.setdefault("MPLCONFIGDIR", os.path.abspath(".dvc/tmp/matplotlib"))


def run(main: Callable[[params.Params], None]) -> None:
    """Run a stage as a command: one line on stderr for what a user can mend, never a traceback for it."""
    sys.exit(_guarded(lambda: main(params.load(paths.PARAMS))))


def run_block(main: Callable[[params.Params, int], None]) -> None:
    """Run a stage for one block of shadows, `--block N`."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--block", type=int, required=True, help="a number in shadow.blocks of params.yaml")
    block = parser.parse_args().block
    sys.exit(_guarded(lambda: main(params.load(paths.PARAMS), block)))


def _guarded(stage: Callable[[], None]) -> int:
    try:
        stage()
    except InputError as error:
        print("\n".join(f"error: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno not in _DISK:
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(
            f"error: {os.strerror(error.errno)}{where}: nothing is left half-written; mend that, then `dvc repro`",
            file=sys.stderr,
        )
        return 1
    return 0


_DISK = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EISDIR,
    errno.ENOTDIR,
}
