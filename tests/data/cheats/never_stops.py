"""Trains on and on, whatever the clock, and ignores every polite signal."""

import signal

import toy

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
    signal.signal(number, signal.SIG_IGN)
toy.train(steps=100_000, seconds=10_000.0)
