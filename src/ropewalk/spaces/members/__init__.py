"""Members: the signed records that say who belongs to a space and wrap its secrets (docs/spec/space.md 3, groups)."""

from ropewalk.spaces.members.aftermath import seniors_of_device, seniors_of_member, undoes, who_stays
from ropewalk.spaces.members.authoring import Author, NoRoomLeft, NotAllowed, Vain, create
from ropewalk.spaces.members.beyond import told_of_unreleased, why_read_only
from ropewalk.spaces.members.consent import Consent, committed, consent, member_id, pledged, ticket
from ropewalk.spaces.members.consent import message as consent_message
from ropewalk.spaces.members.consent import named as named_together
from ropewalk.spaces.members.epochs import Epoch, Epochs
from ropewalk.spaces.members.graph import MOST_RECORDS, TooManyRecords
from ropewalk.spaces.members.labels import LONGEST_NAME, BadName, check_person, open_label, seal_label
from ropewalk.spaces.members.membership import Kept, Membership, NotAMember, RecordsMissing
from ropewalk.spaces.members.operations import NO_CUT, Cut, Delivered, Role, member_of
from ropewalk.spaces.members.people import Machine, Names, NoSuchPerson, Person, find_person, machines_called, people
from ropewalk.spaces.members.precedence import Brought, brought_by, is_senior
from ropewalk.spaces.members.records import (
    FEATURE_LEVEL,
    LARGEST_RECORD,
    MOST_PARENTS,
    Policy,
    RecordDamaged,
    Signed,
    is_record,
    record_hash,
    record_name,
    records_prefix,
)
from ropewalk.spaces.members.room import Crowd
from ropewalk.spaces.members.state import Accused, Fork, GroupState, Member, Struck
from ropewalk.spaces.members.wraps import Opened, Rotation, TooManyDevices, deliver, open_ring, owed, rotate

__all__ = [
    "FEATURE_LEVEL",
    "LARGEST_RECORD",
    "LONGEST_NAME",
    "MOST_PARENTS",
    "MOST_RECORDS",
    "NO_CUT",
    "Accused",
    "Author",
    "BadName",
    "Brought",
    "Consent",
    "Crowd",
    "Cut",
    "Delivered",
    "Epoch",
    "Epochs",
    "Fork",
    "GroupState",
    "Kept",
    "Machine",
    "Member",
    "Membership",
    "Names",
    "NoRoomLeft",
    "NoSuchPerson",
    "NotAMember",
    "NotAllowed",
    "Opened",
    "Person",
    "Policy",
    "RecordDamaged",
    "RecordsMissing",
    "Role",
    "Rotation",
    "Signed",
    "Struck",
    "TooManyDevices",
    "TooManyRecords",
    "Vain",
    "brought_by",
    "check_person",
    "committed",
    "consent",
    "consent_message",
    "create",
    "deliver",
    "find_person",
    "is_record",
    "is_senior",
    "machines_called",
    "member_id",
    "member_of",
    "named_together",
    "open_label",
    "open_ring",
    "owed",
    "people",
    "pledged",
    "record_hash",
    "record_name",
    "records_prefix",
    "rotate",
    "seal_label",
    "seniors_of_device",
    "seniors_of_member",
    "ticket",
    "told_of_unreleased",
    "undoes",
    "who_stays",
    "why_read_only",
]
