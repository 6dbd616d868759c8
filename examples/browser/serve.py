"""Serves this folder to this machine alone: python serve.py [PORT]

Threads in WebAssembly are for pages that are isolated from other sites: hence the two headers,
which `python -m http.server` does not send. Without them the page works with one thread.
"""

import functools
import http.server
import pathlib
import sys


class Isolated(http.server.SimpleHTTPRequestHandler):
    """Sends files with the headers of isolation."""

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()


if __name__ == "__main__":
    address = ("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
    folder = str(pathlib.Path(__file__).parent)
    handler = functools.partial(Isolated, directory=folder)
    with http.server.ThreadingHTTPServer(address, handler) as server:
        print(f"http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()
