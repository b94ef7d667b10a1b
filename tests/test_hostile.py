import socket
import threading
import time

from tests.hostile import Peer


def test_a_peer_lets_go_of_who_hangs_up_in_the_middle():
    """Else its thread goes round and round to the end of the run, and takes half of the time of all tests after it."""
    peer, before = Peer(), {*threading.enumerate()}
    with socket.create_connection(("127.0.0.1", peer.port)) as client:
        client.sendall(b"PUT / HTTP/1.1\r\nContent-Length: 10\r\n\r\nfive.")
        while not (serving := {one for one in {*threading.enumerate()} - before if one.ident}):  # it has started
            time.sleep(0.001)
    for thread in serving:
        thread.join(60)
        assert not thread.is_alive()
    peer.close()
