"""Download of the published weights file; its digest decides whether it is used."""

from __future__ import annotations

import logging
import os
import ssl
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tqdm import tqdm

from neural_style.network.weights import PUBLISHED_SHA256, WeightsError
from neural_style.system.files import digest
from neural_style.text import printable

if TYPE_CHECKING:
    import requests

log = logging.getLogger(__name__)

TIMEOUTS = (8.0, 30.0)  # seconds to connect, and without a byte after that
BLOCK = 1 << 16  # bytes between two writes, and two looks at Ctrl-C


@dataclass(frozen=True)
class RemoteFile:
    """A file whose size in bytes and SHA-256 are known before the download."""

    url: str
    size: int
    sha256: str


PUBLISHED = RemoteFile(
    "https://www.vlfeat.org/matconvnet/models/imagenet-vgg-verydeep-19.mat",
    534_904_783,
    PUBLISHED_SHA256,
)


class DownloadError(WeightsError):
    """The download failed: the site is `unreachable` or lacks the file, or its answer cannot be
    used or written.
    """

    def __init__(self, place: str | Path, problem: object, *, unreachable: bool = False) -> None:
        super().__init__(f"{printable(place)}: {printable(problem)}")
        self.unreachable = unreachable


def obtain(
    remote: RemoteFile,
    target: Path,
    mode: Literal["ask", "always", "never"],
    confirm: Callable[[str], bool] | None,
) -> bool:
    """Download a missing file if settings and user allow it; return whether `target` exists now.

    Args:
        remote, target: The file, and its path here.
        mode: Without a terminal `ask` downloads, unless the environment variable CI is set.
        confirm: Asks the user a question; None where there is no terminal.

    Raises:
        DownloadError: The download failed.
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
    """Download a file, or the rest of a partial one, and rename it once its digest is right.

    The partial file has `.part` after its name; it is kept when the connection is lost. A progress
    bar is drawn on standard error if that is a terminal.

    Raises:
        DownloadError: The site cannot be reached or sends another file, or the disk is full.
    """
    part = target.with_name(f"{target.name}.part")
    try:
        _fetch(remote, part)
        found = digest(part)
        if found != remote.sha256:
            part.unlink()
            problem = f"the file has SHA-256 {found}, expected {remote.sha256}; it was deleted"
            raise DownloadError(remote.url, f"{problem}. Try again, or another address")
        part.replace(target)
    except OSError as error:
        problem = f"cannot be written: {error.strerror or error}"
        raise DownloadError(target, problem) from None


def _fetch(remote: RemoteFile, part: Path) -> None:
    """Bring the partial file to the full size."""
    from requests import RequestException

    done = part.stat().st_size if part.exists() else 0
    if done >= remote.size:
        return  # complete but for its name, or another file: the digest decides
    with _open(remote.url, done) as response:
        done = _first_byte(response, remote, done)
        part.parent.mkdir(parents=True, exist_ok=True)
        options: Any = {"unit": "B", "unit_scale": True, "desc": "weights", "disable": None}
        bar = tqdm(total=remote.size, initial=done, **options)
        with bar, part.open("ab" if done else "wb") as file, suppress(RequestException):
            for block in response.iter_content(BLOCK):  # raises if the connection is lost
                done += file.write(block)
                bar.update(len(block))
                if done > remote.size:
                    break
    if done > remote.size:
        part.unlink()
        raise DownloadError(remote.url, f"sends more than the expected {remote.size:,} bytes")
    if done < remote.size:
        problem = f"the connection ended after {done:,} of {remote.size:,} bytes"
        raise DownloadError(remote.url, f"{problem}; run again to continue", unreachable=True)


def _open(url: str, start: int) -> requests.Response:
    """Return the server's response from byte `start` on, its body not yet read."""
    from requests import RequestException

    try:
        response = _request(url, start)
    except ValueError as error:  # not an address, or one that is neither http nor https
        raise DownloadError(url, error) from None
    except RequestException as error:
        reason = getattr(_cause(error), "strerror", None) or _cause(error)
        raise DownloadError(url, f"cannot be reached: {reason}", unreachable=True) from None
    if response.status_code in (200, 206):
        return response
    response.close()
    problem = f"the server answered {response.status_code} {response.reason}"
    raise DownloadError(url, problem, unreachable=True)


def _request(url: str, start: int) -> requests.Response:
    """Send a request, and again without verification if the certificate is invalid."""
    import requests

    headers = {"User-Agent": "Mozilla/5.0 (neural-style)", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    options: Any = {"headers": headers, "stream": True, "timeout": TIMEOUTS}
    try:
        return requests.get(url, **options)
    except requests.exceptions.SSLError as error:
        cause = _cause(error)
        if not isinstance(cause, ssl.SSLCertVerificationError):
            raise
    message = "%s: invalid certificate (%s); continuing, since the digest decides"
    log.warning(message, printable(url), cause.verify_message)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # urllib3 warns too
        return requests.get(url, **options, verify=False)


def _first_byte(response: requests.Response, remote: RemoteFile, requested: int) -> int:
    """Return the position in the file of a response's first byte, as requested or 0."""
    start = 0 if response.status_code == 200 else requested
    part = response.headers.get("Content-Range", "")
    if response.status_code == 206 and not part.startswith(f"bytes {start}-"):
        raise DownloadError(remote.url, "sends another part of the file than was requested")
    announced = response.headers.get("Content-Length", "")[:20]  # int refuses thousands of digits
    if announced.isdecimal() and start + int(announced) != remote.size:
        problem = f"announces {start + int(announced):,} bytes, expected {remote.size:,}"
        raise DownloadError(remote.url, f"{problem}; this is another file")
    return start


def _cause(error: BaseException) -> BaseException:
    """Return the system's error below those of Requests and urllib3."""
    while error.__context__ is not None:
        error = error.__context__
    return error
