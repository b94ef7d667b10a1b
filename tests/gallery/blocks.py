"""A font whose every letter is the same block: with it a page has the same layout on each machine.

Written as TrueType by hand, for no tool that makes fonts is worth a dependency: two glyphs, an empty one for spaces and
a block for everything else, as wide as the letters of a common sans-serif font are on average.
"""

from __future__ import annotations

import base64
import struct

EM, WIDTH, ASCENT, DESCENT = 1000, 520, 800, -200
BLOCK = (40, 0, 480, 560)  # left, bottom, right, top
SPACES = {0x20, 0xA0, 0x2002, 0x2003, 0x2009, 0x202F, 0x200B}
LAST = 0x2FFF  # of the code points that pages show


def _glyph() -> bytes:
    left, bottom, right, top = BLOCK
    points = ((left, bottom), (left, top), (right, top), (right, bottom))
    head = struct.pack(">hhhhhHH", 1, left, bottom, right, top, len(points) - 1, 0)
    xs = [x - before for (x, _), before in zip(points, (0, *(one for one, _ in points)), strict=False)]
    ys = [y - before for (_, y), before in zip(points, (0, *(one for _, one in points)), strict=False)]
    flags = bytes([1] * len(points))  # on the curve, with two bytes for each coordinate
    return _padded(head + flags + struct.pack(f">{len(xs)}h", *xs) + struct.pack(f">{len(ys)}h", *ys))


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _cmap() -> bytes:
    """Return format 4 with one segment, which looks each code point up in a list of glyphs."""
    first = 0x20
    glyphs = [1 if code in SPACES else 2 for code in range(first, LAST + 1)]
    ends, starts, deltas, offsets = [LAST, 0xFFFF], [first, 0xFFFF], [0, 1], [4, 0]
    body = struct.pack(">HHHH", 4, 4, 1, 0) + struct.pack(">2H", *ends) + struct.pack(">H", 0)
    body += struct.pack(">2H", *starts) + struct.pack(">2H", *deltas) + struct.pack(">2H", *offsets)
    body += struct.pack(f">{len(glyphs)}H", *glyphs)
    table = struct.pack(">HHH", 4, len(body) + 6, 0) + body
    return struct.pack(">HHHHI", 0, 1, 3, 1, 12) + table


def _name() -> bytes:
    said = {1: "Blocks", 2: "Regular", 4: "Blocks", 6: "Blocks"}
    records, texts = b"", b""
    for key, text in said.items():
        data = text.encode("utf-16-be")
        records += struct.pack(">HHHHHH", 3, 1, 0x409, key, len(data), len(texts))
        texts += data
    return struct.pack(">HHH", 0, len(said), 6 + len(records)) + records + texts


def font() -> bytes:
    """Return the font as a file."""
    block, (left, bottom, right, top) = _glyph(), BLOCK
    glyphs = [block, b"", block]  # .notdef, space, block
    places = [0]
    for one in glyphs:
        places.append(places[-1] + len(one))
    dates = 0, 0
    tables = {
        b"OS/2": struct.pack(
            ">HhHHHhhhhhhhhhhh10s4I4sHHHhhhHHIIhhHHH",
            *(4, WIDTH, 400, 5, 0), *(650, 600, 0, 75, 650, 600, 0, 350, 50, 250, 0),
            *(bytes(10), 1, 0, 0, 0, b"OURS", 64, 0x20, LAST, ASCENT, DESCENT, 0, ASCENT, -DESCENT),
            *(1, 0, 500, 560, 0, 32, 0),
        ),
        b"cmap": _cmap(),
        b"glyf": b"".join(glyphs),
        b"head": struct.pack(
            ">IIIIHHqqhhhhHHhhh",
            *(0x10000, 0x10000, 0, 0x5F0F3CF5, 3, EM, *dates, left, bottom, right, top, 0, 8, 2, 1, 0),
        ),
        b"hhea": struct.pack(">IhhhHhhhhhhhhhhhH", 0x10000, ASCENT, DESCENT, 0, WIDTH, 0, 0, WIDTH, 1, *[0] * 7, 3),
        b"hmtx": struct.pack(">HhHhHh", *(WIDTH, left) * 3),
        b"loca": struct.pack(f">{len(places)}I", *places),
        b"maxp": struct.pack(">IHHHHHHHHHHHHHH", 0x10000, 3, 4, 1, 0, 0, 1, *[0] * 8),
        b"name": _name(),
        b"post": struct.pack(">IIhhIIIII", 0x30000, 0, -75, 50, 0, 0, 0, 0, 0),
    }  # fmt: skip
    head = struct.pack(">IHHHH", 0x10000, len(tables), 128, 3, len(tables) * 16 - 128)
    at, directory, data = len(head) + 16 * len(tables), b"", b""
    for tag, table in tables.items():
        directory += struct.pack(">4sIII", tag, _sum(table), at + len(data), len(table))
        data += _padded(table)
    return head + directory + data


def _sum(table: bytes) -> int:
    words = _padded(table)
    return sum(struct.unpack(f">{len(words) // 4}I", words)) & 0xFFFFFFFF


def style() -> str:
    """Return the CSS that has every text be blocks."""
    data = base64.b64encode(font()).decode()
    return (
        f'@font-face {{ font-family: Blocks; src: url("data:font/ttf;base64,{data}"); }}\n'
        "*, ::before, ::after, ::placeholder { font-family: Blocks !important; }"
    )
