"""Access tokens: what is signed comes back, and nothing else is believed."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from modules.identity.public import InvalidToken, TokenSigner
from modules.identity.sessions import tokens

SECRET = "a-secret-for-tests-of-more-than-32-bytes"
WHO = {"organization_id": 3, "user_id": 7, "session_id": "0b0e7a7e-7f1b-4c55-9d3c-3f4b1c7b1a11"}


def pem(private) -> tuple[str, str]:
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return secret.decode(), public.decode()


RSA = pem(rsa.generate_private_key(65537, 2048))
EC = pem(ec.generate_private_key(ec.SECP256R1()))
SIGNERS = {
    "HS256": TokenSigner(SECRET),
    "RS256": TokenSigner(RSA[0], algorithm="RS256", public_key=RSA[1]),
    "ES256": TokenSigner(EC[0], algorithm="ES256", public_key=EC[1]),
}


@pytest.mark.parametrize("algorithm", SIGNERS)
def test_what_is_signed_comes_back(algorithm):
    now = datetime.now(UTC)
    token, expires = SIGNERS[algorithm].issue(**WHO, now=now)
    claims = SIGNERS[algorithm].verify(token)
    assert (claims.organization_id, claims.user_id, claims.session_id) == (3, 7, WHO["session_id"])
    assert claims.expires_at == expires == now.replace(microsecond=0) + timedelta(minutes=30)
    assert jwt.get_unverified_header(token)["alg"] == algorithm
    again, _ = SIGNERS[algorithm].issue(**WHO, now=now)
    assert again != token, "every token has a name of its own"


@pytest.mark.parametrize("algorithm", SIGNERS)
@pytest.mark.parametrize("other", SIGNERS)
def test_a_token_of_another_key_or_algorithm_is_not_believed(algorithm, other):
    if algorithm != other:
        token, _ = SIGNERS[other].issue(**WHO, now=datetime.now(UTC))
        with pytest.raises(InvalidToken):
            SIGNERS[algorithm].verify(token)


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def forged(**changed: object) -> str:
    """A token of ours with other claims, signed with our own secret."""
    claims = jwt.decode(SIGNERS["HS256"].issue(**WHO, now=datetime.now(UTC))[0], options={"verify_signature": False})
    return jwt.encode({k: v for k, v in {**claims, **changed}.items() if v is not None}, SECRET, algorithm="HS256")


@pytest.mark.parametrize(
    "token",
    [
        "", "x", "a.b.c", "ü.ü.ü",
        f"{part({'alg': 'none', 'typ': 'JWT'})}.{part({'sub': '7', 'org': 3})}.",
        forged(exp=int(datetime.now(UTC).timestamp()) - 60), forged(iss="somebody else"), forged(aud="another service"),
        forged(org=None), forged(sid=None), forged(exp=None), forged(org="three"), forged(sub="seven"),
    ],
)  # fmt: skip
def test_what_is_not_believed(token):
    with pytest.raises(InvalidToken):
        SIGNERS["HS256"].verify(token)


def test_a_changed_token_is_not_believed():
    head, _, signature = SIGNERS["HS256"].issue(**WHO, now=datetime.now(UTC))[0].split(".")
    claims = jwt.decode(forged(), options={"verify_signature": False})
    with pytest.raises(InvalidToken):
        SIGNERS["HS256"].verify(f"{head}.{part({**claims, 'org': 4})}.{signature}")


def test_a_public_key_is_no_secret():
    """The classic confusion: a token of HS256 whose secret is the public key everybody has."""
    header, body = part({"alg": "HS256", "typ": "JWT"}), part(jwt.decode(forged(), options={"verify_signature": False}))
    mac = hmac.new(RSA[1].encode(), f"{header}.{body}".encode(), hashlib.sha256).digest()
    with pytest.raises(InvalidToken):
        SIGNERS["RS256"].verify(f"{header}.{body}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}")


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "short"},
        {"key": SECRET, "algorithm": "none"},
        {"key": SECRET, "algorithm": "HS512"},
        {"key": RSA[0], "algorithm": "RS256"},
    ],
)
def test_weak_settings_are_refused(wrong):
    with pytest.raises(ValueError):
        TokenSigner(**wrong)


def test_secrets_are_long_and_known_by_their_hash_only():
    one, two = tokens.new_secret(tokens.KEY_PREFIX), tokens.new_secret(tokens.KEY_PREFIX)
    assert one != two
    assert len(one) >= len(tokens.KEY_PREFIX) + 43
    assert len(tokens.digest(one)) == 32
    assert tokens.digest(one) != tokens.digest(two)
