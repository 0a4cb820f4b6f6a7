"""Leaves a process behind: double fork, own session, deaf to signals, holding the output open."""

import os
import signal
import sys
import time

import toy

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", "pgolf-cheat-daemon"])
    os._exit(0)
time.sleep(0.2)
toy.save(toy.train())
toy.report(*toy.score(toy.load()))
