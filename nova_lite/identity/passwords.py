"""Password hashes: bcrypt over a keyed SHA-256, in the form that Keystone's ``bcrypt_sha256`` writes.

bcrypt reads 72 bytes and stops at a NUL; the SHA-256 before it lets a password be of any length. It is keyed with the
salt, so a hash of the same password that leaked elsewhere is of no use as a password here.
Both that form and plain ``$2b$`` hashes (as imported from Keystone) can be checked.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import re

import bcrypt

MAX_LENGTH = 4096
"""Characters; more are refused before any hashing."""

_FORM = re.compile(r"\$bcrypt-sha256\$v=2,t=2b,r=(\d{1,2})\$([./A-Za-z0-9]{22})\$([./A-Za-z0-9]{31})")


def hash_password(password: str, rounds: int) -> str:
    """Return a salted hash of *password* at cost 2**\\ *rounds*; some 50 ms at 10 rounds, so keep it off the hub."""
    salt = bcrypt.gensalt(rounds).decode().rpartition("$")[2]
    return f"$bcrypt-sha256$v=2,t=2b,r={rounds}${salt}${_digest(password, rounds, salt)}"


def matches(password: str, stored: str | None, rounds: int) -> bool:
    """Tell whether *password* is the one that *stored* was made of; lasts the same when *stored* is None.

    :param rounds: the cost that new hashes have; an account that is not there costs as much.
    """
    if len(password) > MAX_LENGTH:
        password, stored = "", None
    if stored is None:
        matches(password, _nobody(rounds), rounds)
        return False
    form = _FORM.fullmatch(stored)
    if form is not None:
        return hmac.compare_digest(_digest(password, int(form[1]), form[2]), form[3])
    try:
        # Keystone cuts at bcrypt's limit in this form.
        return bcrypt.checkpw(password.encode()[:72], stored.encode())
    except ValueError:
        return False


def _digest(password: str, rounds: int, salt: str) -> str:
    keyed = base64.b64encode(hmac.digest(salt.encode(), password.encode("utf-8", "surrogatepass"), hashlib.sha256))
    return bcrypt.hashpw(keyed, f"$2b${rounds:02d}${salt}".encode()).decode()[-31:]


@functools.cache
def _nobody(rounds: int) -> str:
    return hash_password("", rounds)
