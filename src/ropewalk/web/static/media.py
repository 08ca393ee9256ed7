"""Media: what kind of content a name promises.

Flow: name -> value of Content-Type
Never: looks into a file, or at what the machine has installed: a name means the same everywhere.
"""

from __future__ import annotations

from mimetypes import MimeTypes

__all__ = ["content_type"]

_UNKNOWN = "application/octet-stream"
_MORE = {  # what the standard library does not know in each version that we run on, or knows by an old name
    ".avif": "image/avif",
    ".flac": "audio/flac",
    ".ico": "image/x-icon",
    ".jsonld": "application/ld+json",
    ".m4a": "audio/mp4",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".js": "text/javascript",
    ".mkv": "video/x-matroska",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".rst": "text/x-rst",
    ".toml": "application/toml",
    ".wasm": "application/wasm",
    ".weba": "audio/webm",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zst": "application/zstd",
}
# A compressed file that is asked for by its own name is what it is, and is not taken apart on the way.
_COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
_KNOWN = MimeTypes()
for _ending, _type in _MORE.items():
    _KNOWN.add_type(_type, _ending)


def content_type(name: str, charset: str) -> bytes:
    """Of a file's last name; text with its charset, unless that is empty."""
    # Not the name itself: guess_type takes a URL, and one may begin with "data:".
    kind, coding = _KNOWN.guess_type(f"./{name.replace(':', '_')}", strict=True)
    if coding:
        kind = _COMPRESSED.get(coding)
    kind = kind or _UNKNOWN
    return f"{kind}; charset={charset}".encode() if charset and kind.startswith("text/") else kind.encode()
