"""Learning: which records and heads there are, by whom, and what they come to.

In the order to read them: ``standing``, ``sight``, ``aside``, ``listing``, ``checked``, ``records``, ``exhibits``,
``testimony``, ``heads``, ``looking``, ``footing``, ``proofs``.

Flow: listings of stores -> records and heads checked, judged -> ledger -> Standing
Never: believes a store: a head counts by its signature, and what was seen once is not forgotten.
"""

from ropewalk.spaces.learning.checked import keep_checked, open_checked, seal_checked
from ropewalk.spaces.learning.footing import Unsure, find_footing, unsure
from ropewalk.spaces.learning.looking import PUT_OUT, Learned, learn, learn_heads, look, may_tell_more
from ropewalk.spaces.learning.proofs import Due, due_proofs, reported
from ropewalk.spaces.learning.records import (
    NumberTaken,
    fetch_records,
    pay_records,
    read_membership,
    secure_records,
    send_record,
    short_records,
    take_records,
)
from ropewalk.spaces.learning.sight import settle
from ropewalk.spaces.learning.standing import Standing, cut_of, known_head, newest, remember_embedded, standing
from ropewalk.spaces.learning.testimony import Strange, WentBack, witness

__all__ = [
    "PUT_OUT",
    "Due",
    "Learned",
    "NumberTaken",
    "Standing",
    "Strange",
    "Unsure",
    "WentBack",
    "cut_of",
    "due_proofs",
    "fetch_records",
    "find_footing",
    "keep_checked",
    "known_head",
    "learn",
    "learn_heads",
    "look",
    "may_tell_more",
    "newest",
    "open_checked",
    "pay_records",
    "read_membership",
    "remember_embedded",
    "reported",
    "seal_checked",
    "secure_records",
    "send_record",
    "settle",
    "short_records",
    "standing",
    "take_records",
    "unsure",
    "witness",
]
