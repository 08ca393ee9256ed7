"""Ceremony: Inviter and Joiner, who come to know each other by five messages (docs/spec/invites.md 4).

Flow: message -> the next one, and what is now known; the caller carries bytes, and writes to disk when it is told to
Never: does I/O, answers a second guess, or sends what depends on the key before the joiner has confirmed.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.invites.code import WORDS
from ropewalk.spaces.invites.errors import BadOffer, InviteExpired, MessageMalformed, NotAsOffered, OutOfTurn
from ropewalk.spaces.invites.messages import (
    LARGEST_MESSAGE,
    SALT_SIZE,
    Answer,
    Done,
    Grants,
    Join,
    JoinerKeys,
    Me,
    Offer,
    Welcome,
    read_answer,
    read_done,
    read_grants,
    read_join,
    read_joiner,
    read_me,
    read_offer,
    read_welcome,
)
from ropewalk.spaces.invites.pake import Exchange
from ropewalk.spaces.invites.transcript import (
    Transcript,
    blinded,
    commitment,
    first,
    offer_of,
    open_me,
    seal_me,
    wrapped,
)
from ropewalk.spaces.members import Consent
from ropewalk.spaces.records import encode

__all__ = ["Admit", "Invited", "Inviter", "Joiner", "Step", "check_grants", "check_words"]

_BLIND = 32  # bytes; so that offers cannot be tried at the commitment


class Admit(Protocol):
    """What an inviter has to give, and how somebody is let in."""

    @property
    def offer(self) -> Offer:
        """What is offered; the same each time."""

    async def admit(self, joiner: JoinerKeys, consent: Consent) -> bytes:
        """Write the operation that admits these keys, with wraps, to the floor of stores: the encoded `Grants`.

        ``consent`` is the joiner's, for the operation.

        May be called again for keys that were admitted, as after a crash: it then only wraps for them.

        Raises:
            RopewalkError: They are not admitted, or it is not known whether they are.
        """


class Step(enum.Enum):
    """Where one side stands."""

    OPEN = "open"  # nothing was said
    BUSY = "busy"  # a call of this very object is under way, such as the burning
    ASKED = "asked"  # message 1 is out, at the joiner's side
    ANSWERED = "answered"  # message 2 is out: the guess is used up
    CONFIRMED = "confirmed"  # the joiner has confirmed
    WELCOMED = "welcomed"  # message 4 is out
    DONE = "done"
    VOID = "void"  # over, to no good end


@dataclass(frozen=True, slots=True)
class Invited:
    """What a joiner has at the end; to be checked against the records of each space before it writes.

    Attributes:
        offer: Who invited, and to what.
        grants: Secrets and places.
    """

    offer: Offer
    grants: Grants


class _Side:
    """A step, and the rule that what goes wrong ends it."""

    def __init__(self) -> None:
        self.step = Step.OPEN

    @contextmanager
    def _taken(self, due: Step, then: Step) -> Iterator[None]:
        if self.step is not due:
            was = self.step
            if was not in (Step.BUSY, Step.DONE):  # what was done stands, and who is busy will say how it ends
                self.step = Step.VOID
            raise OutOfTurn(f"the invite is {was.value}, expected {due.value}", hint="make a new invite")
        self.step = Step.BUSY
        try:
            yield
        except BaseException:
            self.step = Step.VOID
            raise
        self.step = then


class Inviter(_Side):
    """The side that lets in. Good for one ceremony.

    Args:
        slot: The name of the slot that both sides use.
        secret: That of a code, or of a file.
        offer: What is offered.
        clock: Nanoseconds since 1970.
        random: Gives random bytes.

    Raises:
        BadOffer: It makes somebody an admin by a code of two words.

    Attributes:
        step: OPEN, ANSWERED, CONFIRMED, WELCOMED, DONE; or VOID after anything that went wrong.
    """

    def __init__(
        self, slot: bytes, secret: bytes, offer: Offer, *, clock: Callable[[], int], random: Callable[[int], bytes]
    ) -> None:
        super().__init__()
        check_words(secret, offer)
        self.offer = offer
        self._slot, self._offer, self._clock = slot, encode(offer), clock
        self._exchange = Exchange("inviter", secret, random)
        self._blind = random(_BLIND)
        self._commitment = commitment(self._blind, offer)
        self._joined, self._key, self._whole = b"", b"", b""
        self._joiner: JoinerKeys
        self._transcript: Transcript

    def answer(self, message: bytes, burn: Callable[[], None]) -> bytes:
        """Message 2 for message 1.

        Args:
            message: Message 1.
            burn: Makes it durable that the code is used; called before there is an answer, and not for what is no
                message 1. May block.

        Raises:
            MessageMalformed, InviteExpired, OutOfTurn: There is no answer.
            CodeUsed: It was burnt before.
        """
        with self._taken(Step.OPEN, Step.ANSWERED):
            self._check_time()
            joined = read_join(message).exchange
            self._key = self._exchange.key(joined)
            self._joined = joined
            burn()
            return encode(Answer(1, "answer", self._exchange.message, self._commitment))

    def confirm(self, message: bytes) -> JoinerKeys:
        """Who joins, by message 3; it is now to be admitted.

        Raises:
            WrongCode: Somebody guessed, or stands in between; the user is to be told.
            MessageMalformed, InviteExpired, OutOfTurn: It cannot be admitted.
        """
        with self._taken(Step.ANSWERED, Step.CONFIRMED):
            self._check_time()
            sent = read_me(message)
            me = open_me(self._key, sent.box)
            said = first(self._slot, self._joined, self._exchange.message, self._commitment, me)
            self._transcript = Transcript(self._key, said)
            self._transcript.check_joiner(sent.confirmation)
            self._joiner, self.consent = checked_joiner(me, self.offer, said, blinded(self._blind, self.offer))
            return self._joiner

    def welcome(self, grants: bytes) -> bytes:
        """Message 4, when the joiner was admitted.

        Args:
            grants: What `Admit.admit` gave.

        Raises:
            BadOffer: The grants do not go with the offer, or are too many for a message.
            OutOfTurn: Nobody has confirmed.
        """
        with self._taken(Step.CONFIRMED, Step.WELCOMED):
            check_grants(grants, self.offer)
            wrap = wrapped(grants, self._joiner.device, self._transcript.said)
            self._whole = self._transcript.whole(self._offer, wrap)
            message = encode(Welcome(1, "welcome", *self._transcript.seal_welcome(self._blind, self._offer, wrap)))
            return check_size(message)

    def finish(self, message: bytes) -> None:
        """Take message 5: the joiner has what it was given.

        Raises:
            WrongCode, MessageMalformed, OutOfTurn: It does not say so. The joiner is admitted all the same.
        """
        with self._taken(Step.WELCOMED, Step.DONE):
            self._transcript.check_done(read_done(message).confirmation, self._whole)

    def _check_time(self) -> None:
        check_time(self.offer, self._clock())


class Joiner(_Side):
    """The side that is let in. Good for one ceremony.

    Args:
        slot: The name of the slot that both sides use.
        secret: That of the code, or of the file.
        keys: The device's.
        me: Who joins, with the public half of these keys.
        inviter: The id of the device that invites, where a file names it.
        random: Gives random bytes.

    Attributes:
        step: OPEN, ASKED, CONFIRMED, DONE; or VOID after anything that went wrong.
        me: Who joins; from message 3 on with what it has signed.
    """

    def __init__(
        self,
        slot: bytes,
        secret: bytes,
        keys: DeviceKeys,
        me: JoinerKeys,
        *,
        inviter: bytes | None = None,
        random: Callable[[int], bytes],
    ) -> None:
        super().__init__()
        if me.device != keys.public():
            raise BadOffer("who joins is told other keys than its own")
        self._slot, self._secret, self._keys, self._inviter, self._random = slot, secret, keys, inviter, random
        self.me = me
        self._exchange = Exchange("joiner", secret, random)
        self._commitment = b""
        self._transcript: Transcript

    def ask(self, mark: Callable[[], None]) -> bytes:
        """Message 1.

        Args:
            mark: Makes it durable that the code was used here; called before there is a message. May block.

        Raises:
            CodeUsed: It was marked before.
            OutOfTurn: It was asked before.
        """
        with self._taken(Step.OPEN, Step.ASKED):
            mark()
            return encode(Join(1, "join", self._exchange.message))

    def confirm(self, message: bytes) -> bytes:
        """Message 3 for message 2; for the first that comes.

        Raises:
            MessageMalformed, OutOfTurn: It is none.
        """
        with self._taken(Step.ASKED, Step.CONFIRMED):
            answer = read_answer(message)
            key = self._exchange.key(answer.exchange)
            self._commitment = answer.commitment
            self.me = self.me.agreeing(self._keys, self._random(SALT_SIZE), answer.commitment)
            me = encode(self.me)
            said = first(self._slot, self._exchange.message, answer.exchange, answer.commitment, me)
            self._transcript = Transcript(key, said)
            return encode(Me(1, "me", seal_me(key, me), self._transcript.confirmed_by_joiner()))

    def accept(self, message: bytes) -> tuple[Invited, bytes]:
        """What message 4 gives, and message 5.

        Raises:
            WrongCode: It is not by who knows the code.
            NotAsOffered: It is, and holds another thing than what was committed to.
            MessageMalformed, OutOfTurn: It is none.
        """
        with self._taken(Step.CONFIRMED, Step.DONE):
            welcome = read_welcome(message)
            sealed = self._transcript.open_welcome(welcome.box, welcome.confirmation)
            if len(sealed.blind) != _BLIND or commitment(sealed.blind, read_offer(sealed.offer)) != self._commitment:
                raise NotAsOffered("the offer is not the one that the inviter had committed to")
            invited = invited_by(offer_of(sealed, self._keys, self._transcript.said), self._secret, self._inviter)
            whole = self._transcript.whole(sealed.offer, sealed.wrap)
            return invited, encode(Done(1, "done", self._transcript.done(whole)))


def check_words(secret: bytes, offer: Offer) -> None:
    """Return if the secret is long enough for what is offered.

    Raises:
        BadOffer: An admin needs three words.
    """
    if offer.for_admin and len(secret) <= WORDS:
        raise BadOffer("a code of two words is to make somebody an admin, expected three")


def check_time(offer: Offer, now: int) -> None:
    """Return if an offer still stands.

    Raises:
        InviteExpired: It does not.
    """
    if now >= offer.expires:
        raise InviteExpired("the time of this invite is over", hint="make a new one")


def check_grants(grants: bytes, offer: Offer) -> None:
    """Return if what an `Admit` gave goes with its offer.

    Raises:
        BadOffer: It does not.
    """
    try:
        read = read_grants(grants)
    except MessageMalformed as error:
        raise BadOffer(f"what was to be granted is none: {error}") from None
    read.check(offer)


def check_size(message: bytes) -> bytes:
    """A message, if it is not too long to be sent.

    Raises:
        BadOffer: It is.
    """
    if len(message) > LARGEST_MESSAGE:
        raise BadOffer(
            f"the welcome has {len(message):,} bytes, expected at most {LARGEST_MESSAGE:,}",
            hint="leave out the paths of stores, or invite to fewer spaces",
        )
    return message


def checked_joiner(me: bytes, offer: Offer, said: bytes, blind: bytes) -> tuple[JoinerKeys, Consent]:
    """Who joins, if there is anything that can be wrapped for it, and its consent to what is offered.

    Raises:
        MessageMalformed: There is not, or it has signed something else.
    """
    joiner = read_joiner(me)
    if joiner.device == offer.inviter:
        raise MessageMalformed("who joins has the inviter's keys")
    for keys in (joiner.device, joiner.paper):
        if keys is not None:
            wrapped(b"", keys, said)  # found out before anything is written
    try:
        return joiner, joiner.consent(blind, offer)
    except BadOffer as error:
        raise MessageMalformed(str(error)) from None


def invited_by(found: tuple[Offer, Grants], secret: bytes, inviter: bytes | None) -> Invited:
    """What a joiner has, if it goes together and comes from the right device.

    Raises:
        NotAsOffered: It does not.
    """
    offer, grants = found
    try:
        check_words(secret, offer)
        grants.check(offer)
    except BadOffer as error:
        raise NotAsOffered(f"the invite is not sound: {error}") from None
    if inviter is not None and offer.inviter.id != inviter:
        raise NotAsOffered("the offer is by another device than the invite names")
    return Invited(offer, grants)
