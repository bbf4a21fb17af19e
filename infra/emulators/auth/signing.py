"""Keys that sign tokens as Google's do: RS256, each with an id that it is looked up by."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

ALGORITHM = "RS256"

_VALID_FOR = timedelta(days=16)  # as Google's certificates are


@dataclass(frozen=True)
class SigningKey:
    """A key pair and its id."""

    id: str
    private: rsa.RSAPrivateKey

    @classmethod
    def new(cls) -> "SigningKey":
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return cls(secrets.token_hex(20), private)

    def sign(self, claims: Mapping[str, object]) -> str:
        """A token with these claims, whatever they are."""
        headers = {"kid": self.id}
        return jwt.encode(dict(claims), self.private, algorithm=ALGORITHM, headers=headers)

    def certificate(self, name: str) -> str:
        """The public half in an x509 certificate that it has signed itself, as PEM."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(self.private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + _VALID_FOR)
            .sign(self.private, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM).decode()
