"""A local server, for tests of what lies behind an address."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any


class Quiet(SimpleHTTPRequestHandler):
    """Serves files whole, as it knows no ranges, and logs nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        del format, args


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address behind which a local server has the files of a folder."""
    serve = partial(Quiet, directory=str(folder))
    with running(ThreadingHTTPServer(("127.0.0.1", 0), serve)) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running(server: TCPServer) -> Iterator[int]:
    """The port on which a server listens, in a thread of its own."""
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
