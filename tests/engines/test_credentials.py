"""Credentials: where they come from, and that they go nowhere else."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from ropewalk.engines import CredentialsUnfit, EngineAddress, NoCredentials
from ropewalk.engines.bucket import Bucket
from ropewalk.engines.credentials import FILE, Credentials, find_credentials
from ropewalk.engines.errors import as_store, ends_before
from ropewalk.errors import RopewalkError
from ropewalk.spaces.store import StoreFull, StoreGone, StoreReadOnly

OURS = """
[default]
access_key_id = "k"
secret_access_key = "SECRET"
[b2]
access_key_id = "k2"
secret_access_key = "SECRET2"
"""


def written(folder: Path, text: str = OURS, mode: int = 0o600) -> Path:
    (folder / FILE).write_text(text)
    (folder / FILE).chmod(mode)
    return folder


def found(folder: Path, url: str, **environment: str) -> Credentials:
    return find_credentials(EngineAddress.parse(url), folder, {"HOME": str(folder), **environment})


def test_a_profile_of_the_homes_own_file(tmp_path: Path) -> None:
    written(tmp_path)
    assert found(tmp_path, "s3://bucket?profile=b2").values == {"access_key_id": "k2", "secret_access_key": "SECRET2"}
    assert found(tmp_path, "s3://bucket").values["access_key_id"] == "k"


def test_the_environment_goes_before_the_default_and_a_profile_before_both(tmp_path: Path) -> None:
    written(tmp_path)
    told = found(tmp_path, "s3://bucket", AWS_ACCESS_KEY_ID="env")
    assert (told.source, told.values) == ("the environment", {})
    assert found(tmp_path, "s3://bucket?profile=b2", AWS_ACCESS_KEY_ID="env").values["access_key_id"] == "k2"


def test_a_session_of_the_environment_is_not_mixed_with_another_key(tmp_path: Path) -> None:
    written(tmp_path)
    assert found(tmp_path, "s3://bucket?profile=b2", AWS_SESSION_TOKEN="t").values["session_token"] == ""


def test_a_profile_of_the_providers_own_tools(tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    aws = tmp_path / ".aws" / "credentials"
    aws.write_text(
        "[work]\naws_access_key_id = a\naws_secret_access_key = s%s\naws_session_token = t\n[half]\nx = SECRET\n"
    )
    assert found(tmp_path, "s3://bucket?profile=work").values == {
        "access_key_id": "a",
        "secret_access_key": "s%s",
        "session_token": "t",
    }
    with pytest.raises(CredentialsUnfit, match="half"):
        found(tmp_path, "s3://bucket?profile=half")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("SECRET is no section\n")
    with pytest.raises(CredentialsUnfit) as unfit:
        found(tmp_path, "s3://bucket?profile=work", AWS_SHARED_CREDENTIALS_FILE=str(elsewhere))
    assert "SECRET" not in "".join(traceback.format_exception(unfit.value))


def test_none_at_all_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoCredentials, match="s3://bucket") as none:
        found(tmp_path, "s3://bucket")
    assert "AWS_ACCESS_KEY_ID" in none.value.hint
    with pytest.raises(NoCredentials, match="profile b3") as none:
        found(written(tmp_path), "s3://bucket?profile=b3")
    assert FILE in none.value.hint
    for url in ("s3://bucket?profile=anonymous", "https://host/x", "s3://bucket?profile=instance"):
        assert found(tmp_path, url).values == {}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(CredentialsUnfit, match=f"{mode:04o}") as unfit:
        found(written(tmp_path, mode=mode), "s3://bucket")
    assert "chmod 600" in unfit.value.hint


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir(mode=0o700)
    with pytest.raises(CredentialsUnfit):
        found(tmp_path, "s3://bucket")


@pytest.mark.parametrize(
    "text",
    [
        "[default]\nsecret_access_key = SECRET",
        "default = 'SECRET'",
        "[default]\nSECRET = 7",
        "[default]\nkey = 'SECRET'",
        "[default]",
        "a = " + "[" * 60_000,
        "a = " + "9" * 10_000,
        "\udcff",
    ],
)
def test_a_file_that_is_not_understood_is_not_quoted(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_bytes(text.encode(errors="surrogateescape"))
    (tmp_path / FILE).chmod(0o600)
    with pytest.raises(CredentialsUnfit) as unfit:
        found(tmp_path, "s3://bucket")
    assert "SECRET'" not in "".join(traceback.format_exception(unfit.value))
    assert "= SECRET" not in "".join(traceback.format_exception(unfit.value))


@pytest.mark.parametrize(
    ("url", "values"),
    [
        ("s3://bucket/x", {"access_key_id": "KEYID", "secret_access_key": "SECRET"}),
        ("az://container/x?account=a", {"account_key": "U0VDUkVU"}),
        ("az://container/x?account=a", {"sas_key": "sv=1&sig=SECRET"}),
        ("https://127.0.0.1:1/x", {"token": "SECRET"}),
    ],
)
def test_no_text_of_ours_has_a_secret_in_it(url: str, values: dict[str, str]) -> None:
    credentials = Credentials("[p]", values)
    bucket = Bucket(EngineAddress.parse(url), credentials)
    shown = f"{credentials!r} {credentials} {bucket!r} {bucket}"
    assert all(value not in shown for value in values.values())


@pytest.mark.parametrize(
    ("url", "values"),
    [
        ("gs://bucket/x", {"service_account_key": '{"private_key": "SECRET"}'}),
        ("gs://bucket/x", {"service_account_key": "SECRET"}),
        ("az://container/x?account=a", {"account_key": "SECRET!"}),
        ("az://container/x", {}),
    ],
)
def test_credentials_that_the_library_refuses_are_not_repeated(url: str, values: dict[str, str]) -> None:
    with pytest.raises(CredentialsUnfit, match=r"\[p\]") as unfit:
        Bucket(EngineAddress.parse(url), Credentials("[p]", values))
    assert "SECRET" not in "".join(traceback.format_exception(unfit.value))


REFUSED = (
    "Error performing PUT https://k:SECRET@host/x?sig=SECRET - Server returned non-2xx status code: {}: <Code>{}</Code>"
)


@pytest.mark.parametrize(
    ("status", "code", "reading", "writing"),
    [
        (403, "AccessDenied", StoreGone, StoreReadOnly),
        (401, "Unauthorized", StoreGone, StoreReadOnly),
        (405, "MethodNotAllowed", StoreGone, StoreReadOnly),
        (507, "InsufficientStorage", StoreFull, StoreFull),
        (400, "QuotaExceeded", StoreFull, StoreFull),
        (500, "InternalError", StoreGone, StoreGone),
        (503, "SlowDown", StoreGone, StoreGone),
        (404, "NoSuchBucket", StoreGone, StoreGone),
    ],
)
def test_what_an_engine_says_becomes_what_a_store_may_say(
    status: int, code: str, reading: type[RopewalkError], writing: type[RopewalkError]
) -> None:
    error = Exception(REFUSED.format(status, code))
    for kind, told in (
        (reading, as_store("s3://b", error, writing=False)),
        (writing, as_store("s3://b", error, writing=True)),
    ):
        assert type(told) is kind
        assert f"status {status}, {code}" in str(told)
        assert "SECRET" not in f"{told} {told.hint}"


def test_what_the_provider_of_credentials_refuses_is_not_laid_on_the_store() -> None:
    error = Exception("Error performing token request: Error performing GET http://x - status code: 403 Forbidden")
    told = as_store("gs://b", error, writing=True)
    assert type(told) is StoreGone
    assert "no token" in str(told)


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        ("status code: 416 Range Not Satisfiable", True),
        ("Wanted range starting at 10, but object was only 10 bytes long ... StartTooLarge {", True),
        ("status code: 500", False),
    ],
)
def test_a_range_past_the_end_is_told_in_two_ways(text: str, ended: bool) -> None:
    assert ends_before(Exception(text)) is ended
