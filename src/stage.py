"""Run one stage with the code of this very folder: `python src/stage.py NAME`, as dvc.yaml does.

`dvc exp run --temp` and queues run in copies of the repository. There `python -m stages.NAME` would find the installed
package, the workspace's code, and not the copy's: the folder of this file comes first on the path.
"""

from __future__ import annotations

import gc
import os
import runpy
import sys
import threading
import time
from contextlib import suppress
from types import TracebackType

import psutil

from mia import stage_seconds
from mia.compute import forking
from mia.errors import INTERRUPTED

SPREADING = ("train_imitators", "train_shadows")  # stages that spread their work over processes, nearly always


def main() -> None:
    """Run the stage that the first argument names, with the rest of the arguments."""
    sys.excepthook = _hook
    settle()
    gc.disable()  # an import makes no garbage, and is searched for it many times; `stages` switches it on again
    stage, arguments = sys.argv.pop(1), sys.argv[1:]
    if stage in SPREADING:
        forking.prepare()
    if "DVC_STAGE" in os.environ:  # DVC gives it to the commands that it runs
        threading.Thread(target=_end_with_dvc, daemon=True).start()
    try:
        runpy.run_module(f"stages.{stage}", run_name="__main__", alter_sys=True)
    except SystemExit as ended:  # which is how a stage always ends
        if not ended.code:
            stage_seconds.keep(stage, arguments, time.time() - psutil.Process().create_time())
        raise


def settle() -> None:
    """Set what libraries read from the environment when they are imported, where the user has not set it."""
    # Threads that wait for each other spin for a moment, then give the core up: the same numbers, as fast on an idle
    # machine, twice as fast on a busy one (docs/log.md). It must be set before torch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    # Matplotlib keeps its list of fonts below the home. Where it cannot, it makes the list anew each time and says so.
    home = os.path.expanduser("~")
    if not (os.path.isdir(home) and os.access(home, os.W_OK)):
        os.environ.setdefault("MPLCONFIGDIR", os.path.abspath(".dvc/tmp/matplotlib"))


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Ctrl-C while a stage still imports says the same as later."""
    if issubclass(kind, KeyboardInterrupt):
        print(INTERRUPTED, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


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
        while "stage.py" in " ".join((above := psutil.Process(links[-1][1])).cmdline()):
            links.append((above, above.ppid()))
    return links


if __name__ == "__main__":
    main()
