"""The stages of dvc.yaml, one a file: each reads its inputs, calls the library, writes its outputs.

How a stage ends stands here and holds no arithmetic, which is why this file is no dependency of any stage.
"""

from __future__ import annotations

import argparse
import errno
import gc
import os
import sys
from collections.abc import Callable

from mia import params, paths
from mia.errors import INTERRUPTED, InputError


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
    gc.freeze()  # what was imported stays, and needs no search
    gc.enable()
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
