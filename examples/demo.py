"""Serve examples/diabetes and, once it answers, say how to call it. ``make demo`` runs this."""

import argparse
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

FOLDER = Path(__file__).parent / "diabetes"
REQUEST = json.loads((FOLDER / "request.json").read_text("utf-8"))


def main() -> int:
    """Start the server, show one answer, and end when the server does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=5001)
    port = parser.parse_args().port
    command = [sys.executable, "-m", "scorehost", "serve", "score.py", "--port", str(port)]
    with subprocess.Popen(command, cwd=FOLDER) as server:
        # Ctrl-C reaches the server by itself; it drains, and this waits for it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: server.terminate())
        wait_until_ready(server, f"http://127.0.0.1:{port}/readyz")
        if server.poll() is None:
            show(f"http://127.0.0.1:{port}")
        return server.wait()


def wait_until_ready(server: subprocess.Popen[bytes], address: str) -> None:
    """Ask until the server can score, or has ended."""
    while server.poll() is None and not answers(address):
        time.sleep(0.1)


def answers(address: str) -> bool:
    """Whether a GET is answered 200."""
    try:
        with urlopen(address, timeout=5):
            return True
    except URLError:  # not listening yet, or 503
        return False


def show(server: str) -> None:
    """Ask once, and print the request as a curl line with its answer."""
    body = json.dumps(REQUEST)
    with urlopen(Request(f"{server}/score", body.encode()), timeout=30) as answer:
        result = answer.read().decode()
    print("\nServing. Ask it from another terminal (Ctrl-C here ends it):\n")
    print(f"  curl -d '{body}' {server}/score")
    print(f"  {result}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
