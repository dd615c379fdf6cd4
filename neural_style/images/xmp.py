"""The settings of a run as an XMP packet, the metadata of an image that most viewers show."""

from __future__ import annotations

import struct
import zlib
from xml.etree import ElementTree
from xml.sax.saxutils import escape

_CREATOR = "neural-style-optimisation"
_DC = "http://purl.org/dc/elements/1.1/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMP = "http://ns.adobe.com/xap/1.0/"

JPEG_SEGMENT = f"{_XMP}\0".encode()
"""What precedes a packet in the APP1 segment of a JPEG file (XMP specification, part 3)."""

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


def packet(settings: str) -> bytes:
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
    """Return the text of a packet of ours in an image file's bytes, or None.

    Packets are made to be found by scanning for them, whatever the format around them.
    """
    start, end = content.find(b"<x:xmpmeta"), content.find(b"</x:xmpmeta>")
    try:
        meta = ElementTree.fromstring(content[start : end + len(b"</x:xmpmeta>")])
    except ElementTree.ParseError:  # there is none, or none that is whole
        return None
    description = meta.find(f"{{{_RDF}}}RDF/{{{_RDF}}}Description")
    if description is None or description.get(f"{{{_XMP}}}CreatorTool") != _CREATOR:
        return None
    return description.findtext(f"{{{_DC}}}description/{{{_RDF}}}Alt/{{{_RDF}}}li")
