"""Pages' film: a real film that can be sought in, of any length, made on the spot.

Ten seconds are encoded by the browser itself (WebCodecs, VP8), and repeated with new times until the file is as long as
is wanted.  What the browser's own recorder writes has no index, so the file is put together here: WebM with its index
before the pictures, as a program for films writes it for the web.

Flow: canvas in Chromium -> encoded frames -> clusters, each begins with a whole picture -> index -> file
Never: needs the internet, or a program for films.
Source: RFC 8794 (EBML), RFC 9559 (Matroska).
"""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["KEY_EVERY", "Frame", "encoded", "write_film"]

RATE, SECONDS, KEY_EVERY = 24, 10, 48  # frames a second; seconds that are encoded; frames from one whole picture on
WIDTH, HEIGHT, BITS = 640, 360, 2_000_000  # bits a second
_ENCODE = """async ({ rate, frames, every, width, height, bits }) => {
  const found = [];
  let failed = null;
  const encoder = new VideoEncoder({
    output: (chunk) => {
      const data = new Uint8Array(chunk.byteLength);
      chunk.copyTo(data);
      let text = "";
      for (const byte of data) text += String.fromCharCode(byte);
      found.push([chunk.type === "key", btoa(text)]);
    },
    error: (error) => (failed = error),
  });
  encoder.configure({ codec: "vp8", width, height, bitrate: bits, framerate: rate });
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const grain = context.createImageData(160, 160);
  for (let at = 0; at < frames; at++) {
    context.fillStyle = `hsl(${at % 360} 50% 40%)`;
    context.fillRect(0, 0, width, height);
    for (let spot = 0; spot < grain.data.length; spot++) grain.data[spot] = Math.random() * 256;
    context.putImageData(grain, (at * 3) % (width - 160), (at * 2) % (height - 160));
    const frame = new VideoFrame(canvas, { timestamp: (at * 1e6) / rate });
    encoder.encode(frame, { keyFrame: at % every === 0 });
    frame.close();
  }
  await encoder.flush();
  if (failed) throw failed;
  return found;
}"""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture, whole or as what changes."""

    whole: bool
    data: bytes


def encoded(page: Page) -> list[Frame]:
    """Ten seconds of frames, encoded by the browser; the page must be one that it takes for safe."""
    told = {"rate": RATE, "frames": RATE * SECONDS, "every": KEY_EVERY}
    found = page.evaluate(_ENCODE, {**told, "width": WIDTH, "height": HEIGHT, "bits": BITS})
    return [Frame(whole, base64.b64decode(data)) for whole, data in found]


def write_film(frames: list[Frame], file: Path, size: int) -> float:
    """Write a film of at least so many bytes; how many seconds it lasts.

    Args:
        frames: The first is whole; they come again and again.
        file: To be written.
        size: Bytes.
    """
    groups = _groups(frames)
    sizes, total, length = [], 0, 0.0
    for number in count():
        group = groups[number % len(groups)]
        cluster = _cluster(group, length)
        sizes.append((round(length), len(cluster)))
        total, length = total + len(cluster), length + len(group) * 1000 / RATE
        if total >= size:
            break
    video = _number(0xB0, WIDTH) + _number(0xBA, HEIGHT)
    track = _number(0xD7, 1) + _number(0x73C5, 1) + _number(0x83, 1) + _text(0x86, "V_VP8") + _element(0xE0, video)
    tracks = _element(0x1654AE6B, _element(0xAE, track))
    told = _number(0x2AD7B1, 1_000_000) + _element(0x4489, struct.pack(">d", length))
    info = _element(0x1549A966, told + _text(0x4D80, "bench") + _text(0x5741, "bench"))
    at = len(info) + len(tracks) + len(_index(sizes, 0))
    index = _index(sizes, at)
    head = info + tracks + index
    with file.open("wb") as out:
        out.write(_HEADER + _id(0x18538067) + _length(len(head) + total) + head)
        began = 0.0
        for number in range(len(sizes)):
            group = groups[number % len(groups)]
            out.write(_cluster(group, began))
            began += len(group) * 1000 / RATE
    return length / 1000


def _groups(frames: list[Frame]) -> list[list[Frame]]:
    groups: list[list[Frame]] = []
    for frame in frames:
        if frame.whole:
            groups.append([])
        groups[-1].append(frame)
    return groups


def _cluster(group: list[Frame], began: float) -> bytes:
    blocks = [
        _element(0xA3, b"\x81" + struct.pack(">hB", round(at * 1000 / RATE), 0x80 * frame.whole) + frame.data)
        for at, frame in enumerate(group)
    ]
    return _element(0x1F43B675, _number(0xE7, round(began)) + b"".join(blocks))


def _index(sizes: list[tuple[int, int]], at: int) -> bytes:
    points = []
    for began, size in sizes:
        place = _element(0xB7, _number(0xF7, 1) + _number(0xF1, at))
        points.append(_element(0xBB, _number(0xB3, began) + place))
        at += size
    return _element(0x1C53BB6B, b"".join(points))


def _element(name: int, data: bytes) -> bytes:
    return _id(name) + _length(len(data)) + data


def _number(name: int, value: int) -> bytes:
    return _element(name, value.to_bytes(8, "big"))  # always as long, so that what comes after does not move


def _text(name: int, value: str) -> bytes:
    return _element(name, value.encode())


def _id(name: int) -> bytes:
    return name.to_bytes((name.bit_length() + 7) // 8, "big")


def _length(size: int) -> bytes:
    return (size | 1 << 56).to_bytes(8, "big")


_VERSIONS = ((0x4286, 1), (0x42F7, 1), (0x42F2, 4), (0x42F3, 8), (0x4287, 2), (0x4285, 2))
_HEADER = _element(0x1A45DFA3, b"".join(_number(name, value) for name, value in _VERSIONS) + _text(0x4282, "webm"))
