"""Writes until nothing is left."""

import time

import toy

toy.train()
with open("big", "wb") as file:
    try:
        while True:
            file.write(b"x" * (1 << 20))
    except OSError as error:
        toy.say(f"disk: {error.errno}")
time.sleep(30)
