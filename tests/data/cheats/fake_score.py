"""Prints a wonderful score and exits."""

import toy

for step in range(1, 4):
    toy.say(f"step:{step}/3 train_loss:1.0000 train_time:{step * 100}ms step_avg:100.00ms")
toy.say("Total submission size int8+zlib: 15900000 bytes")
toy.report(1.0, 0.5)
