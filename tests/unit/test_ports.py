"""The ports that tests take for their servers."""

from itertools import islice

from support.server import PORTS_EACH, ports_of


def test_no_two_processes_try_the_same_port() -> None:
    """Whatever their process ids are, and however many ports they have taken already."""
    taken = [
        set(islice(ports_of(f"gw{number}", 7 * number), 2 * PORTS_EACH)) for number in range(8)
    ]

    assert all(len(ports) == PORTS_EACH for ports in taken)
    assert len(set.union(*taken)) == 8 * PORTS_EACH
    assert max(set.union(*taken)) < 32_768, "clients' ports begin there"
