"""A server that speaks enough of the Hub's protocol to download from, on this machine.

Small files are answered directly with their git blob hash, large ones by a redirect to another
host name with their sha256, as the Hub does. It can break transfers off and change contents.
"""

import hashlib
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LARGE = 5_000


@dataclass(kw_only=True, slots=True)
class Hub:
    """contents: by URL path. break_after: bytes of the next answers to a GET before the line goes
    dead. broken: URL paths for which the storage answers 500. served: contents in place of the
    announced ones. busy: statuses and Retry-After headers of the next answers. login: a page that
    is answered to everything. requests: (method, URL path, Range header).
    """

    contents: dict[str, bytes]
    endpoint: str = ""
    storage: str = ""
    break_after: list[int] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    served: dict[str, bytes] = field(default_factory=dict)
    busy: list[tuple[int, str]] = field(default_factory=list)
    login: bytes | None = None
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)

    def downloads(self) -> list[tuple[str, str | None]]:
        """URL path and Range header of each GET for content."""
        return [(path, span) for method, path, span in self.requests if method == "GET"]


def url_path(repository: str, revision: str, path: str) -> str:
    return f"/{repository}/resolve/{revision}/{path}"


@contextmanager
def serve(contents: dict[str, bytes]) -> Generator[Hub]:
    """Runs a hub with these contents, by URL path, for the duration of the block."""
    hub = Hub(contents=contents)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            answer(self, hub)

        def do_GET(self) -> None:
            answer(self, hub)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    hub.storage = f"http://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer(request: BaseHTTPRequestHandler, hub: Hub) -> None:
    if hub.login is not None:
        hub.requests.append((request.command, request.path, None))
        send(request, 200, hub.login, {"Content-Type": "text/html"})
        return
    if hub.busy:
        status, pause = hub.busy.pop(0)
        send(request, status, b"later", {"Retry-After": pause} if pause else {})
        return
    stored = request.path.startswith("/storage")
    path = request.path.removeprefix("/storage")
    content = hub.contents.get(path)
    if content is None:
        hub.requests.append((request.command, path, None))
        send(request, 404, b"Entry not found", {"X-Error-Code": "EntryNotFound"})
        return
    commit = path.split("/resolve/")[1].split("/")[0]
    if len(content) >= LARGE and not stored:
        headers = {
            "Location": f"{hub.storage}/storage{path}",
            "X-Repo-Commit": commit,
            "X-Linked-Size": str(len(content)),
            "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
        }
        if request.command == "HEAD":
            hub.requests.append(("HEAD", path, None))
        send(request, 302, b"", headers)
        return
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    headers = {"ETag": f'"{blob}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
    span = request.headers.get("Range")
    hub.requests.append((request.command, path, span))
    if request.command == "GET" and path in hub.broken:
        send(request, 500, b"storage is down", {})
        return
    body, status = hub.served.get(path, content), 200
    if span is not None:
        first = int(span.removeprefix("bytes=").split("-")[0])
        headers["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
        body, status = body[first:], 206
    send(request, status, body, headers, hub.break_after if request.command == "GET" else [])


def send(
    request: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    headers: dict[str, str],
    break_after: list[int] | None = None,
) -> None:
    request.send_response(status)
    for key, value in headers.items():
        request.send_header(key, value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    if request.command == "HEAD":
        return
    if break_after and len(body) > break_after[0]:
        request.wfile.write(body[: break_after.pop(0)])
        request.close_connection = True
        return
    request.wfile.write(body)
