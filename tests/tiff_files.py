"""TIFF files of every kind, each with the colours that it holds by the definition of the format."""

from __future__ import annotations

import itertools
import random
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

HEIGHT, WIDTH = 18, 25
TILE = 16
# XYZ of D50 to linear sRGB, adapted by Bradford, as Bruce Lindbloom publishes it.
FROM_D50 = [
    [3.1338561, -1.6168667, -0.4906146],
    [-0.9787684, 1.9161415, 0.0334540],
    [0.0719453, -0.2289914, 1.4052427],
]


@dataclass(frozen=True)
class Kind:
    """What varies in a TIFF file."""

    photometric: str
    bits: int  # negative for floating-point samples
    extra: str = ""  # "alpha", "premultiplied" or "unknown", the channel beyond the colours
    planar: bool = False
    compression: str = "none"
    predictor: bool = False
    big_endian: bool = False
    tiled: bool = False
    big: bool = False

    def __str__(self) -> str:
        words = [self.photometric, f"{self.bits}", self.extra, self.compression]
        words += [name for name in ("planar", "predictor", "tiled") if getattr(self, name)]
        words += ["big-endian"] * self.big_endian + ["BigTIFF"] * self.big
        return " ".join(filter(None, words))


CHANNELS = {"miniswhite": 1, "minisblack": 1, "palette": 1, "rgb": 3, "separated": 4, "cielab": 3}
BITS = {
    "miniswhite": (1, 4, 8, 12, 16, -32),
    "minisblack": (1, 2, 4, 8, 10, 12, 14, 16, -16, -32),
    "palette": (1, 4, 8),
    "rgb": (4, 8, 10, 16, -32),
    "separated": (8, 16),
    "cielab": (8, 16),
}
PACKED = (1, 2, 4, 10, 12, 14)  # bits of samples that share bytes, packed here
COMPRESSIONS = ("none", "lzw", "zlib", "packbits", "zstd", "lzma")


def kinds(number: int) -> list[Kind]:
    """Draw from the product of everything that varies."""
    found = []
    for photometric, all_bits in BITS.items():
        for bits, extra, packed in itertools.product(
            all_bits, ("", "alpha", "premultiplied", "unknown"), COMPRESSIONS
        ):
            if extra and photometric not in ("minisblack", "rgb"):
                continue
            for planar, predictor, order, tiled, big in itertools.product((False, True), repeat=5):
                several = CHANNELS[photometric] + bool(extra) > 1
                sensible = bits in (8, 16) and packed in ("lzw", "zlib", "zstd")
                if (planar and not several) or (predictor and not sensible):
                    continue
                if bits in PACKED and (packed != "none" or tiled or big):
                    continue
                found.append(
                    Kind(photometric, bits, extra, planar, packed, predictor, order, tiled, big)
                )
    return random.Random(0).sample(found, number)


def write(path: Path, kind: Kind) -> tuple[np.ndarray, np.ndarray | None]:
    """Write a file of random samples; return its colours, 0..255, and its opacity, 0..1."""
    channels = CHANNELS[kind.photometric] + bool(kind.extra)
    random_numbers = np.random.default_rng(abs(kind.bits))
    ramp = np.linspace(0, 1, WIDTH)[:, np.newaxis] * np.linspace(0.4, 1, channels)
    unit = np.clip(ramp + random_numbers.uniform(-0.2, 0.2, (HEIGHT, WIDTH, channels)), 0, 1)
    if kind.extra == "premultiplied":
        unit[..., :-1] *= unit[..., -1:]
    if kind.bits < 0:
        samples = unit.astype({-16: np.float16, -32: np.float32}[kind.bits])
        shares = samples.astype(np.float64)
    else:
        white = (1 << kind.bits) - 1
        samples = np.rint(unit * white).astype(np.uint8 if kind.bits <= 8 else np.uint16)
        shares = samples / white
    colours, alpha, options = _meaning(kind, samples, shares)
    stored = np.moveaxis(samples, 2, 0) if kind.planar else samples
    if channels == 1:
        stored = samples[..., 0]
    if kind.bits in PACKED:
        path.write_bytes(_packed(kind, samples, options))
        return colours, alpha
    tifffile.imwrite(
        path,
        stored,
        bigtiff=kind.big,
        byteorder=">" if kind.big_endian else "<",
        photometric=kind.photometric,
        planarconfig=("separate" if kind.planar else "contig") if channels > 1 else None,
        compression=None if kind.compression == "none" else kind.compression,
        predictor=kind.predictor or None,
        tile=(TILE, TILE) if kind.tiled else None,
        rowsperstrip=None if kind.tiled else 7,
        metadata=None,
        **options,
    )
    return colours, alpha


def _meaning(kind, samples, shares):
    """The colours and the opacity that samples stand for, and what the file says about them."""
    options, alpha = {}, None
    if kind.extra:
        names = {"alpha": "unassalpha", "premultiplied": "assocalpha", "unknown": "unspecified"}
        options["extrasamples"] = [names[kind.extra]]
        if kind.extra != "unknown":
            alpha = shares[..., -1]
        shares = shares[..., :-1]
        if kind.extra == "premultiplied":
            shares = np.divide(shares, alpha[..., None], where=alpha[..., None] > 0, out=shares * 0)
            shares = np.minimum(shares, 1)
    if kind.photometric == "miniswhite":
        shares = 1 - shares
    elif kind.photometric == "separated":
        shares = (1 - shares[..., :3]) * (1 - shares[..., 3:])
    elif kind.photometric == "palette":
        table = np.random.default_rng(1).integers(0, 65536, (3, 1 << kind.bits), dtype=np.uint16)
        options["colormap"] = table
        shares = table.T[samples[..., 0]] / 65535
    elif kind.photometric == "cielab":
        step = 1 if kind.bits == 8 else 256
        ab = samples[..., 1:].astype(np.int8 if kind.bits == 8 else np.int16) / step
        lab = np.concatenate([shares[..., :1] * 100, ab], axis=2)
        return rgb_of_lab(lab), None, options
    return np.broadcast_to(shares * 255, (*shares.shape[:2], 3)), alpha, options


def _packed(kind: Kind, samples: np.ndarray, options: dict) -> bytes:
    """A file of samples that are packed bit after bit, each row beginning with a byte."""
    order, channels = ">" if kind.big_endian else "<", samples.shape[2]
    planes = [samples[..., i : i + 1] for i in range(channels)] if kind.planar else [samples]
    places = np.arange(kind.bits)[::-1]
    strips = []
    for plane in planes:
        bits = (plane.reshape(HEIGHT, -1, 1).astype(np.int64) >> places) & 1
        strips.append(np.packbits(bits.reshape(HEIGHT, -1), axis=1).tobytes())
    extra = {"assocalpha": 1, "unassalpha": 2, "unspecified": 0}
    photometric = {"miniswhite": 0, "minisblack": 1, "rgb": 2, "palette": 3}[kind.photometric]
    tags = {256: [WIDTH], 257: [HEIGHT], 258: [kind.bits] * channels, 259: [1], 262: [photometric]}
    tags |= {273: [0] * len(strips), 277: [channels], 278: [HEIGHT]}
    tags |= {279: [len(strip) for strip in strips], 284: [2 if kind.planar else 1]}
    if "colormap" in options:
        tags[320] = options["colormap"].ravel().tolist()
    if "extrasamples" in options:
        tags[338] = [extra[options["extrasamples"][0]]]
    end = 8 + 2 + 12 * len(tags) + 4
    start = end + sum(2 * len(values) for values in tags.values() if len(values) > 2)
    tags[273] = [start + sum(map(len, strips[:i])) for i in range(len(strips))]
    entries, beyond = b"", b""
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}H", *values)
        if len(packed) > 4:
            place, beyond = end + len(beyond), beyond + packed
            packed = struct.pack(f"{order}I", place)
        entries += struct.pack(f"{order}HHI", tag, 3, len(values)) + packed.ljust(4, b"\0")
    head = (b"MM\0*" if kind.big_endian else b"II*\0") + struct.pack(f"{order}IH", 8, len(tags))
    return head + entries + bytes(4) + beyond + b"".join(strips)


def rgb_of_lab(lab: np.ndarray) -> np.ndarray:
    """sRGB, 0..255, of CIELAB of D50 (CIE 15, IEC 61966-2-1)."""
    fy = (lab[..., 0] + 16) / 116
    root = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], axis=-1)
    xyz = np.where(root**3 > 216 / 24389, root**3, (116 * root - 16) * 27 / 24389)
    linear = (xyz * [0.96422, 1, 0.82521]) @ np.transpose(FROM_D50)
    curved = 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055
    return np.clip(255 * np.where(linear > 0.0031308, curved, 12.92 * linear), 0, 255)
