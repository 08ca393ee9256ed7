"""What the vectors share: one space with its members and records, zstd frames made by hand, and what is recorded.

ML-DSA signatures and HPKE wraps differ each time they are made, and frames differ with the compressor: each was made
once and lies in recorded.json; whoever uses one checks it.

Flow: labels -> seeds -> devices, secrets, records -> cases
Never: imports ropewalk, or makes anew what is recorded.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import zstandard
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from docs.spec.vectors.reference import Device, Space, h, made
from docs.spec.vectors.reference_heads import epoch_body, genesis_body, record_message, suite, wrap_info
from docs.spec.vectors.reference_records import pack

__all__ = [
    "DEVICE",
    "EPOCH",
    "GENESIS",
    "PAPER",
    "RECORDED",
    "SECRETS",
    "SPACE",
    "STRANGER",
    "Case",
    "frame",
    "once",
    "record_name",
    "signed",
    "used",
    "wrap",
    "zstd_frame",
]

Case = dict[str, object]

RECORDED = Path(__file__).with_name("recorded.json")
_before: dict[str, str] = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
used: dict[str, str] = {}


def once(label: str, make: Callable[[], bytes]) -> bytes:
    """What is recorded under a label; made now if nothing is, and `make.py` then writes it down or complains."""
    used[label] = _before.get(label) or used.get(label) or make().hex()
    return bytes.fromhex(used[label])


# ---- zstd frames -----------------------------------------------------------------------------------------------------


def frame(*blocks: bytes | tuple[int, int], size: int | None = None, window: int | None = None) -> bytes:
    """A frame of raw blocks (bytes) and of blocks that repeat a byte (how often, which); it needs no compressor.

    Args:
        blocks: At most 128 KiB each.
        size: What the frame says that it holds, where that is a lie.
        window: A window descriptor, instead of one window over all.
    """
    said = sum(len(block) if isinstance(block, bytes) else block[0] for block in blocks) if size is None else size
    # Frame header: the size in 8 bytes, and one segment unless there is a window.
    head = b"\x28\xb5\x2f\xfd" + (b"\xe0" if window is None else bytes([0xC0, window])) + said.to_bytes(8, "little")
    for at, block in enumerate(blocks):
        last = at == len(blocks) - 1
        if isinstance(block, bytes):
            head += (len(block) << 3 | last).to_bytes(3, "little") + block
        else:
            head += (block[0] << 3 | 2 | last).to_bytes(3, "little") + bytes([block[1]])
    return head


def zstd_frame(label: str, plain: bytes) -> bytes:
    """A frame that a real compressor made."""
    return once(f"zstd {label}", lambda: zstandard.ZstdCompressor(level=3).compress(plain))


# ---- members ---------------------------------------------------------------------------------------------------------

DEVICE = Device(made("device", 32))
PAPER = Device(made("paper", 32), 1)
STRANGER = Device(made("stranger", 32))
SECRETS = made("epoch secret", 32) + made("steward secret", 32) + made("space secret", 32)  # E || S || W


def signed(label: str, body: bytes, author: Device) -> bytes:
    """A record's object."""
    message = record_message(body)
    return pack([body, author.ed25519.sign(message), once(f"ml-dsa {label}", lambda: author.mldsa.sign(message))])


def wrap(label: str, secrets: bytes, device: Device, info: bytes) -> bytes:
    """Secrets wrapped for one device."""

    def make() -> bytes:
        x25519, mlkem = device.public[3:]
        assert isinstance(x25519, bytes)
        assert isinstance(mlkem, bytes)
        public = hpke.MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(mlkem), X25519PublicKey.from_public_bytes(x25519)
        )
        return suite.encrypt(secrets, public, info=info)

    return once(f"hpke {label}", make)


def record_name(space_id: bytes, data: bytes) -> str:
    """The name of a record's object."""
    return f"{space_id.hex()}/records/{h('object', data).hex()}"


TIME = 1_795_000_000_000_000_000
_genesis = genesis_body(
    made("nonce", 32), 1, [2, 3, 3, {"site": 1, "store": 1}], [0, 1], made("member", 16), [DEVICE, PAPER], TIME
)
_space_id = h("space", _genesis)
_check = h("epoch check", SECRETS)
_wraps = [
    (device.id, wrap(label, SECRETS, device, wrap_info(_space_id, 1, device.id, _check)))
    for label, device in (("device", DEVICE), ("paper", PAPER))
]
_epoch = epoch_body(_space_id, _genesis, DEVICE, SECRETS, _wraps)

GENESIS = signed("genesis", _genesis, DEVICE)
EPOCH = signed("epoch", _epoch, DEVICE)
SPACE = Space(_space_id, h("record", _epoch)[:8], SECRETS[:32], SECRETS[32:64], SECRETS[64:])
