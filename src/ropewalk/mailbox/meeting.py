"""Meeting: a ceremony carried from side to side (docs/spec/invites.md 4).

Flow: Inviter or Joiner, Carrier -> messages there and back -> Admitted, Invited
Never: sends again what a ceremony said, or goes on after it failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from ropewalk.errors import RopewalkError
from ropewalk.mailbox.client import Carrier
from ropewalk.mailbox.errors import Abandoned, MailboxAway, NoSlot
from ropewalk.spaces.invites import Admit, Invited, Inviter, Joiner, JoinerKeys

__all__ = ["ANSWER_SECONDS", "Admitted", "invite", "join"]

ANSWER_SECONDS = 120.0  # for a message that needs nobody to type; the inviter writes to all its stores meanwhile
_DONE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Admitted:
    """How a ceremony ended for the inviter.

    Attributes:
        joiner: Who was let in.
        told: Whether it has said that it has all that it needs. If not, it is a member all the same, and another
            invite gives it what it may lack.
    """

    joiner: JoinerKeys
    told: bool


async def invite(
    carrier: Carrier, inviter: Inviter, admit: Admit, burn: Callable[[], None], *, seconds: float
) -> Admitted:
    """Wait for a joiner, and let it in.

    Args:
        carrier: The inviter's side of a slot.
        inviter: Not used before.
        admit: Lets in; its offer is that of the inviter.
        burn: Makes it durable that the code is used up, as `Invites.burn` of its id does; called in a thread.
        seconds: To wait for somebody who types the code.

    Raises:
        WrongCode: Somebody used another code, or the mailbox lies; the user is to be told. The code is void.
        Abandoned: Nobody came; or somebody used the code and did not go on, which may have been a guess.
        RopewalkError: The joiner could not be admitted, or the mailbox is gone.
    """
    async with _until_the_end(carrier, "nobody can come any more, since the mailbox has ended the slot"):
        first = await carrier.take(seconds)
        answer = await asyncio.to_thread(inviter.answer, first, burn)
    async with _until_the_end(carrier, "somebody used the code, and did not go on"):
        await carrier.put(answer)
        joiner = inviter.confirm(await carrier.take(ANSWER_SECONDS))
        welcome = inviter.welcome(await admit.admit(joiner, inviter.consent))
        try:
            await carrier.put(welcome)
            inviter.finish(await carrier.take(_DONE_SECONDS))
        except RopewalkError:
            return Admitted(joiner, told=False)
        finally:
            await carrier.close()
        return Admitted(joiner, told=True)


async def join(carrier: Carrier, joiner: Joiner, mark: Callable[[], None], keep: Callable[[Invited], None]) -> Invited:
    """Be let in.

    Args:
        carrier: The joiner's side of the slot.
        joiner: Not used before.
        mark: Makes it durable that the code was used here, as `Invites.mark` does; called in a thread.
        keep: Makes durable what was given, as `Joinings.keep` does, before the other side hears that we have it;
            called in a thread.

    Raises:
        WrongCode, NotAsOffered, MessageMalformed: The other side is not who it should be, or the mailbox lies.
        Abandoned: The other side does not go on: the code was wrong, or its time is over.
        RopewalkError: The mailbox is gone.
    """
    async with _until_the_end(carrier, "the other side has ended the ceremony, or does not go on", _LEFT_OUT):
        await carrier.put(await asyncio.to_thread(joiner.ask, mark))
        await carrier.put(joiner.confirm(await carrier.take(ANSWER_SECONDS)))
        invited, done = joiner.accept(await carrier.take(ANSWER_SECONDS))
        await asyncio.to_thread(keep, invited)
        with suppress(RopewalkError):  # what was given is whole; the inviter only does not hear of it
            await carrier.put(done)
        await carrier.close()
        return invited


@asynccontextmanager
async def _until_the_end(carrier: Carrier, otherwise: str, hint: str = "") -> AsyncIterator[None]:
    """Close the slot where this fails; who is left alone is told what that may mean."""
    try:
        yield
    except (NoSlot, MailboxAway, Abandoned):
        await carrier.close()
        raise Abandoned(otherwise, hint=hint or _ALONE) from None
    except BaseException:
        await carrier.close()
        raise


_ALONE = "the code was wrong, or its time is over; it is void: make a new one, and tell it to the person you mean alone"
_LEFT_OUT = (
    "the code was wrong, its time is over, or the other side's screen says why not; it is void: ask for a new invite,"
    " which is right, too, if you were let in and did not hear of it"
)
