"""A web server on this machine that behaves well or badly, path by path.

with serving({"/good": good(content), "/bad": status(404)}) as server:
    fetch from server.address("/good"), then look at server.requests
"""

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Behaviour = Callable[["Handler"], None]
PAGE = b"\n<!DOCTYPE html><html><body>Too many downloads: try again tomorrow.</body></html>"


@dataclass
class Request:
    path: str
    range: str | None  # the header


@dataclass
class Served:
    port: int
    requests: list[Request] = field(default_factory=list)

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def count(self, path: str) -> int:
        return sum(request.path == path for request in self.requests)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.served.requests.append(Request(self.path, self.headers.get("Range")))
        self.close_connection = True
        behaviour = self.server.routes.get(self.path, status(404))
        with suppress(BrokenPipeError, ConnectionResetError):  # the client has had enough
            behaviour(self)

    def head(self, code, length=None, kind="application/octet-stream", **headers):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Connection", "close")
        self.end_headers()

    def first_wanted(self):
        """The first byte that the client asks for, or None."""
        wanted = self.headers.get("Range")
        return int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else None

    def reset(self):
        """Tear the connection down: the client sees a reset, not an end."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A connection torn down on purpose is no news."""


@contextmanager
def serving(routes: Mapping[str, Behaviour]) -> Iterator[Served]:
    """Answer each path in its way, all others with 404, as long as the block lasts."""
    server = Server(("127.0.0.1", 0), Handler)
    server.routes, server.served, server.closing = dict(routes), Served(server.server_port), threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.served
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


def good(content: bytes) -> Behaviour:
    """With Range, as it should be."""

    def behave(handler):
        start = handler.first_wanted()
        if start is None:
            handler.head(200, len(content), Accept_Ranges="bytes")
            handler.wfile.write(content)
        elif start >= len(content):
            handler.head(416, 0, Content_Range=f"bytes */{len(content)}")
        else:
            _part(handler, content, start)

    return behave


def _part(handler, content, start):
    handler.head(206, len(content) - start, Content_Range=f"bytes {start}-{len(content) - 1}/{len(content)}")
    handler.wfile.write(content[start:])


def without_range(content: bytes) -> Behaviour:
    """Always sends all of it."""

    def behave(handler):
        handler.head(200, len(content))
        handler.wfile.write(content)

    return behave


def wrong_range(content: bytes) -> Behaviour:
    """Says 206, but begins at the first byte; says so."""

    def behave(handler):
        if handler.first_wanted() is None:
            good(content)(handler)
        else:
            _part(handler, content, 0)

    return behave


def without_length(content: bytes) -> Behaviour:
    """The end is where the connection ends."""

    def behave(handler):
        handler.head(200)
        handler.wfile.write(content)

    return behave


def called_compressed(content: bytes) -> Behaviour:
    """Calls an archive that is compressed a text that was compressed on its way."""

    def behave(handler):
        handler.head(200, len(content), Content_Encoding="gzip")
        handler.wfile.write(content)

    return behave


def page(kind: str = "text/html; charset=utf-8", content: bytes = PAGE) -> Behaviour:
    """A page with 200, as when a quota is used up."""

    def behave(handler):
        handler.head(200, len(content), kind)
        handler.wfile.write(content)

    return behave


def empty() -> Behaviour:
    return without_range(b"")


def truncated(content: bytes, at: int) -> Behaviour:
    """Promises all, sends the bytes before `at` and closes; the rest can be had with Range."""

    def behave(handler):
        start = handler.first_wanted()
        if start is not None:
            good(content)(handler)
            return
        handler.head(200, len(content))
        handler.wfile.write(content[:at])

    return behave


def always_truncated(content: bytes, at: int) -> Behaviour:
    """Never gets beyond `at`."""

    def behave(handler):
        handler.head(200, len(content))
        handler.wfile.write(content[:at])

    return behave


def reset(content: bytes, at: int) -> Behaviour:
    """The connection is reset at `at`, each time."""

    def behave(handler):
        handler.head(200, len(content))
        handler.wfile.write(content[:at])
        handler.reset()

    return behave


def hanging(content: bytes = b"", at: int = 0) -> Behaviour:
    """Says nothing, or nothing more after `at` bytes, until the server is closed."""

    def behave(handler):
        if at:
            handler.head(200, len(content))
            handler.wfile.write(content[:at])
        handler.server.closing.wait()

    return behave


def trickling(content: bytes) -> Behaviour:
    """Sends a byte now and then: never silent, never done."""

    def behave(handler):
        handler.head(200, len(content))
        for at in range(len(content)):
            handler.wfile.write(content[at : at + 1])
            if handler.server.closing.wait(0.02):
                return

    return behave


def redirect(to: str) -> Behaviour:
    def behave(handler):
        handler.head(302, 0, Location=to)

    return behave


def status(code: int) -> Behaviour:
    def behave(handler):
        handler.head(code, 0)

    return behave
