"""Keypairs: public keys that servers are given, imported or made here (the private half is shown once and not kept)."""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite.compute import quotas
from nova_lite.db import paging
from nova_lite.db.models import Keypair
from nova_lite.db.store import Store
from nova_lite.errors import Conflict, Invalid, NotFound, OverLimit

RSA_BITS = 2048
LONGEST_KEY = 16_384
_PRINCIPAL_NAME = ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")


@dataclass(frozen=True)
class Material:
    """A public key as it is kept. ``private_key`` only where it was made here just now."""

    public_key: str
    fingerprint: str
    private_key: str | None = None


def read_public(kind: str, public_key: str) -> Material:
    """Check an imported key (``ssh``: one line of OpenSSH's form; ``x509``: PEM) and take its fingerprint.

    It is kept as it came, a line break at its end too: Terraform compares what it is shown with its user's file.
    The fingerprint is MD5 of the key's bytes for ssh and SHA-1 of the certificate for x509, as Nova has them.

    :raises Invalid: it is none.
    """
    text = public_key.strip()
    if len(public_key) > LONGEST_KEY:
        raise _bad(f"it is longer than {LONGEST_KEY} characters")
    if kind == "x509":
        return _read_certificate(public_key)
    if any(not char.isprintable() for char in text):
        raise _bad("it must be one line without control characters")
    parts = text.split(" ", 2)
    try:
        blob = base64.b64decode(parts[1], validate=True)
        serialization.load_ssh_public_key(" ".join(parts[:2]).encode())
    except (IndexError, ValueError, UnicodeEncodeError, binascii.Error, UnsupportedAlgorithm):
        raise _bad("failed to generate fingerprint") from None
    return Material(public_key, _colons(hashlib.md5(blob, usedforsecurity=False).hexdigest()))


def _read_certificate(text: str) -> Material:
    try:
        certificate = x509.load_pem_x509_certificate(text.strip().encode())
    except (ValueError, UnsupportedAlgorithm):
        raise _bad("failed to generate X509 fingerprint. Error message: it is no certificate in PEM form") from None
    return Material(text, _colons(certificate.fingerprint(hashes.SHA1()).hex()))  # noqa: S303 (clients expect SHA-1)


def _bad(reason: str) -> Invalid:
    return Invalid(f"Keypair data is invalid: {reason}", "keypair.invalid")


def _colons(digits: str) -> str:
    return ":".join(digits[index : index + 2] for index in range(0, len(digits), 2))


def generate(kind: str, user_id: str) -> Material:
    """Make a key: RSA 2048, which every guest's SSH takes. Takes some 0.1 s: call it off the server's hub."""
    key = rsa.generate_private_key(65_537, RSA_BITS)
    if kind == "x509":
        return _generate_certificate(key, user_id)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    made = read_public("ssh", f"{public.decode()} Generated-by-nova_lite")
    return Material(made.public_key, made.fingerprint, private.decode())


def _generate_certificate(key: Any, user_id: str) -> Material:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user_id[:64])])
    moment = datetime.datetime.now(datetime.UTC)
    principal = f"{user_id}@localhost".encode()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment)
        .not_valid_after(moment + datetime.timedelta(days=3650))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(
            # WinRM finds the user by this name: an UTF8String, tag 12.
            x509.SubjectAlternativeName(
                [x509.OtherName(_PRINCIPAL_NAME, bytes((12, min(len(principal), 127))) + principal[:127])]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    made = _read_certificate(certificate.public_bytes(serialization.Encoding.PEM).decode().strip())
    return Material(made.public_key, made.fingerprint, private.decode())


def add(store: Store, user_id: str, name: str, kind: str, material: Material, most: int) -> Keypair:
    """Keep a key under a name. *most*: how many the user may have (-1: any number).

    :raises Conflict: the user has one of that name.
    :raises OverLimit: they have as many as they may.
    """

    def work(session: Session) -> Keypair:
        try:
            quotas.take(session, quotas.of_user(user_id), {"key_pairs": 1}, {"key_pairs": most})
        except OverLimit:
            raise OverLimit("Quota exceeded, too many key pairs.", "quota.exceeded") from None
        row = Keypair(
            user_id=user_id,
            name=name,
            type=kind,
            fingerprint=material.fingerprint,
            public_key=material.public_key,
        )
        session.add(row)
        session.flush()
        return row

    try:
        made: Keypair = quotas.transact(store, work)
        return made
    except IntegrityError as error:
        raise Conflict(f"Key pair '{name}' already exists.", "keypair.exists") from error


def read(session: Session, user_id: str, name: str) -> Keypair:
    """Return a user's keypair. :raises NotFound: there is none of that name."""
    row = session.scalar(select(Keypair).where(Keypair.user_id == user_id, Keypair.name == name))
    if row is None:
        raise NotFound(f"Keypair {name} not found for user {user_id}", "keypair.not_found")
    return row


def get(store: Store, user_id: str, name: str) -> Keypair:
    """See :func:`read`."""
    with store.read() as session:
        return read(session, user_id, name)


def find(store: Store, user_id: str, *, limit: int | None = None, marker: str | None = None) -> list[Keypair]:
    """List a user's keypairs by name. :raises Invalid: *marker* names none of them."""
    keys = [paging.order(Keypair.name, descending=False), paging.order(Keypair.id, descending=False)]
    with store.read() as session:
        position = None
        if marker is not None:
            position = paging.position(session, keys, Keypair.user_id == user_id, Keypair.name == marker)
            if position is None:
                raise Invalid(f"marker [{marker}] not found", "keypair.bad_marker")
        query = paging.after(select(Keypair).where(Keypair.user_id == user_id), keys, position)
        return list(session.scalars(query if limit is None else query.limit(limit)))


def delete(store: Store, user_id: str, name: str) -> None:
    """Delete a keypair; servers that were given it keep it. :raises NotFound: there is none of that name."""

    def work(session: Session) -> None:
        result: Any = session.execute(
            sql_delete(Keypair)
            .where(Keypair.user_id == user_id, Keypair.name == name)
            .execution_options(synchronize_session=False)
        )
        if not result.rowcount:
            raise NotFound(f"Keypair {name} not found for user {user_id}", "keypair.not_found")
        quotas.give_back(session, quotas.of_user(user_id), {"key_pairs": 1})

    store.transact(work)
