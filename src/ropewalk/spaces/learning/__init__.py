"""Learning: which records and heads there are, by whom, and what they come to.

In the order to read them: ``standing``, ``listing``, ``records``, ``sight``, ``heads``, ``looking``,
``footing``, ``proofs``.

Flow: listings of stores -> records and heads checked, judged -> ledger -> Standing
Never: believes a store: a head counts by its signature, and what was seen once is not forgotten.
"""

from ropewalk.spaces.learning.footing import Unsure, find_footing, unsure
from ropewalk.spaces.learning.looking import Learned, WentBack, learn, learn_heads, look, may_tell_more
from ropewalk.spaces.learning.proofs import Due, due_proofs, reported, witness
from ropewalk.spaces.learning.records import (
    fetch_records,
    pay_records,
    read_membership,
    secure_records,
    send_record,
    short_records,
    take_records,
)
from ropewalk.spaces.learning.sight import settle
from ropewalk.spaces.learning.standing import Standing, known_head, newest, remember_embedded, standing

__all__ = [
    "Due",
    "Learned",
    "Standing",
    "Unsure",
    "WentBack",
    "due_proofs",
    "fetch_records",
    "find_footing",
    "known_head",
    "learn",
    "learn_heads",
    "look",
    "may_tell_more",
    "newest",
    "pay_records",
    "read_membership",
    "remember_embedded",
    "reported",
    "secure_records",
    "send_record",
    "settle",
    "short_records",
    "standing",
    "take_records",
    "unsure",
    "witness",
]
