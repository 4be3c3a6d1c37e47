#!/usr/bin/env python3
"""A client of a Tallybox ingestor in one file, which follows docs/clients.md step by step.

The program needs Python 3.9 and the package `cryptography`. It is an example to read and to start
from. A real client also stores, across restarts, each report until its outcome is known, and the
last good configuration until that expires.

usage: tallybox.py BASE --locality NAME --key ID=FILE.pem --metric NAME --value N|BITS

  tallybox.py http://127.0.0.1:8080 --locality sandbox --key client-config-1=keys/client-config-1.spki.pem \\
      --metric PeriodicExposureNotification-v1 --value 2
"""

import argparse
import base64
import datetime
import hashlib
import json
import math
import random
import secrets
import sys
import time
import urllib.error
import urllib.request
import uuid

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

P = 4293918721
ROOT = 3925978153  # of order 2^20
LARGEST_EPSILON = 12.0  # Replace it with the largest epsilon that your application accepts.


# Section 2: the configuration.


class Refused(Exception):
    """The configuration may not be used."""


def unpadded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def open_config(document, keys, locality, now):
    """Verifies a signed configuration and returns it.

    `keys` maps ids to public keys; `now` is an aware datetime.
    """
    outer = json.loads(document)
    if not isinstance(outer, dict) or set(outer) != {"payload", "protected", "signature"}:
        raise Refused("not a flattened JWS")
    header = json.loads(unpadded(outer["protected"]))
    if set(header) != {"alg", "kid", "typ"}:
        raise Refused("the protected header has other members")
    if header["alg"] != "ES256" or header["typ"] != "tallybox-client-config":
        raise Refused("another algorithm or type")
    if header["kid"] not in keys:
        raise Refused("signed by an unknown key")
    signature = unpadded(outer["signature"])
    if len(signature) != 64:
        raise Refused("the signature has another length")
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    signed = (outer["protected"] + "." + outer["payload"]).encode()
    try:
        keys[header["kid"]].verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Refused("the signature does not verify") from None
    config = json.loads(unpadded(outer["payload"]))
    if config["format"] != 1 or config["locality"] != locality or config["schemaVersion"] not in (1, 2):
        raise Refused("another format, locality or version of the schema")
    issued, expires = (datetime.datetime.fromisoformat(config[name].replace("Z", "+00:00")) for name in ("issued", "expires"))
    if issued > now + datetime.timedelta(minutes=5) or expires <= now:
        raise Refused("not valid now")
    for metric in config["metrics"]:
        good = 0 < metric["epsilon"] <= LARGEST_EPSILON and metric["prime"] == P and metric["numberServers"] == 2
        if not (good and metric["encoding"]["bins"] >= 1 and 0 <= metric["sampling"] <= 1):
            raise Refused("metric " + metric["name"] + " is out of bounds")
    check_keys(config["metrics"])
    return config


def check_keys(metrics):
    """Checks that each packet key has one id, one processor, and its metrics' number of bins."""
    of_id, of_key = {}, {}
    for metric in metrics:
        if len(metric["processors"]) != 2:
            raise Refused("metric " + metric["name"] + " needs two packet keys")
        for place, key in enumerate(metric["processors"]):
            public_key(key["publicKey"])
            name = (place, key["encryptionKeyId"], key["bins"])
            if key["bins"] != metric["encoding"]["bins"]:
                raise Refused("metric " + metric["name"] + " has a packet key of other bins")
            if of_key.setdefault(key["publicKey"], name) != name or of_id.setdefault(name[:2], key["publicKey"]) != key["publicKey"]:
                raise Refused("metric " + metric["name"] + " has a packet key that contradicts another metric's")


def public_key(text):
    point = base64.b64decode(text, validate=True)
    if len(point) != 65:
        raise Refused("a packet key has another length")
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)


# Section 3: making a report.


def encode(kind, bins, answer, bits=None):
    """Returns the bins of an answer: a bucket, a list of 0 and 1, a number, or a group and a number."""
    if kind == "bit-vector":
        assert len(answer) == bins and set(answer) <= {0, 1}
        return list(answer)
    if kind == "histogram":
        assert 0 <= answer < bins
        return [int(place == answer) for place in range(bins)]
    if kind == "grouped-integer":
        group, number = answer
        before, after = group * (1 + bits), bins - (group + 1) * (1 + bits)
        assert before >= 0 and after >= 0
        return [0] * before + [1] + encode("bounded-integer", bits, number) + [0] * after
    assert kind == "bounded-integer" and 0 <= answer < 2**bins
    return [answer >> place & 1 for place in range(bins)]


def parse(kind, text):
    """Returns the answer that a text is: 0110 for a bit vector, 1:35 for a group and a number."""
    if kind == "bit-vector":
        return [int(bit) for bit in text]
    if kind == "grouped-integer":
        return [int(number) for number in text.split(":")]
    return int(text)


def threshold(epsilon):
    return round(2**64 / (1 + math.exp(epsilon)))


def randomise(bins, epsilon, draw=lambda: secrets.randbits(64)):
    """Flips each bin independently. Call it once for an answer, and keep the result."""
    limit = threshold(epsilon)
    return [bit ^ int(draw() < limit) for bit in bins]


def generate(seed, count):
    """Expands a seed of 32 bytes to `count` field elements."""
    nonce, counter = seed[16:24], int.from_bytes(seed[24:], "big")
    cipher = Cipher(algorithms.AES(seed[:16]), modes.ECB()).encryptor()
    elements = []
    while len(elements) < count:
        block = cipher.update(nonce + counter.to_bytes(8, "big"))
        counter = (counter + 1) % 2**64
        words = (int.from_bytes(block[at : at + 4], "little") for at in range(0, 16, 4))
        elements += [word for word in words if word < P]
    return elements[:count]


def transform(values, root):
    """Evaluates a polynomial, given by its coefficients, at the powers of the root."""
    if len(values) == 1:
        return list(values)
    even, odd = transform(values[::2], root * root % P), transform(values[1::2], root * root % P)
    half, power, low, high = len(even), 1, [], []
    for at in range(half):
        term = power * odd[at] % P
        low.append((even[at] + term) % P)
        high.append((even[at] - term) % P)
        power = power * root % P
    return low + high


def size(bins):
    """Returns n, the smallest power of two above the number of bins."""
    n = 1
    while n < bins + 1:
        n *= 2
    return n


def prove(data, f0, g0):
    """Returns the data with the proof that each entry is 0 or 1."""
    n = size(len(data))
    root = pow(ROOT, 2**20 // n, P)
    double = pow(ROOT, 2**20 // (2 * n), P)
    rest = [0] * (n - 1 - len(data))

    def at_double_roots(values):
        inverse = pow(n, -1, P)
        coefficients = [value * inverse % P for value in transform(values, pow(root, -1, P))]
        return transform(coefficients + [0] * n, double)

    f = at_double_roots([f0] + list(data) + rest)
    g = at_double_roots([g0] + [(bit - 1) % P for bit in data] + rest)
    h = [a * b % P for a, b in zip(f, g)]
    return list(data) + [f0, g0, h[0]] + h[1::2]


def split(proof, seed):
    """Returns the shares of First and Second."""
    difference = ((value - masked) % P for value, masked in zip(proof, generate(seed, len(proof))))
    return b"".join(value.to_bytes(4, "little") for value in difference), seed


def seal(recipient, plaintext, ephemeral=None):
    """Seals a share to a processor's key, with a fresh ephemeral key."""
    ephemeral = ephemeral or ec.generate_private_key(ec.SECP256R1())
    form = (serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    point = ephemeral.public_key().public_bytes(*form)
    z = ephemeral.exchange(ec.ECDH(), recipient)
    key = hashlib.sha256(z + b"\0\0\0\1" + point).digest()
    cipher = Cipher(algorithms.AES(key[:16]), modes.GCM(key[16:])).encryptor()
    return point + cipher.update(plaintext) + cipher.finalize() + cipher.tag


# Section 4: the report as JSON.


def make_report(config, metric, bins, now):
    """Makes a report of flipped bins. Post the same bytes until the outcome is known."""
    f0, g0, seed = secrets.randbelow(P), secrets.randbelow(P), secrets.token_bytes(32)
    shares = split(prove(bins, f0, g0), seed)
    parameters = {name: metric[name] for name in ("prime", "epsilon", "numberServers")}
    parameters["bins"] = len(bins)
    if "hammingWeight" in metric:
        parameters["hammingWeight"] = metric["hammingWeight"]
    sealed = [
        {
            "payload": base64.b64encode(seal(public_key(processor["publicKey"]), share)).decode(),
            "encryptionKeyId": processor["encryptionKeyId"],
        }
        for processor, share in zip(metric["processors"], shares)
    ]
    payload = {
        "uuid": str(uuid.uuid4()),
        "created": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "schemaVersion": config["schemaVersion"],
        "prioParams": parameters,
        "encryptedDataShares": sealed,
    }
    return {"metricName": metric["name"], "payload": payload}


# Section 6: posting.

AGAIN = ("outdatedKey", "parameterMismatch", "unknownMetric")


def post(address, body, deadline):
    """Posts a report and returns `accepted`, `alreadyAccepted`, the name of a problem, or None."""
    tries = 0
    while time.monotonic() < deadline:
        pause = 0
        try:
            request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)["status"]
        except urllib.error.HTTPError as error:
            after = error.headers.get("Retry-After", "")
            pause = int(after) if after.isdigit() else 0
            document = error.read()
            ours = error.headers.get("Content-Type") == "application/problem+json"
            if ours and error.code not in (408, 429) and error.code < 500:
                return json.loads(document)["type"].rsplit(":", 1)[-1]
        except (OSError, ValueError, KeyError):
            pass  # No answer, or an answer that does not come from the ingestor.
        time.sleep(max(pause, random.uniform(0, min(60, 0.5 * 2**tries))))
        tries += 1
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base")
    for name in ("locality", "key", "metric", "value"):
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    key_id, file = options.key.split("=", 1)
    with open(file, "rb") as pem:
        keys = {key_id: serialization.load_pem_public_key(pem.read())}
    base = f"{options.base}/v1/{options.locality}"
    flipped = None
    for _ in range(2):
        now = datetime.datetime.now(datetime.timezone.utc)
        with urllib.request.urlopen(base + "/config", timeout=30) as answer:
            config = open_config(answer.read(), keys, options.locality, now)
        metric = next((metric for metric in config["metrics"] if metric["name"] == options.metric), None)
        if metric is None:
            return "nothing to report: no such metric"
        encoding = metric["encoding"]
        kind, bins, bits = encoding["kind"], encoding["bins"], encoding.get("bits")
        value = parse(kind, options.value)
        # Repeated noise averages out and reveals the answer, so a second report uses the same bins.
        flipped = flipped or randomise(encode(kind, bins, value, bits), metric["epsilon"])
        report = make_report(config, metric, flipped, now)
        outcome = post(base + "/reports", json.dumps(report).encode(), time.monotonic() + 180)
        print(report["payload"]["uuid"], outcome)
        if outcome not in AGAIN:
            break
    return 0 if outcome in ("accepted", "alreadyAccepted") else 3


if __name__ == "__main__":
    sys.exit(main())
