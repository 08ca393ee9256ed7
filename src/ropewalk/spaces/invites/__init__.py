"""Invites: how somebody who knows a short code, or has a file, comes to the keys of a space (docs/spec/invites.md).

Flow: Code or InviteFile -> Inviter, Joiner -> messages -> JoinerKeys to admit, Invited to check against the records
Never: does I/O but in `folder` and `files`; sends a secret that is not wrapped for keys that the ceremony has shown.
"""

from __future__ import annotations

from ropewalk.spaces.invites.ceremony import Admit, Invited, Inviter, Joiner, Step
from ropewalk.spaces.invites.code import WORDS, WORDS_FOR_ADMINS, Code, complete
from ropewalk.spaces.invites.errors import (
    BadCode,
    BadOffer,
    CodeUsed,
    InviteExpired,
    InviteFileDamaged,
    MessageMalformed,
    NoInvite,
    NotAsOffered,
    OutOfTurn,
    TooManyInvites,
    WrongCode,
)
from ropewalk.spaces.invites.files import InviteFile, read_answer_file, read_invite, write_private
from ropewalk.spaces.invites.folder import InvitesBusy, InvitesUnwritable
from ropewalk.spaces.invites.joining import Joining, Joinings
from ropewalk.spaces.invites.kept import Invites, OpenInvite
from ropewalk.spaces.invites.letters import LetterInviter, accept, answer, answer_hash, joiner_of
from ropewalk.spaces.invites.messages import (
    LARGEST_MESSAGE,
    MOST_PATHS,
    NEW_DEVICE,
    NEW_MEMBER,
    Grant,
    GrantedStore,
    Grants,
    JoinerKeys,
    Offer,
    OfferedSpace,
)

__all__ = [
    "LARGEST_MESSAGE",
    "MOST_PATHS",
    "NEW_DEVICE",
    "NEW_MEMBER",
    "WORDS",
    "WORDS_FOR_ADMINS",
    "Admit",
    "BadCode",
    "BadOffer",
    "Code",
    "CodeUsed",
    "Grant",
    "GrantedStore",
    "Grants",
    "InviteExpired",
    "InviteFile",
    "InviteFileDamaged",
    "Invited",
    "Inviter",
    "Invites",
    "InvitesBusy",
    "InvitesUnwritable",
    "Joiner",
    "JoinerKeys",
    "Joining",
    "Joinings",
    "LetterInviter",
    "MessageMalformed",
    "NoInvite",
    "NotAsOffered",
    "Offer",
    "OfferedSpace",
    "OpenInvite",
    "OutOfTurn",
    "Step",
    "TooManyInvites",
    "WrongCode",
    "accept",
    "answer",
    "answer_hash",
    "complete",
    "joiner_of",
    "read_answer_file",
    "read_invite",
    "write_private",
]
