"""Identity's pure parts: hashes, keys, payloads, implied roles, the catalog's ids."""

from __future__ import annotations

import datetime
import multiprocessing
import os
from pathlib import Path

import bcrypt
import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from nova_lite.errors import Unavailable
from nova_lite.identity import keys, passwords, roles, tokens
from nova_lite.identity.principal import Principal
from nova_lite.identity.revocations import arrange

# Hashes that passlib made (its own test vectors), as Keystone's database would hold them.
FROM_ELSEWHERE = {
    "": "$bcrypt-sha256$v=2,t=2b,r=5$E/e/2AOhqM5W/KJTFQzLce$WFPIZKtDDTriqWwlmRFfHiOTeheAZWe",
    "password": "$bcrypt-sha256$v=2,t=2b,r=5$5Hg1DKFqPE8C2aflZ5vVoe$wOK1VFFtS8IGTrGa7.h5fs0u84qyPbS",
}


@pytest.mark.parametrize(("password", "stored"), FROM_ELSEWHERE.items())
def test_hashes_made_elsewhere(password: str, stored: str) -> None:
    assert passwords.matches(password, stored, 4)
    assert not passwords.matches(password + "x", stored, 4)


@pytest.mark.parametrize("password", ["a", "ünï🦀", "a\0b", "x" * 72, "x" * 4096, " "])
def test_a_password_and_nothing_else_matches(password: str) -> None:
    stored = passwords.hash_password(password, 4)
    assert passwords.matches(password, stored, 4)
    assert password not in stored or len(password) == 1
    for other in (password + "y", password[:-1], "a" if password != "a" else "b"):
        assert not passwords.matches(other, stored, 4)
    assert passwords.hash_password(password, 4) != stored


def test_bytes_beyond_bcrypts_limit_count() -> None:
    stored = passwords.hash_password("x" * 80 + "a", 4)
    assert not passwords.matches("x" * 80 + "b", stored, 4)


def test_plain_bcrypt_is_cut_where_keystone_cuts() -> None:
    stored = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    assert passwords.matches("x" * 90, stored, 4)
    assert not passwords.matches("x" * 71, stored, 4)


@pytest.mark.parametrize(
    "stored", [None, "", "!", "$2b$nonsense", "$6$other$scheme", "$bcrypt-sha256$v=2,t=2b,r=5$x$y"]
)
def test_what_is_no_hash_matches_nothing(stored: str | None) -> None:
    assert not passwords.matches("", stored, 4)
    assert not passwords.matches("x", stored, 4)


def test_a_password_that_is_too_long_is_refused_and_costs_a_hash() -> None:
    stored = passwords.hash_password("x" * 5000, 4)
    assert not passwords.matches("x" * 5000, stored, 4)


# Keys


def test_keys_are_made_once(tmp_path: Path) -> None:
    directory = tmp_path / "keys"
    assert keys.ensure(directory) is True
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert set(before) == {"0", "1", ".lock"}
    assert keys.ensure(directory) is False
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def _ensure(directory: Path) -> None:
    keys.ensure(directory)


def test_keys_made_at_once_by_several_processes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    made = [context.Process(target=_ensure, args=(tmp_path / "keys",)) for _ in range(3)]
    for process in made:
        process.start()
    for process in made:
        process.join(30)
        assert process.exitcode == 0
    assert {path.name for path in (tmp_path / "keys").iterdir()} == {"0", "1", ".lock"}


def test_rotation_promotes_what_others_can_read_already(tmp_path: Path) -> None:
    keys.ensure(tmp_path)
    staged = (tmp_path / "0").read_bytes()
    assert keys.rotate(tmp_path, 3) == 2
    assert (tmp_path / "2").read_bytes() == staged
    assert (tmp_path / "0").read_bytes() != staged
    assert keys.rotate(tmp_path, 3) == 3
    assert {path.name for path in tmp_path.iterdir() if path.name != ".lock"} == {"0", "2", "3"}


def test_a_rotation_that_was_cut_off_is_gone_on_with(tmp_path: Path) -> None:
    """Between its two steps there is no staged key; everything is still read, and the next rotation makes one."""
    keys.ensure(tmp_path)
    ring = keys.Keyring(tmp_path)
    sealed = ring.encrypt(b"x")
    os.replace(tmp_path / "0", tmp_path / "2")
    (tmp_path / ".0.77.tmp").write_bytes(b"half")
    assert keys.Keyring(tmp_path).decrypt(sealed) == b"x"
    assert keys.rotate(tmp_path, 3) == 3
    assert keys.Keyring(tmp_path).decrypt(sealed) is None or (tmp_path / "1").exists()
    assert (tmp_path / "0").exists()


def test_a_ring_sees_a_rotation_and_reads_what_a_sibling_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.ensure(tmp_path)
    slow, quick = keys.Keyring(tmp_path), keys.Keyring(tmp_path)
    slow.encrypt(b"")
    keys.rotate(tmp_path, 3)
    # The one that has not looked again reads what the other seals with the promoted key: it was staged before.
    assert slow.decrypt(quick.encrypt(b"new")) == b"new"
    generation = slow.generation()
    monkeypatch.setattr(keys, "LOOK_AGAIN_S", -1.0)
    assert slow.generation() > generation


def test_no_keys_is_said_and_a_broken_one_does_not_take_the_good_ones_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "LOOK_AGAIN_S", -1.0)
    ring = keys.Keyring(tmp_path / "keys")
    with pytest.raises(Unavailable, match="bootstrap"):
        ring.encrypt(b"x")
    (tmp_path / "keys").mkdir()
    with pytest.raises(Unavailable, match="bootstrap"):
        ring.encrypt(b"x")
    keys.ensure(tmp_path / "keys")
    sealed = ring.encrypt(b"x")
    (tmp_path / "keys" / "7").write_text("this is no key")
    assert ring.decrypt(sealed) == b"x"


# Payloads

TEXT = st.text(min_size=1, max_size=255).filter(lambda text: text.isprintable())
IDS = st.text("0123456789abcdef", min_size=32, max_size=32)
MOMENTS = st.datetimes(datetime.datetime(2020, 1, 1), datetime.datetime(2100, 1, 1))
SCOPES: st.SearchStrategy[dict[str, str]] = st.one_of(
    st.just({}),
    st.just({"system_scope": "all"}),
    st.fixed_dictionaries({"domain_id": IDS, "domain_name": TEXT}),
    st.fixed_dictionaries(
        {"project_id": IDS, "project_name": TEXT, "project_domain_id": IDS, "project_domain_name": TEXT}
    ),
)


@given(
    user=IDS, name=TEXT, domain=IDS, domain_name=TEXT, issued=MOMENTS, expires=MOMENTS, scope=SCOPES,
    names=st.sets(st.sampled_from(["admin", "member", "reader"])), audit=st.integers(1, 2),
)  # fmt: skip
def test_a_payload_comes_back_as_it_went(
    user: str,
    name: str,
    domain: str,
    domain_name: str,
    issued: datetime.datetime,
    expires: datetime.datetime,
    scope: dict[str, str],
    names: set[str],
    audit: int,
) -> None:
    who = Principal(
        user_id=user,
        user_name=name,
        user_domain_id=domain,
        user_domain_name=domain_name,
        methods=("password", "token")[:audit],
        audit_ids=tuple(tokens.new_audit_id() for _ in range(audit)),
        issued_at=issued,
        expires_at=expires,
        roles=tuple(sorted(names)),
        **scope,
    )
    packed = tokens.pack(who)
    assert tokens.unpack(packed) == who
    # A header line of eventlet.wsgi holds 8 KiB; the longest names there can be must fit.
    assert len(Fernet(Fernet.generate_key()).encrypt(packed)) < tokens.MAX_TOKEN_LENGTH


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b"[]", b"[2,1,1,1,1,1,1,1,1,1,1]", b"\xff", b'[1,"","","","",[],[],0,0,[],["x"]]']
)
def test_what_is_no_payload(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        tokens.unpack(payload)


# Roles, revocations


@pytest.mark.parametrize(
    ("given_names", "held"),
    [
        ([], ()),
        (["reader"], ("reader",)),
        (["member"], ("member", "reader")),
        (["admin"], ("admin", "manager", "member", "reader")),
        (["custom", "reader"], ("custom", "reader")),
    ],
)
def test_implied_roles(given_names: list[str], held: tuple[str, ...]) -> None:
    assert roles.expand(given_names) == held


def test_what_a_revocation_ends() -> None:
    from nova_lite.db.models import Revocation

    moment = datetime.datetime(2030, 1, 1)
    second = datetime.timedelta(seconds=1)

    def who(
        user: str = "u", project: str | None = "p", audit: str = "a", issued: datetime.datetime = moment
    ) -> Principal:
        return Principal(
            user, user, "d", "d", ("password",), (audit, "chain"), issued, moment + 60 * second, (), project
        )

    one = arrange([Revocation(audit_id="a")])
    assert one.ends(who())
    assert not one.ends(who(audit="b"))
    assert not arrange([Revocation(audit_id="chain")]).ends(who()), "a token's end is not that of what it was got with"
    user = arrange([Revocation(user_id="u", revoked_at=moment), Revocation(user_id="u", revoked_at=moment - second)])
    assert user.ends(who())
    assert user.ends(who(project=None))
    assert not user.ends(who(issued=moment + second))
    assert not user.ends(who(user="v"))
    project = arrange([Revocation(project_id="p", revoked_at=moment)])
    assert project.ends(who())
    assert not project.ends(who(project="q"))
    assert not project.ends(who(project=None))
    pair = arrange([Revocation(user_id="u", project_id="p", revoked_at=moment)])
    assert pair.ends(who())
    assert not pair.ends(who(user="v"))
    assert not pair.ends(who(project="q"))
