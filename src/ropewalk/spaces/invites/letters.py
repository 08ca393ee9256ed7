"""Letters: the ceremony by files, where there is no mailbox (docs/spec/invites.md 6).

Flow: invite file -> `answer` -> answer file -> LetterInviter -> welcome file -> `accept` -> Invited
Never: burns an invite for an answer that does not fit: with a secret of 32 bytes that is no guess.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.invites.ceremony import (
    Invited,
    check_grants,
    check_size,
    check_time,
    checked_joiner,
    invited_by,
)
from ropewalk.spaces.invites.errors import InviteFileDamaged, NotAsOffered, OutOfTurn, WrongCode
from ropewalk.spaces.invites.files import (
    FILE_SECRET_SIZE,
    AnswerFile,
    InviteFile,
    WelcomeFile,
    read_answer_file,
    read_welcome_file,
)
from ropewalk.spaces.invites.messages import SALT_SIZE, JoinerKeys, Offer, read_joiner, read_offer
from ropewalk.spaces.invites.transcript import (
    Transcript,
    blinded,
    commitment,
    file_random,
    first_of_file,
    offer_of,
    open_me,
    seal_me,
    wrapped,
)
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.records import encode

__all__ = ["LetterInviter", "accept", "answer", "answer_hash", "joiner_of"]

_ONE_INVITE = "give the files of one invite"


def answer(invite: InviteFile, keys: DeviceKeys, me: JoinerKeys, random: Callable[[int], bytes]) -> bytes:
    """The answer file for an invite file; to be kept, as `accept` needs it.

    Args:
        invite: What was handed over.
        keys: The device's.
        me: Who joins, with the public half of these keys.
        random: Gives random bytes.
    """
    nonce, plain = random(32), encode(me.agreeing(keys, random(SALT_SIZE), invite.commitment))
    key = _key(invite.secret, nonce)
    said = Transcript(key, first_of_file(invite.slot, nonce, invite.inviter, plain))
    box, confirmation = seal_me(key, plain), said.confirmed_by_joiner()
    return encode(AnswerFile("ropewalk answer", 1, invite.slot, nonce, box, confirmation))


class LetterInviter:
    """The inviter of a file, given an answer file. Good for one.

    Args:
        slot: Of the invite file.
        secret: Of the invite file.
        offer: What is offered.
        clock: Nanoseconds since 1970.
    """

    def __init__(self, slot: bytes, secret: bytes, offer: Offer, *, clock: Callable[[], int]) -> None:
        if len(secret) != FILE_SECRET_SIZE:
            raise OutOfTurn("an invite by words is not answered by a file", hint="both sides need the mailbox")
        self.offer = offer
        self._slot, self._secret, self._offer, self._clock = slot, secret, encode(offer), clock
        self._file: AnswerFile | None = None
        self._transcript: Transcript
        self._joiner: JoinerKeys

    def confirm(
        self, data: bytes, burn: Callable[[], None], check: Callable[[JoinerKeys], None] = lambda _: None
    ) -> JoinerKeys:
        """Who joins, by an answer file; it is now to be admitted.

        Args:
            data: The file. One that does not fit changes nothing.
            burn: Makes it durable that the invite is used, by this very file; called when the file fits, before this
                returns.
            check: Raises where these keys cannot be let in; then the invite is not used either.

        Raises:
            InviteFileDamaged, WrongCode, MessageMalformed: It does not fit.
            InviteExpired, CodeUsed, OutOfTurn: It comes too late.
        """
        check_time(self.offer, self._clock())
        file = read_answer_file(data)
        if self._file is not None:
            raise OutOfTurn("this invite was answered before")
        if not hmac.compare_digest(file.slot, self._slot):
            raise WrongCode("the answer is to another invite")
        key = _key(self._secret, file.nonce)
        plain = open_me(key, file.box)
        said = Transcript(key, first_of_file(self._slot, file.nonce, self.offer.inviter.id, plain))
        said.check_joiner(file.confirmation)
        joiner, consent = checked_joiner(plain, self.offer, said.said, blinded(file_random(self._secret), self.offer))
        check(joiner)
        burn()
        self.consent = consent
        self._file, self._transcript, self._joiner = file, said, joiner
        return joiner

    def welcome(self, grants: bytes) -> bytes:
        """The welcome file, when the joiner was admitted; another call for the same answer, of another object, would
        seal another with the same key: so it is kept before it leaves.

        Raises:
            BadOffer: The grants do not go with the offer.
            OutOfTurn: There was no answer.
        """
        if self._file is None or not self._secret:
            raise OutOfTurn("there is no answer to make a welcome for, or one was made")
        check_grants(grants, self.offer)
        wrap = wrapped(grants, self._joiner.device, self._transcript.said)
        box, confirmation = self._transcript.seal_welcome(b"", self._offer, wrap)
        self._secret = b""
        file = WelcomeFile("ropewalk welcome", 1, self._slot, self._file.nonce, box, confirmation)
        return check_size(encode(file))


def accept(invite: InviteFile, answered: bytes, welcome: bytes, keys: DeviceKeys) -> Invited:
    """What a welcome file gives.

    Args:
        invite: What was handed over.
        answered: The answer file.
        welcome: The welcome file.
        keys: The device's.

    Raises:
        InviteFileDamaged: One of them is none, or they are not of one invite.
        WrongCode, NotAsOffered, MessageMalformed: The welcome is not for this answer.
    """
    theirs = read_welcome_file(welcome)
    _, said = _own(invite, answered)
    if read_answer_file(answered).nonce != theirs.nonce or theirs.slot != invite.slot:
        raise InviteFileDamaged("the welcome is for another answer", hint=_ONE_INVITE)
    sealed = said.open_welcome(theirs.box, theirs.confirmation)
    if sealed.blind:
        raise NotAsOffered("the welcome is not one of a file")
    if commitment(file_random(invite.secret), read_offer(sealed.offer)) != invite.commitment:
        raise NotAsOffered("the offer is not the one that the invite file had committed to")
    return invited_by(offer_of(sealed, keys, said.said), invite.secret, invite.inviter)


def joiner_of(invite: InviteFile, answered: bytes) -> JoinerKeys:
    """The keys and names that an answer file of ours has named.

    Args:
        invite: What was handed over.
        answered: The answer file.

    Raises:
        InviteFileDamaged, WrongCode, MessageMalformed: It is none to this invite.
    """
    return read_joiner(_own(invite, answered)[0])


def _own(invite: InviteFile, answered: bytes) -> tuple[bytes, Transcript]:
    ours = read_answer_file(answered)
    if ours.slot != invite.slot:
        raise InviteFileDamaged("the answer is to another invite", hint=_ONE_INVITE)
    key = _key(invite.secret, ours.nonce)
    plain = open_me(key, ours.box)
    said = Transcript(key, first_of_file(invite.slot, ours.nonce, invite.inviter, plain))
    said.check_joiner(ours.confirmation)
    return plain, said


def answer_hash(data: bytes) -> bytes:
    """What an inviter's disk knows of the answer that an invite was burnt for."""
    return hashed("invite answer", data)


def _key(secret: bytes, nonce: bytes) -> bytes:
    return hashed("invite file key", secret + nonce)
