"""Members: the signed records that say who belongs to a space and wrap its secrets (docs/spec/space.md 3)."""

from ropewalk.spaces.members.membership import (
    FEATURE_LEVEL,
    LARGEST_RECORD,
    Membership,
    NotAMember,
    Policy,
    RecordDamaged,
    Signed,
    create,
    is_record,
    record_hash,
    record_name,
    records_prefix,
)

__all__ = [
    "FEATURE_LEVEL",
    "LARGEST_RECORD",
    "Membership",
    "NotAMember",
    "Policy",
    "RecordDamaged",
    "Signed",
    "create",
    "is_record",
    "record_hash",
    "record_name",
    "records_prefix",
]
