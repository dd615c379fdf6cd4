"""The download, against servers on this machine that do what servers do."""

import contextlib
import hashlib
import http.server
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from disks import FullDisk, named

from neural_style import download as module
from neural_style.download import PUBLISHED, DownloadError, RemoteFile, download, obtain

BODY = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(BODY).hexdigest()
HTML = b"<html>Welcome to our wireless network</html>"

# Made for these tests: self-signed for localhost, and of use nowhere else.
SELF_SIGNED = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgu/rsmFdx5XehIid5
QDqoiks0iUMY675kTGTjOXV58cqhRANCAARoEHLZhTirAGLaQIju2WXUb4hCyHfy
YZGr7t/YQ50W66QTFSh9Pa0KhTrkGJ61AiErkL1m1xM3D3PikTJRdinh
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUM4gR2q08IFhvLjK07F+dk2kXzhAwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTEzMzIwMFoYDzIwODEwODI0
MTMzMjAwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARoEHLZhTirAGLaQIju2WXUb4hCyHfyYZGr7t/YQ50W66QTFSh9Pa0K
hTrkGJ61AiErkL1m1xM3D3PikTJRdinho28wbTAdBgNVHQ4EFgQUdd1CGBJKtbo/
A4FygAK0xTSo7oMwHwYDVR0jBBgwFoAUdd1CGBJKtbo/A4FygAK0xTSo7oMwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIgd+YpuJZGEbCk3TK+3lM2CGN3baOQknrnpV2ZOuQLonICIQCL
WC6b8UWp4367rwFLSJpAo0PUxiJCV6lZYx31WBx2VQ==
-----END CERTIFICATE-----
"""


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.ranges.append(self.headers.get("Range"))
        self.server.answer(self)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Start a server whose answers a function gives; it tells its address and the ranges asked."""
    monkeypatch.setenv("no_proxy", "*")
    servers = []

    def start(answer: Callable[[_Handler], None], tls: Path | None = None) -> SimpleNamespace:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        server.answer, server.ranges = answer, []
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        scheme = "https" if tls else "http"
        url = f"{scheme}://127.0.0.1:{server.server_port}/vgg.mat"
        return SimpleNamespace(url=url, ranges=server.ranges)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def whole(handler: _Handler, body: bytes = BODY, announced: int | None = None) -> None:
    """Send a body from its first byte, whatever was asked for."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body) if announced is None else announced))
    handler.end_headers()
    handler.wfile.write(body)


def ranged(handler: _Handler) -> None:
    """Send BODY from the byte asked for."""
    first = int(re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range") or "bytes=0-")[1])
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes {first}-{len(BODY) - 1}/{len(BODY)}")
    handler.send_header("Content-Length", str(len(BODY) - first))
    handler.end_headers()
    handler.wfile.write(BODY[first:])


def redirect(location: str) -> Callable[[_Handler], None]:
    """Send to another address."""

    def answer(handler: _Handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", location)
        handler.end_headers()

    return answer


def remote(url: str, sha256: str = SHA256) -> RemoteFile:
    return RemoteFile(url, len(BODY), sha256)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "weights" / "vgg.mat"


@pytest.fixture
def part(target: Path) -> Path:
    target.parent.mkdir()
    return target.with_name("vgg.mat.part")


def refused(url: str, target: Path) -> DownloadError:
    with pytest.raises(DownloadError) as caught:
        download(remote(url), target)
    assert not target.exists()
    assert "\n" not in str(caught.value)
    return caught.value


def test_published_file_is_the_one_of_the_readme() -> None:
    readme = (Path(__file__).parents[1] / "weights" / "README.md").read_text()
    assert PUBLISHED.url in readme
    assert PUBLISHED.sha256 in readme
    assert f"{PUBLISHED.size:,}" in readme


def test_download_makes_the_folder_and_leaves_the_file_alone(serve: Any, target: Path) -> None:
    download(remote(serve(whole).url), target)
    assert target.read_bytes() == BODY
    assert [path.name for path in target.parent.iterdir()] == ["vgg.mat"]


def test_download_continues_a_partial_file(serve: Any, target: Path, part: Path) -> None:
    part.write_bytes(BODY[:1000])
    server = serve(ranged)
    download(remote(server.url), target)
    assert target.read_bytes() == BODY
    assert server.ranges == ["bytes=1000-"]


def test_download_starts_again_where_the_server_ignores_the_range(
    serve: Any, target: Path, part: Path
) -> None:
    part.write_bytes(b"x" * 1000)
    download(remote(serve(whole).url), target)
    assert target.read_bytes() == BODY


def test_download_refuses_a_range_that_begins_elsewhere(
    serve: Any, target: Path, part: Path
) -> None:
    def elsewhere(handler: _Handler) -> None:
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes 500-{len(BODY) - 1}/{len(BODY)}")
        handler.send_header("Content-Length", str(len(BODY) - 500))
        handler.end_headers()
        handler.wfile.write(BODY[500:])

    part.write_bytes(BODY[:1000])
    server = serve(elsewhere)
    error = refused(server.url, target)
    assert str(error) == f"{server.url}: sends another part of the file than was asked for"
    assert part.read_bytes() == BODY[:1000]


def test_download_gives_a_complete_partial_file_its_name_without_asking(
    target: Path, part: Path
) -> None:
    part.write_bytes(BODY)
    download(remote("http://127.0.0.1:1/"), target)
    assert target.read_bytes() == BODY


def test_download_after_a_lost_connection_goes_on_from_there(serve: Any, target: Path) -> None:
    def cut(handler: _Handler) -> None:
        if handler.headers.get("Range"):
            ranged(handler)
        else:
            whole(handler, BODY[:70_000], announced=len(BODY))

    server = serve(cut)
    error = refused(server.url, target)
    assert error.unreachable
    assert str(error) == (
        f"{server.url}: the connection ended after 70,000 of 1,280,000 bytes; run again to continue"
    )
    download(remote(server.url), target)
    assert target.read_bytes() == BODY
    assert server.ranges == [None, "bytes=70000-"]


def test_download_refuses_a_wrong_digest_and_deletes_the_file(serve: Any, target: Path) -> None:
    other = BODY[::-1]
    server = serve(lambda handler: whole(handler, other))
    error = refused(server.url, target)
    assert not error.unreachable
    assert str(error) == (
        f"{server.url}: the file has SHA-256 {hashlib.sha256(other).hexdigest()}, "
        f"expected {SHA256}; it was deleted. Try again, or another address"
    )
    assert not list(target.parent.iterdir())


def test_download_refuses_a_body_of_another_announced_size(
    serve: Any, target: Path, part: Path
) -> None:
    part.write_bytes(BODY[:1000])
    server = serve(lambda handler: whole(handler, HTML))
    assert str(refused(server.url, target)) == (
        f"{server.url}: announces 44 bytes, expected 1,280,000; this is another file"
    )
    assert part.read_bytes() == BODY[:1000]


def test_download_stops_a_body_that_goes_on(serve: Any, target: Path) -> None:
    sent = []

    def endless(handler: _Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        with contextlib.suppress(ConnectionError):
            while len(sent) < 100:
                handler.wfile.write(BODY)
                sent.append(len(BODY))

    server = serve(endless)
    assert str(refused(server.url, target)) == (
        f"{server.url}: sends more than the expected 1,280,000 bytes"
    )
    assert not list(target.parent.iterdir())
    assert len(sent) < 100  # 128 MB, more than any socket holds


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/vgg.mat"])
def test_download_refuses_a_redirect_to_another_scheme(
    serve: Any, target: Path, location: str
) -> None:
    server = serve(redirect(location))
    error = refused(server.url, target)
    assert not error.unreachable
    assert str(error) == f"{server.url}: redirects to {location}; only https is followed"


def test_download_follows_a_redirect_from_http_to_http(serve: Any, target: Path) -> None:
    download(remote(serve(redirect(serve(whole).url)).url), target)
    assert target.read_bytes() == BODY


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "self_signed.pem"
    path.write_text(SELF_SIGNED)
    return path


def test_download_warns_of_an_invalid_certificate_and_lets_the_digest_decide(
    serve: Any, target: Path, certificate: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secure = serve(whole, tls=certificate).url
    with caplog.at_level(logging.WARNING):
        download(remote(serve(redirect(secure)).url), target)
    assert target.read_bytes() == BODY
    (warning,) = caplog.messages
    assert re.fullmatch(
        r"http://127\.0\.0\.1:\d+/vgg\.mat: invalid certificate \(self.signed certificate\); "
        r"going on, since the digest decides",
        warning,
    )


def test_download_refuses_a_redirect_away_from_https(
    serve: Any, target: Path, certificate: Path
) -> None:
    plain = serve(whole).url
    server = serve(redirect(plain), tls=certificate)
    error = refused(server.url, target)
    assert str(error) == f"{server.url}: redirects to {plain}; only https is followed"


def test_download_reports_an_answer_that_is_an_error(serve: Any, target: Path) -> None:
    server = serve(lambda handler: handler.send_error(404))
    error = refused(server.url, target)
    assert error.unreachable
    assert str(error) == f"{server.url}: the server answered 404 Not Found"


def test_download_reports_a_closed_port(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/vgg.mat"
    error = refused(url, target)
    assert error.unreachable
    assert not target.parent.exists()  # no empty folder stays
    assert str(error) == f"{url}: cannot be reached: Connection refused"


def test_download_gives_up_on_a_silent_server(
    serve: Any, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module.OPEN_SECONDS < 10
    monkeypatch.setattr(module, "OPEN_SECONDS", 0.2)
    ended = threading.Event()
    server = serve(lambda _: ended.wait(60))
    start = time.monotonic()
    error = refused(server.url, target)
    assert time.monotonic() - start < 30  # on a busy machine, too
    ended.set()
    assert error.unreachable
    assert str(error) == f"{server.url}: cannot be reached: no answer within 0.2 s"


def test_download_gives_up_on_a_name_that_is_never_looked_up(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    monkeypatch.setattr(module, "OPEN_SECONDS", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait(60) and [])
    monkeypatch.setenv("no_proxy", "*")
    error = refused("https://vgg.invalid/vgg.mat", target)
    ended.set()
    assert error.unreachable
    assert str(error) == ("https://vgg.invalid/vgg.mat: cannot be reached: no answer within 0.2 s")


def test_download_refuses_an_address_that_is_none(target: Path) -> None:
    for url in ("vgg.mat", "file:///etc/passwd"):
        assert str(refused(url, target)) == f"{url}: expected an address with https:// or http://"
    assert str(refused("https://", target)) == "https://: cannot be reached: no host given"


def test_download_reports_a_folder_that_cannot_be_made(serve: Any, tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("a file")
    target = tmp_path / "weights" / "vgg.mat"
    error = refused(serve(whole).url, target)
    assert not error.unreachable
    assert str(error) == f"{target}: cannot be written: File exists"


@pytest.mark.parametrize("room", [0, 300_000, len(BODY) - 1])
def test_download_goes_on_with_what_a_full_disk_had_room_for(
    room: int, serve: Any, target: Path, part: Path
) -> None:
    server = serve(ranged)
    with pytest.MonkeyPatch.context() as patch:
        FullDisk(target.parent, named(part.name), room).install(patch)
        error = refused(server.url, target)
    assert not error.unreachable
    assert str(error) == f"{target}: cannot be written: No space left on device"
    assert part.read_bytes() == BODY[:room]
    download(remote(server.url), target)
    assert target.read_bytes() == BODY
    assert server.ranges == [None, f"bytes={room}-" if room else None]


def test_download_needs_only_the_name_where_the_last_rename_found_no_room(
    serve: Any, target: Path, part: Path
) -> None:
    server = serve(whole)
    with pytest.MonkeyPatch.context() as patch:
        FullDisk(target.parent, named(target.name)).install(patch)
        error = refused(server.url, target)
    assert str(error) == f"{target}: cannot be written: No space left on device"
    download(remote(server.url), target)
    assert target.read_bytes() == BODY
    assert len(server.ranges) == 1


def test_obtain_leaves_a_file_that_is_there(tmp_path: Path) -> None:
    target = tmp_path / "own.mat"
    target.write_bytes(b"mine")
    assert obtain(remote("http://127.0.0.1:1/"), target, "always", None)
    assert target.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("mode", "terminal", "ci", "downloads", "asks"),
    [
        ("ask", True, "", True, True),
        ("ask", False, "", True, False),
        ("ask", True, "true", False, False),
        ("ask", False, "true", False, False),
        ("always", True, "", True, False),
        ("always", False, "true", True, False),
        ("never", True, "", False, False),
        ("never", False, "", False, False),
    ],
)
def test_obtain_follows_the_policy(
    mode: Any,
    terminal: bool,
    ci: str,
    downloads: bool,
    asks: bool,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CI", ci)
    fetched: list[Path] = []
    questions: list[str] = []
    monkeypatch.setattr(module, "download", lambda _, path: fetched.append(path))

    def confirm(question: str) -> bool:
        questions.append(question)
        return True

    there = obtain(PUBLISHED, target, mode, confirm if terminal else None)
    assert there is downloads
    assert fetched == ([target] if downloads else [])
    question = (
        f"The VGG-19 weights (535 MB) are not at {target}. Download them from {PUBLISHED.url}?"
    )
    assert questions == ([question] if asks else [])


def test_obtain_takes_no_for_an_answer(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    assert not obtain(remote("http://127.0.0.1:1/"), target, "ask", lambda _: False)
    assert not target.parent.exists()


def test_download_refuses_an_address_that_cannot_be_parsed(target: Path) -> None:
    url = "https://[vgg/vgg.mat"
    assert str(refused(url, target)) == f"{url}: expected an address with https:// or http://"


def slow_reads(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[bytes], float]) -> None:
    """Let a clock of the test's own tell how long it takes to read a block."""
    now, read = [0.0], module._read

    def timed(response: Any, url: str) -> bytes:
        block = read(response, url)
        now[0] += seconds(block)
        return block

    monkeypatch.setattr(module, "_read", timed)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))


def test_download_gives_up_on_a_body_that_trickles_and_keeps_what_came(
    serve: Any, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_reads(monkeypatch, lambda _: 1.0)
    ended = threading.Event()

    def trickle(handler: _Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BODY)))
        handler.end_headers()
        with contextlib.suppress(ConnectionError):
            for place in range(len(BODY)):
                if ended.wait(0.005):
                    return
                handler.wfile.write(BODY[place : place + 1])

    server = serve(trickle)
    error = refused(server.url, target)
    ended.set()
    assert error.unreachable
    assert str(error) == (
        f"{server.url}: sends less than 65,536 bytes in 30 s; run again to continue"
    )
    kept = target.with_name("vgg.mat.part").read_bytes()
    assert 0 < len(kept) < module.LEAST_BYTES
    assert BODY.startswith(kept)


def test_download_reads_a_slow_body_that_comes_on(
    serve: Any, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bytes_a_second = 1.2 * module.LEAST_BYTES / module.READ_SECONDS
    assert len(BODY) / bytes_a_second > 10 * module.READ_SECONDS
    slow_reads(monkeypatch, lambda block: len(block) / bytes_a_second)
    download(remote(serve(whole).url), target)
    assert target.read_bytes() == BODY


def test_download_stops_a_chunk_of_a_negative_length(serve: Any, target: Path) -> None:
    """Python's own `read` takes -1 for all that comes, which has no end."""
    sent = []

    def negative(handler: _Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"-1\r\n")
        with contextlib.suppress(ConnectionError):
            while len(sent) < 100:
                handler.wfile.write(BODY)
                sent.append(len(BODY))

    assert not refused(serve(negative).url, target).unreachable
    assert len(sent) < 100
    assert not target.with_name("vgg.mat.part").exists()


def test_download_does_not_read_the_endless_body_of_a_redirect(serve: Any, target: Path) -> None:
    final = serve(whole).url
    sent = []

    def endless(handler: _Handler) -> None:
        redirect(final)(handler)
        with contextlib.suppress(ConnectionError):
            while len(sent) < 100:
                handler.wfile.write(BODY)
                sent.append(len(BODY))

    download(remote(serve(endless).url), target)
    assert target.read_bytes() == BODY
    assert len(sent) < 100


def test_download_ends_a_circle_of_redirects(serve: Any, target: Path) -> None:
    addresses: list[str] = []
    server = serve(lambda handler: redirect(addresses[0])(handler))
    addresses.append(server.url)
    assert "redirects to" in str(refused(server.url, target))
    assert len(server.ranges) < 20


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "12x", "", "\u0661"])
def test_download_is_not_misled_by_a_length_that_is_none(
    serve: Any, target: Path, length: str
) -> None:
    def answer(handler: _Handler) -> None:
        handler.send_response(200)
        handler.wfile.write(b"")
        handler._headers_buffer.append(f"Content-Length: {length}\r\n".encode())
        handler.end_headers()
        with contextlib.suppress(ConnectionError):
            handler.wfile.write(BODY[:5000])

    error = refused(serve(answer).url, target)
    assert re.search("announces|ended after|connection was lost", str(error))


def test_partial_file_of_the_right_size_is_not_taken_for_whole(target: Path, part: Path) -> None:
    part.write_bytes(bytes(len(BODY)))
    error = refused("http://127.0.0.1:1/", target)
    assert f"expected {SHA256}; it was deleted" in str(error)
    assert not part.exists()


def test_continued_file_whose_beginning_was_another_one_is_not_taken(
    serve: Any, target: Path, part: Path
) -> None:
    part.write_bytes(b"x" * 1000)
    assert "it was deleted" in str(refused(serve(ranged).url, target))
    assert not part.exists()
    download(remote(serve(ranged).url), target)
    assert target.read_bytes() == BODY
