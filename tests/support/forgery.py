"""Tokens that nobody should take, made as an attacker makes them: from what is public."""

import hmac
import json
from collections.abc import Callable, Mapping

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate
from jwt.utils import base64url_encode

from infra.emulators.auth.signing import SigningKey

Claims = Mapping[str, object]


def token_of(
    header: Mapping[str, object], claims: object, sign: Callable[[bytes], bytes] = lambda _: b""
) -> str:
    """A token with any header, which no library would make. By default nobody signs it."""
    parts = [base64url_encode(json.dumps(part).encode()) for part in (header, claims)]
    signed = b".".join(parts)
    return b".".join([signed, base64url_encode(sign(signed))]).decode()


def forgeries(claims: Claims, key_id: str, certificate: str) -> dict[str, str]:
    """Tokens with these claims, by what is wrong with their signature."""
    own = SigningKey.new()
    public = load_pem_x509_certificate(certificate.encode()).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    hs256 = {"alg": "HS256", "typ": "JWT", "kid": key_id}
    rs256 = {"alg": "RS256", "typ": "JWT", "kid": key_id}
    own_jwk = jwt.algorithms.RSAAlgorithm.to_jwk(own.private.public_key(), as_dict=True)
    return {
        "nobody signed it": token_of({"alg": "none", "typ": "JWT"}, claims),
        "nobody signed it, with a key id": token_of({"alg": "none", "kid": key_id}, claims),
        "nobody signed it, in capitals": token_of({"alg": "NoNe", "kid": key_id}, claims),
        "no signature": token_of(rs256, claims),
        "no algorithm": token_of({"kid": key_id}, claims, _rs256(own.private)),
        "the certificate is the secret": token_of(hs256, claims, _hs256(certificate.encode())),
        "the certificate but for its end": token_of(
            hs256, claims, _hs256(certificate.strip().encode())
        ),
        "the public key is the secret": token_of(hs256, claims, _hs256(pem)),
        "nothing is the secret": token_of(hs256, claims, _hs256(b"")),
        "another key": own.sign(claims),
        "another key under this one's id": SigningKey(key_id, own.private).sign(claims),
        "another key and no id": token_of({"alg": "RS256"}, claims, _rs256(own.private)),
        "another key and a list of ids": token_of(
            {**rs256, "kid": [key_id]}, claims, _rs256(own.private)
        ),
        "another key, which it brings along": token_of(
            {**rs256, "jwk": own_jwk}, claims, _rs256(own.private)
        ),
        "another key, which it says where to find": token_of(
            {**rs256, "jku": "http://127.0.0.1:9/", "x5u": "http://127.0.0.1:9/"},
            claims,
            _rs256(own.private),
        ),
    }


def _hs256(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda text: hmac.digest(secret, text, "sha256")


def _rs256(key: RSAPrivateKey) -> Callable[[bytes], bytes]:
    return lambda text: key.sign(text, padding.PKCS1v15(), hashes.SHA256())
