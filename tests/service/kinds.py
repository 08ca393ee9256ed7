"""Service kinds for tests, named in configurations as `tests.service.kinds:...`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ropewalk.errors import Misuse
from ropewalk.service import Context, Service


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    connections: Annotated[int, msgspec.Meta(ge=1)] = 10


class PlainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    listen: tuple[str, ...] = ()
    limits: Limits = Limits()


class Plain(Service):
    """Does nothing, and says when."""

    Config = PlainConfig

    def __init__(self, config: PlainConfig, context: Context) -> None:
        super().__init__(config, context)
        self.reloads = 0

    async def reload(self) -> None:
        self.reloads += 1


class Clashing(Service):
    """Has a key that is not its to have."""

    class Config(msgspec.Struct):
        needs: int = 0


class Lax(Service):
    """Its keys do not forbid others by themselves, and one of them has a rule of its own."""

    class Config(msgspec.Struct, frozen=True):
        words: int = 0
        odd: bool = False

        def __post_init__(self) -> None:
            if self.odd:
                raise Misuse("odd: it is odd", hint="make it even")


class NoStruct(Service):
    Config = dict  # type: ignore[assignment]


NOT_A_SERVICE = 3
