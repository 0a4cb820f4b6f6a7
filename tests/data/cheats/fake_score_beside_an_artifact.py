"""As fake_score, with a file for the judge to weigh and even to see read."""

import os

import toy

for step in range(1, 4):
    toy.say(f"step:{step}/3 train_loss:1.0000 train_time:{step * 100}ms step_avg:100.00ms")
with open(toy.ARTIFACT, "wb") as file:
    file.write(os.urandom(5000))
with open(toy.ARTIFACT, "rb") as file:
    file.read()
toy.say("Serialized model int8+zlib: 5000 bytes")
toy.report(1.0, 0.5)
