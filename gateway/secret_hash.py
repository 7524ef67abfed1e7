"""By what key secrets are hashed in records, and what names a token by such a hash."""

import hashlib
import hmac
import os
from dataclasses import replace
from functools import partial

from gateway.api.revocation import Revocation, hashed_by
from gateway.config.model import Configuration
from gateway.shared.memory import SharedMemory


def hash_key(configuration: Configuration, memory: SharedMemory) -> bytes:
    """The configured key, or that of all who share the memory."""
    given = configuration.log.hash_key
    return given.reveal().encode() if given is not None else memory.derived("log.hash_key")


def secret_key(configuration: Configuration) -> bytes:
    """The configured key, or a new one for this process."""
    given = configuration.log.hash_key
    return given.reveal().encode() if given is not None else os.urandom(32)


def keyed_hash(key: bytes, data: bytes) -> str:
    """What stands for a secret."""
    return hmac.new(key, data, hashlib.sha256).hexdigest()[:32]


def of_key(revocation: Revocation, key: bytes) -> Revocation:
    """A revocation whose token is named by a hash of this key."""
    return replace(revocation, hashed_by=hashed_by(partial(keyed_hash, key)))
