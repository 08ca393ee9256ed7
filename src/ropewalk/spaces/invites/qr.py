"""QR: an invite to be shown to a camera, in a terminal or as a picture; the one import of `segno`.

Flow: InviteFile.text -> segno -> text of blocks, or SVG
Never: reads one; cameras do.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import segno

__all__ = ["inline", "svg", "terminal"]


def terminal(text: str) -> str:
    """Lines of half blocks, for a terminal that shows UTF-8."""
    out = io.StringIO()
    _made(text).terminal(out, compact=True)
    return out.getvalue()


def svg(text: str) -> str:
    """A whole SVG document, black on white, of any size."""
    out = io.BytesIO()
    _made(text).save(out, kind="svg", scale=8, light="white", nl=False)
    return out.getvalue().decode()


def inline(text: str) -> str:
    """An ``<svg>`` element for a page, black on white, as large as there is room; holds nothing but the picture."""
    return str(_made(text).svg_inline(light="white", omitsize=True, border=4))


def _made(text: str) -> segno.QRCode:
    import segno

    return segno.make_qr(text, error="l", boost_error=True)
