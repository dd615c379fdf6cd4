"""Fetching the published weights file, of which nothing but its digest is trusted."""

from __future__ import annotations

import http.client
import logging
import os
import queue
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal
from urllib.parse import urlsplit

from tqdm import tqdm

from neural_style.network.weights import PUBLISHED_SHA256, WeightsError
from neural_style.system.files import digest
from neural_style.text import printable

log = logging.getLogger(__name__)

OPEN_SECONDS = 8.0  # for name look-up, every address, redirects and a second try, all in all
READ_SECONDS = 30.0  # of silence in the middle of the file, or with less than this in them:
LEAST_BYTES = 1 << 16
BLOCK = 1 << 18
_DIGITS = 20  # of a length, at most; Python refuses to read thousands


@dataclass(frozen=True)
class RemoteFile:
    """A file that is known before it is fetched: its size in bytes and its SHA-256."""

    url: str
    size: int
    sha256: str


PUBLISHED = RemoteFile(
    "https://www.vlfeat.org/matconvnet/models/imagenet-vgg-verydeep-19.mat",
    534_904_783,
    PUBLISHED_SHA256,
)


class DownloadError(WeightsError):
    """The file was not obtained.

    Attributes:
        unreachable: True if the site could not be reached or did not have the file; False if what
            it sent was refused or could not be written.
    """

    def __init__(self, message: str, *, unreachable: bool = False) -> None:
        super().__init__(message)
        self.unreachable = unreachable


def obtain(
    remote: RemoteFile,
    target: Path,
    mode: Literal["ask", "always", "never"],
    confirm: Callable[[str], bool] | None,
) -> bool:
    """Download a missing weights file if the user's policy allows it.

    Args:
        remote: The file.
        target: Where it belongs.
        mode: `ask` puts the question where there is somebody to answer it, and otherwise downloads
            unless the environment variable CI is set.
        confirm: Puts a question to the user; None where there is no terminal.

    Returns:
        Whether `target` is there now.

    Raises:
        DownloadError: If the download was tried and failed.
    """
    if target.exists():
        return True
    if mode == "never" or (mode == "ask" and os.environ.get("CI")):
        return False
    question = (
        f"The VGG-19 weights ({remote.size / 1e6:,.0f} MB) are not at {printable(target)}. "
        f"Download them from {printable(remote.url)}?"
    )
    if mode == "ask" and confirm is not None and not confirm(question):
        return False
    download(remote, target)
    return True


def download(remote: RemoteFile, target: Path) -> None:
    """Fetch a file, continuing a partial one, and give it its name once its digest is right.

    The partial file has `.part` after its name and stays when the connection is lost. A progress
    bar is drawn on standard error if that is a terminal.

    Raises:
        DownloadError: If the site cannot be reached, sends something else, or the disk refuses.
    """
    part = target.with_name(f"{target.name}.part")
    try:
        _fetch(remote, part)
        found = digest(part)
        if found != remote.sha256:
            part.unlink()
            raise DownloadError(
                f"{printable(remote.url)}: the file has SHA-256 {found}, expected {remote.sha256}; "
                "it was deleted. Try again, or another address"
            )
        part.replace(target)
    except OSError as error:
        message = f"{printable(target)}: cannot be written: {error.strerror or error}"
        raise DownloadError(message) from None


def _fetch(remote: RemoteFile, part: Path) -> None:
    """Bring the partial file to the full size."""
    done = part.stat().st_size if part.exists() else 0
    if done >= remote.size:
        return  # complete but for its name, or not ours: the digest tells
    with _open(remote.url, done) as response:
        if response.status != 206:
            done = 0  # the whole file, though a part was asked for
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
            raise DownloadError(
                f"{printable(remote.url)}: sends another part of the file than was asked for"
            )
        announced = response.headers.get("Content-Length", "")[:_DIGITS]
        if announced.isdecimal() and done + int(announced) != remote.size:
            raise DownloadError(
                f"{printable(remote.url)}: announces {done + int(announced):,} bytes, "
                f"expected {remote.size:,}; this is another file"
            )
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab" if done else "wb") as file:
            done = _append(response, file, done, remote)
    url = printable(remote.url)
    if done > remote.size:
        part.unlink()
        raise DownloadError(f"{url}: sends more than the expected {remote.size:,} bytes")
    if done < remote.size:
        raise DownloadError(
            f"{url}: the connection ended after {done:,} of {remote.size:,} bytes; "
            "run again to continue",
            unreachable=True,
        )


def _append(response: Any, file: IO[bytes], done: int, remote: RemoteFile) -> int:
    """Write the rest of a file of which `done` bytes are there; return how many are now.

    Stops as soon as there are more than there should be: a body need not say how long it is.
    """
    with tqdm(
        total=remote.size, initial=done, unit="B", unit_scale=True, desc="weights", disable=None
    ) as bar:
        start, before = time.monotonic(), done
        while done <= remote.size and (block := _read(response, printable(remote.url))):
            file.write(block)
            done += len(block)
            bar.update(len(block))
            if done - before >= LEAST_BYTES:
                start, before = time.monotonic(), done
            elif time.monotonic() - start > READ_SECONDS:
                raise DownloadError(
                    f"{printable(remote.url)}: sends less than {LEAST_BYTES:,} bytes in "
                    f"{READ_SECONDS:g} s; run again to continue",
                    unreachable=True,
                )
    return done


def _read(response: Any, url: str) -> bytes:
    try:
        # Of a chunk that says it has -1 bytes, `read` would take all that comes; and `read1` does
        # not wait for a whole block.
        return response.read1(BLOCK)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise DownloadError(
            f"{url}: the connection was lost ({printable(error)}); run again to continue",
            unreachable=True,
        ) from None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to https, and from http to http; anything else comes back as the answer 30x."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        fp.close()  # or the body would be read to its end, which may never come
        new = urlsplit(newurl).scheme
        if new == "https" or new == req.type == "http":
            return super().redirect_request(req, fp, code, msg, headers, newurl)
        return None


def _open(url: str, start: int) -> Any:
    """Return the open response of a server from byte `start` on, within OPEN_SECONDS.

    In a thread of its own, because looking up a name knows no timeout, and a connection has one
    for each address of a name.
    """
    try:
        scheme = urlsplit(url).scheme
    except ValueError:  # brackets that are no address
        scheme = ""
    if scheme not in ("http", "https"):
        raise DownloadError(f"{printable(url)}: expected an address with https:// or http://")
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def attempt() -> None:
        try:
            answers.put(_request(url, start))
        except Exception as error:  # raised again below, in the caller's thread
            answers.put(error)

    threading.Thread(target=attempt, daemon=True).start()
    try:
        answer = answers.get(timeout=OPEN_SECONDS)
    except queue.Empty:
        answer = TimeoutError(f"no answer within {OPEN_SECONDS:g} s")
    if isinstance(answer, Exception):
        raise _explained(answer, url) from None
    return answer


def _request(url: str, start: int) -> Any:
    """Send the request; where the certificate is not valid, again without asking for one."""
    request = urllib.request.Request(url, headers={"User-Agent": "Mozilla/5.0 (neural-style)"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    context = ssl.create_default_context()
    try:
        return _opener(context).open(request, timeout=READ_SECONDS)
    except urllib.error.URLError as error:
        if not isinstance(error.reason, ssl.SSLCertVerificationError):
            raise
        message = error.reason.verify_message
    log.warning(
        "%s: invalid certificate (%s); going on, since the digest decides", printable(url), message
    )
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return _opener(context).open(request, timeout=READ_SECONDS)


def _opener(context: ssl.SSLContext) -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _Redirects)


def _explained(error: Exception, url: str) -> DownloadError:
    site = printable(url)
    if isinstance(error, urllib.error.HTTPError) and 300 <= error.code < 400:
        location = printable(error.headers.get("Location", "nowhere"))
        return DownloadError(f"{site}: redirects to {location}; only https is followed")
    if isinstance(error, urllib.error.HTTPError):
        reason = f"the server answered {error.code} {printable(error.reason)}"
    elif isinstance(error, urllib.error.URLError):
        cause = getattr(error.reason, "strerror", None) or error.reason
        reason = f"cannot be reached: {printable(cause)}"
    else:
        reason = f"cannot be reached: {printable(error)}"
    return DownloadError(f"{site}: {reason}", unreachable=True)
