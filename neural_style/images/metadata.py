"""An image's metadata: the orientation that a camera notes in EXIF, a run's settings in XMP."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import numpy as np

_ORIENTATION = 0x0112

_CREATOR = "neural-style-optimisation"
_DC = "http://purl.org/dc/elements/1.1/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMP = "http://ns.adobe.com/xap/1.0/"

JPEG_SEGMENT = f"{_XMP}\0".encode()
"""The prefix of a packet in the APP1 segment of a JPEG file (XMP specification, part 3)."""

_PNG_HEADER = 33  # the length in bytes of the signature and the IHDR chunk, which is the first

# The identifier is the same in all packets (XMP specification, part 1, ISO 16684-1).
_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">'
    f'<rdf:Description rdf:about="" xmlns:dc="{_DC}" xmlns:xmp="{_XMP}"'
    f' xmp:CreatorTool="{_CREATOR}"><dc:description><rdf:Alt>'
    '<rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt></dc:description>'
    '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


def exif_orientation(block: bytes) -> int:
    """Return the orientation tag, 1..8, in the first directory of an EXIF block; 1 if absent.

    The block is a TIFF header, which begins with its byte order (EXIF 2.3, section 4.5).
    """
    block = block.removeprefix(b"Exif\0\0")  # some writers of WebP and PNG put it in front
    order = "<" if block.startswith(b"II") else ">"
    with suppress(struct.error):  # a damaged block does not spoil the picture
        (directory,) = struct.unpack_from(f"{order}I", block, 4)
        (entries,) = struct.unpack_from(f"{order}H", block, directory)
        for entry in range(entries):
            place = directory + 2 + 12 * entry
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", block, place)
            if tag == _ORIENTATION:
                return value
    return 1


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo an orientation of [H, W, C]; numbers outside 1..8 mean nothing and change nothing."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def xmp_packet(settings: str) -> bytes:
    """Return a packet whose description is the text, which may hold any character XML allows."""
    return _PACKET.format(text=escape(settings)).encode()


def into_png(content: bytes, packet: bytes) -> bytes:
    """Return the PNG with the packet in an iTXt chunk, not compressed (XMP specification, part 3).

    The four zeros after the keyword's own are: not compressed, method, no language, no translation.
    """
    body = b"iTXt" + b"XML:com.adobe.xmp\0" + bytes(4) + packet
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return content[:_PNG_HEADER] + chunk + content[_PNG_HEADER:]


def find_settings(content: bytes) -> str | None:
    """Return the text of our own packet in an image file's bytes, or None if there is none.

    Packets are made to be found by scanning for them, whatever the format around them.
    """
    start, end = content.find(b"<x:xmpmeta"), content.find(b"</x:xmpmeta>")
    try:
        meta = ElementTree.fromstring(content[start : end + len(b"</x:xmpmeta>")])
    except ElementTree.ParseError:  # there is none, or only a part
        return None
    description = meta.find(f"{{{_RDF}}}RDF/{{{_RDF}}}Description")
    if description is None or description.get(f"{{{_XMP}}}CreatorTool") != _CREATOR:
        return None
    return description.findtext(f"{{{_DC}}}description/{{{_RDF}}}Alt/{{{_RDF}}}li")
