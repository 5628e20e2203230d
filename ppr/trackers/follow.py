"""The process that replays a run while it trains: `python -m ppr.trackers.follow`.

It reads the run directory alone, so that nothing that a tracker does, or waits for, is in the run's
way. Standard input stays open as long as the run goes on: however its process ends, this one
learns of it, sends the rest and leaves. What goes wrong is one line on standard output.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

from ppr import registry
from ppr.results.failure import reason

_PATIENCE = 60.0
"""Seconds that it goes on after the run: nobody else would end it."""
_OTHERS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def main() -> int:
    for number in _OTHERS:  # a cluster signals every process of a job; those are for the run
        signal.signal(number, signal.SIG_IGN)
    folder, node, *plugins = sys.argv[1:]
    for path in plugins:
        registry.add_plugin(path)
    over = threading.Event()
    threading.Thread(target=_wait, args=(over,), daemon=True).start()
    try:
        registry.make("tracker", json.loads(node)).replay(Path(folder), over)
    except Exception as error:  # whatever it is, the run must hear of it and go on
        print(reason(error))
        return 1
    return 0


def _wait(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()
    threading.Timer(_PATIENCE, os.killpg, (os.getpgid(0), signal.SIGKILL)).start()


if __name__ == "__main__":
    # W&B's threads may hang in an outage: nothing here needs a tidy end.
    code = main()
    sys.stdout.flush()
    os._exit(code)
