"""The download, against servers on this machine that do what servers do."""

import contextlib
import hashlib
import http.server
import os
import re
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock, call

import pytest
from disks import FullDisk, named
from references import ROOT

from neural_style.network import download as module
from neural_style.network.download import PUBLISHED, DownloadError, RemoteFile, download, obtain

BODY = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(BODY).hexdigest()
CERTIFICATE = ROOT / "tests" / "self_signed.pem"
POURED = 100  # times BODY, 128 MB: more than any socket holds


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.ranges.append(self.headers.get("Range"))
        self.server.answer(self)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


Answer = Callable[[_Handler], None]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Start a server of answers; it tells its address, the ranges asked and what was poured."""
    monkeypatch.setenv("no_proxy", "*")
    servers = []

    def start(answer: Answer, tls: bool = False) -> http.server.HTTPServer:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        server.answer, server.ranges, server.poured = answer, [], []
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        server.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}/vgg.mat"
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def send(handler: _Handler, status: int, body: bytes = b"", **fields: object) -> None:
    """Send an answer with header fields, whatever they are; `_` stands for `-` in their names."""
    handler.send_response(status)
    for name, value in fields.items():
        handler._headers_buffer.append(f"{name.replace('_', '-')}: {value}\r\n".encode())
    handler.end_headers()
    with contextlib.suppress(ConnectionError):
        handler.wfile.write(body)


def whole(handler: _Handler, body: bytes = BODY, length: object = None) -> None:
    send(handler, 200, body, Content_Length=len(body) if length is None else length)


def ranged(handler: _Handler, first: int | None = None) -> None:
    """Send BODY from the byte asked for, or from another one."""
    asked = handler.headers.get("Range") or "bytes=0-"
    first = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if first is None else first
    place = f"bytes {first}-{len(BODY) - 1}/{len(BODY)}"
    send(handler, 206, BODY[first:], Content_Range=place, Content_Length=len(BODY) - first)


def pour(handler: _Handler) -> None:
    """Send BODY again and again until the other end hangs up."""
    with contextlib.suppress(ConnectionError):
        while len(handler.server.poured) < POURED:
            handler.wfile.write(BODY)
            handler.server.poured.append(len(BODY))


def bad_chunk(handler: _Handler) -> None:
    handler.protocol_version = "HTTP/1.1"
    send(handler, 200, b"x\r\n", Transfer_Encoding="chunked")


def redirect(location: str) -> Answer:
    return lambda handler: send(handler, 302, Location=location)


def redirected(handler: _Handler) -> None:
    """Send BODY from another address than the one asked for."""
    (ranged if handler.path == "/moved" else redirect("/moved"))(handler)


def fetch(url: str, target: Path) -> None:
    download(RemoteFile(url, len(BODY), SHA256), target)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "weights" / "vgg.mat"


@pytest.fixture
def part(target: Path) -> Path:
    target.parent.mkdir()
    return target.with_name("vgg.mat.part")


def refused(url: str, target: Path, *, unreachable: bool) -> str:
    with pytest.raises(DownloadError) as caught:
        fetch(url, target)
    assert not target.exists()
    assert caught.value.unreachable is unreachable
    return str(caught.value)


def test_published_file_is_the_one_of_the_readme() -> None:
    readme = (ROOT / "weights" / "README.md").read_text()
    assert all(fact in readme for fact in (PUBLISHED.url, PUBLISHED.sha256, f"{PUBLISHED.size:,}"))


@pytest.mark.parametrize(
    ("there", "answer", "asked"),
    [
        (None, whole, [None]),
        (BODY[:1000], redirected, ["bytes=1000-"] * 2),
        (BODY[:1000], ranged, ["bytes=1000-"]),
        (b"x" * 1000, whole, ["bytes=1000-"]),  # the server ignores the range
        (BODY, whole, []),  # complete but for its name
    ],
    ids=range(5),
)
def test_download_makes_the_folder_and_leaves_the_file_alone(serve, target, there, answer, asked):
    if there is not None:
        target.parent.mkdir()
        target.with_name("vgg.mat.part").write_bytes(there)
    server = serve(answer)
    fetch(server.url, target)
    assert target.read_bytes() == BODY
    assert [path.name for path in target.parent.iterdir()] == ["vgg.mat"]
    assert server.ranges == asked
    assert len(server.poured) < POURED


def deleted(body: bytes) -> str:
    message = f"the file has SHA-256 {hashlib.sha256(body).hexdigest()}, expected {SHA256}"
    return f"{message}; it was deleted. Try again, or another address"


def of_length(length: str) -> Answer:
    return lambda handler: whole(handler, BODY[:5000], length)


HTML = b"<html>Welcome to our wireless network</html>"
OTHER = b"x" * 1000  # the beginning of another file
CUT = "the connection ended after {} of 1,280,000 bytes; run again to continue"
ANNOUNCES = "announces {} bytes, expected 1,280,000; this is another file"
TOO_MUCH = "sends more than the expected 1,280,000 bytes"
ANOTHER_PART = "sends another part of the file than was requested"
ENDED = CUT.format("5,000")
FILE = "file:///etc/passwd"
REFUSED: dict[str, tuple[bytes | None, Answer, str, bytes | None]] = {
    # What is there before, what is sent, the message, what is there afterwards.
    "another part": (OTHER, lambda h: ranged(h, 500), ANOTHER_PART, OTHER),
    "wrong digest": (None, lambda h: whole(h, BODY[::-1]), deleted(BODY[::-1]), None),
    "wrong digest, complete": (bytes(len(BODY)), whole, deleted(bytes(len(BODY))), None),
    "wrong beginning": (OTHER, ranged, deleted(OTHER + BODY[1000:]), None),
    "another size": (OTHER, lambda h: whole(h, HTML), ANNOUNCES.format(44), OTHER),
    "no end": (None, lambda h: (send(h, 200), pour(h)), TOO_MUCH, None),
    "a chunk of no size": (None, bad_chunk, CUT.format(0), b""),
    "5,000 digits": (None, of_length("9" * 5000), ANNOUNCES.format(f"{10**20 - 1:,}"), None),
    "a length of -1": (None, of_length("-1"), ENDED, BODY[:5000]),
    "a length of 12x": (None, of_length("12x"), ENDED, BODY[:5000]),
    "an empty length": (None, of_length(""), ENDED, BODY[:5000]),
    "an Arabic length": (None, of_length("\u0661"), ENDED, BODY[:5000]),
    "a file": (None, redirect(FILE), f"No connection adapters were found for {FILE!r}", None),
    "a circle": (None, redirect("/vgg.mat"), "cannot be reached: Exceeded 30 redirects.", None),
    "an error": (None, lambda h: h.send_error(404), "the server answered 404 Not Found", None),
}


@pytest.mark.parametrize("name", REFUSED)
def test_download_refuses_in_one_line_what_is_not_the_file(serve, target, part, name) -> None:
    before, answer, message, after = REFUSED[name]
    if before is not None:
        part.write_bytes(before)
    server = serve(answer)
    unreachable = message.startswith(("the connection", "the server", "cannot be reached"))
    assert refused(server.url, target, unreachable=unreachable) == f"{server.url}: {message}"
    assert (part.read_bytes() if part.exists() else None) == after
    assert len(server.poured) < POURED


@pytest.mark.filterwarnings("error")
def test_download_warns_of_an_invalid_certificate(serve, target, caplog):
    secure = serve(whole, tls=True).url
    for url in (secure, serve(redirect(secure)).url):
        caplog.clear()
        fetch(url, target)
        assert target.read_bytes() == BODY
        (warning,) = caplog.messages
        why = r"\(self.signed certificate\); continuing, since the digest decides"
        assert re.fullmatch(f"{re.escape(url)}: invalid certificate {why}", warning)
        target.unlink()
    plain = serve(whole).url.replace("http", "https")  # which answers, but not in TLS
    caplog.clear()
    assert refused(plain, target, unreachable=True).startswith(f"{plain}: cannot be reached: ")
    assert not caplog.messages


def test_download_tells_why_an_address_cannot_be_reached(serve, target, monkeypatch) -> None:
    """A closed port, no address at all, an unknown name, a server that answers nothing."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/vgg.mat"
    for url in ("vgg.mat", "file:///etc/passwd", "https://[vgg/vgg.mat", "https://"):
        assert url in refused(url, target, unreachable=False)
    unknown = Mock(side_effect=socket.gaierror(-2, "Name or service not known"))
    name = "https://vgg.invalid/vgg.mat"
    message = f"{name}: cannot be reached: Name or service not known"
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", unknown)
        assert refused(name, target, unreachable=True) == message
    ended = threading.Event()
    silent = serve(lambda _: ended.wait(60)).url
    assert module.TIMEOUTS[0] < 10
    monkeypatch.setattr(module, "TIMEOUTS", (8.0, 0.2))
    for url, reason in ((closed, "Connection refused"), (silent, "timed out")):
        message = f"{url}: cannot be reached: {reason}"
        assert refused(url, target, unreachable=True) == message
    assert not target.parent.exists()  # no empty folder stays
    ended.set()


def test_download_continues_after_ctrl_c(serve, target, part) -> None:
    ended = threading.Event()

    def interrupt(handler: _Handler) -> None:
        whole(handler, BODY[:100_000], len(BODY))
        while not part.exists() or not part.stat().st_size:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)
        ended.wait(60)

    with pytest.raises(KeyboardInterrupt):
        fetch(serve(interrupt).url, target)
    ended.set()
    assert part.read_bytes() == BODY[: module.BLOCK]
    server = serve(ranged)
    fetch(server.url, target)
    assert target.read_bytes() == BODY
    assert server.ranges == [f"bytes={module.BLOCK}-"]


@pytest.mark.parametrize("room", [0, 300_000, len(BODY) - 1, None])
def test_download_goes_on_with_what_a_full_disk_had_room_for(room, serve, target, part) -> None:
    """None: for the whole file, but not for its name, which is all that is done later."""
    server = serve(ranged)
    under = part.parent / "a file" / "vgg.mat"
    under.parent.touch()
    message = f"{under}: cannot be written: File exists"
    assert refused(serve(ranged).url, under, unreachable=False) == message
    with pytest.MonkeyPatch.context() as patch:
        full = named(target.name) if room is None else named(part.name)
        FullDisk(target.parent, full, room or 0).install(patch)
        message = refused(server.url, target, unreachable=False)
    assert message == f"{target}: cannot be written: No space left on device"
    assert part.read_bytes() == BODY[:room]
    fetch(server.url, target)
    assert target.read_bytes() == BODY
    asked = [] if room is None else [f"bytes={room}-" if room else None]
    assert server.ranges == [None, *asked]


@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize(
    "case",  # mode, terminal, CI, whether it downloads, whether it asks
    [
        ("ask", True, "", True, True),
        ("ask", False, "", True, False),
        *(("ask", terminal, "true", False, False) for terminal in (True, False)),
        ("always", True, "", True, False),
        ("always", False, "true", True, False),
        *(("never", terminal, "", False, False) for terminal in (True, False)),
    ],
)
def test_obtain_follows_the_policy_and_takes_no_for_an_answer(case, answer, target, monkeypatch):
    mode, terminal, ci, downloads, asks = case
    fetched, confirm = Mock(), Mock(return_value=answer)
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(module, "download", fetched)
    downloads = downloads and (answer or not asks)
    assert obtain(PUBLISHED, target, mode, confirm if terminal else None) is downloads
    assert fetched.mock_calls == ([call(PUBLISHED, target)] if downloads else [])
    target.parent.mkdir()
    target.touch()
    assert obtain(PUBLISHED, target, mode, None)  # what is there is left alone
    assert fetched.call_count == downloads
    place = f"are not at {target}. Download them from {PUBLISHED.url}?"
    assert confirm.mock_calls == ([call(f"The VGG-19 weights (535 MB) {place}")] if asks else [])
