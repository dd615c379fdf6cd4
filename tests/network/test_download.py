"""The download, against servers on this machine that do what servers do."""

import contextlib
import hashlib
import http.server
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
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


def chunked(size: bytes) -> Answer:
    """Send a body without end in chunks, of which the first says how long it is."""

    def answer(handler: _Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        send(handler, 200, size + b"\r\n", Transfer_Encoding="chunked")
        pour(handler)

    return answer


def redirect(location: str) -> Answer:
    return lambda handler: send(handler, 302, Location=location)


def redirected(handler: _Handler) -> None:
    """Send BODY from another address, behind a redirect with a body of its own that has no end."""
    if handler.path == "/moved":
        return whole(handler)
    redirect("/moved")(handler)
    return pour(handler)


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
    assert all(told in readme for told in (PUBLISHED.url, PUBLISHED.sha256, f"{PUBLISHED.size:,}"))


@pytest.mark.parametrize(
    ("there", "answer", "asked"),
    [
        (None, whole, [None]),
        (None, redirected, [None, None]),
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
    told = f"the file has SHA-256 {hashlib.sha256(body).hexdigest()}, expected {SHA256}"
    return f"{told}; it was deleted. Try again, or another address"


def of_length(length: str) -> Answer:
    return lambda handler: whole(handler, BODY[:5000], length)


HTML = b"<html>Welcome to our wireless network</html>"
OTHER = b"x" * 1000  # the beginning of another file
CUT = "the connection ended after 5,000 of 1,280,000 bytes; run again to continue"
LOST = "the connection was lost (IncompleteRead(0 bytes read)); run again to continue"
ANNOUNCES = "announces {} bytes, expected 1,280,000; this is another file"
TOO_MUCH = "sends more than the expected 1,280,000 bytes"
ANOTHER_PART = "sends another part of the file than was asked for"
REDIRECTS = "redirects to {}; only https is followed"
FTP = "ftp://127.0.0.1/vgg.mat"
REFUSED: dict[str, tuple[bytes | None, Answer, str, bytes | None]] = {
    # What is there before, what is sent, what is told, what is there afterwards.
    "another part": (OTHER, lambda h: ranged(h, 500), ANOTHER_PART, OTHER),
    "wrong digest": (None, lambda h: whole(h, BODY[::-1]), deleted(BODY[::-1]), None),
    "wrong digest, complete": (bytes(len(BODY)), whole, deleted(bytes(len(BODY))), None),
    "wrong beginning": (OTHER, ranged, deleted(OTHER + BODY[1000:]), None),
    "another size": (OTHER, lambda h: whole(h, HTML), ANNOUNCES.format(44), OTHER),
    "no end": (None, lambda h: (send(h, 200), pour(h)), TOO_MUCH, None),
    "a chunk of -1 bytes, which Python reads to the end": (None, chunked(b"-1"), TOO_MUCH, None),
    "a chunk of no size": (None, chunked(b"x"), LOST, b""),
    "5,000 digits": (None, of_length("9" * 5000), ANNOUNCES.format(f"{10**20 - 1:,}"), None),
    "a length of -1": (None, of_length("-1"), CUT, BODY[:5000]),
    "a length of 12x": (None, of_length("12x"), CUT, BODY[:5000]),
    "an empty length": (None, of_length(""), CUT, BODY[:5000]),
    "an Arabic length": (None, of_length("\u0661"), CUT, BODY[:5000]),
    "a file": (None, redirect("file:///etc"), REDIRECTS.format("file:///etc"), None),
    "FTP": (None, redirect(FTP), REDIRECTS.format(FTP), None),
    "a circle": (None, redirect("/vgg.mat"), REDIRECTS.format("/vgg.mat"), None),
    "an error": (None, lambda h: h.send_error(404), "the server answered 404 Not Found", None),
}


@pytest.mark.parametrize("name", REFUSED)
def test_download_refuses_in_one_line_what_is_not_the_file(serve, target, part, name) -> None:
    before, answer, message, after = REFUSED[name]
    if before is not None:
        part.write_bytes(before)
    server = serve(answer)
    unreachable = message in (CUT, LOST) or name == "an error"
    assert refused(server.url, target, unreachable=unreachable) == f"{server.url}: {message}"
    assert (part.read_bytes() if part.exists() else None) == after
    assert len(server.poured) < POURED
    assert len(server.ranges) < 20


def test_download_warns_of_an_invalid_certificate_but_never_leaves_https(serve, target, caplog):
    secure = serve(whole, tls=True).url
    for url in (secure, serve(redirect(secure)).url):
        caplog.clear()
        fetch(url, target)
        assert target.read_bytes() == BODY
        (warning,) = caplog.messages
        why = r"invalid certificate \(self.signed certificate\); going on, since the digest decides"
        assert re.fullmatch(f"{re.escape(url)}: {why}", warning)
        target.unlink()
    plain = serve(whole).url
    url = serve(redirect(plain), tls=True).url
    told = f"{url}: {REDIRECTS.format(plain)}"
    assert refused(url, target, unreachable=False) == told


def test_download_tells_why_an_address_cannot_be_reached(serve, target, monkeypatch) -> None:
    """A closed port, no address at all, a silent server, a name that is never looked up."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/vgg.mat"
    ended = threading.Event()
    silent = serve(lambda _: ended.wait(60)).url
    for url in ("vgg.mat", "file:///etc/passwd", "https://[vgg/vgg.mat"):
        told = f"{url}: expected an address with https:// or http://"
        assert refused(url, target, unreachable=False) == told
    assert module.OPEN_SECONDS < 10
    for url, reason in (
        (closed, "Connection refused"),
        ("https://", "no host given"),
        (silent, "no answer within 0.2 s"),
        ("https://vgg.invalid/vgg.mat", "no answer within 0.2 s"),
    ):
        told = f"{url}: cannot be reached: {reason}"
        assert refused(url, target, unreachable=True) == told
        if url == "https://":
            monkeypatch.setattr(module, "OPEN_SECONDS", 0.2)
        elif url == silent:
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait(60) and [])
    assert not target.parent.exists()  # no empty folder stays
    ended.set()


@pytest.mark.parametrize("room", [0, 300_000, len(BODY) - 1, None])
def test_download_goes_on_with_what_a_full_disk_had_room_for(room, serve, target, part) -> None:
    """None: for the whole file, but not for its name, which is all that is done later."""
    server = serve(ranged)
    under = part.parent / "a file" / "vgg.mat"
    under.parent.touch()
    told = f"{under}: cannot be written: File exists"
    assert refused(serve(ranged).url, under, unreachable=False) == told
    with pytest.MonkeyPatch.context() as patch:
        full = named(target.name) if room is None else named(part.name)
        FullDisk(target.parent, full, room or 0).install(patch)
        told = refused(server.url, target, unreachable=False)
    assert told == f"{target}: cannot be written: No space left on device"
    assert part.read_bytes() == BODY[:room]
    fetch(server.url, target)
    assert target.read_bytes() == BODY
    asked = [] if room is None else [f"bytes={room}-" if room else None]
    assert server.ranges == [None, *asked]


def test_download_gives_up_on_a_body_that_trickles_but_not_on_a_slow_one(serve, part, monkeypatch):
    """By a clock of the test's own, and keeps what came."""
    ended, target = threading.Event(), part.with_suffix("")
    now, read, bytes_a_second = [0.0], module._read, 1.2 * module.LEAST_BYTES / module.READ_SECONDS
    assert len(BODY) / bytes_a_second > 10 * module.READ_SECONDS

    def timed(response: Any, url: str) -> bytes:
        block = read(response, url)
        now[0] += len(block) / bytes_a_second if ended.is_set() else 1
        return block

    def trickle(handler: _Handler) -> None:
        send(handler, 200, Content_Length=len(BODY))
        with contextlib.suppress(ConnectionError):
            for byte in BODY:
                if not ended.wait(0.005):
                    handler.wfile.write(bytes([byte]))

    monkeypatch.setattr(module, "_read", timed)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    url = serve(trickle).url
    told = refused(url, target, unreachable=True)
    ended.set()
    assert told == f"{url}: sends less than 65,536 bytes in 30 s; run again to continue"
    assert 0 < len(part.read_bytes()) < module.LEAST_BYTES
    assert BODY.startswith(part.read_bytes())
    part.unlink()
    fetch(serve(whole).url, target)
    assert target.read_bytes() == BODY


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
