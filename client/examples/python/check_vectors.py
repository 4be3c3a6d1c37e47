#!/usr/bin/env python3
"""Checks tallybox.py against the vectors in client/testdata, step by step.

A client in another language should pass the same checks before it is used.

usage: check_vectors.py [FOLDER OF THE VECTORS]
"""

import base64
import datetime
import json
import os
import sys

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

import tallybox

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "..", "..", "testdata")
failed = []


def check(what, found, expected):
    if found != expected:
        failed.append(what)
        print(f"{what}: {found!r}, expected {expected!r}", file=sys.stderr)


def read(name):
    with open(os.path.join(FOLDER, name), "rb") as file:
        return file.read()


def scalar(text):
    return ec.derive_private_key(int(text, 16), ec.SECP256R1())


def refuses(what, document, keys, locality, now):
    try:
        tallybox.open_config(document, keys, locality, now)
        check(what, "accepted", "refused")
    except (tallybox.Refused, ValueError, KeyError):
        pass


def main():
    vectors = json.loads(read("vectors.json"))
    encoded, noise, parts = vectors["encode"], vectors["randomise"], vectors["split"]
    check("encode", tallybox.encode("histogram", len(encoded["bins"]), encoded["bucket"]), encoded["bins"])
    check("threshold", f"{tallybox.threshold(noise['epsilon']):016x}"[:12], noise["threshold"][:12])
    draws = iter(int(draw, 16) for draw in noise["draws"])
    flipped = tallybox.randomise(encoded["bins"], noise["epsilon"], lambda: next(draws))
    check("randomise", flipped, noise["bins"])
    proof = tallybox.prove(flipped, parts["f0"], parts["g0"])
    check("proof", proof, parts["proof"])
    seed = bytes.fromhex(parts["seed"])
    check("generator", tallybox.generate(seed, len(proof)), parts["generator"])
    first, second = tallybox.split(proof, seed)
    check("share of First", first.hex(), parts["first"])
    check("share of Second", second.hex(), parts["second"])
    for which, share in (("first", first), ("second", second)):
        seal = vectors["seal"][which]
        recipient = scalar(seal["recipientScalar"]).public_key()
        sealed = tallybox.seal(recipient, share, scalar(seal["ephemeralScalar"]))
        check("sealed for " + which, sealed.hex(), seal["payload"])
        report = json.loads(read("report.json"))
        place = 0 if which == "first" else 1
        sent = report["payload"]["encryptedDataShares"][place]["payload"]
        check("payload for " + which, base64.b64decode(sent).hex(), seal["payload"])

    config = vectors["config"]
    keys = {config["keyId"]: serialization.load_pem_public_key(config["signingPublicPem"].encode())}
    document = read("config.jose.json")
    now = datetime.datetime(2026, 11, 23, 10, 15, tzinfo=datetime.timezone.utc)
    opened = tallybox.open_config(document, keys, "us-ca", now)
    check("configuration", opened, json.loads(config["payload"]))
    week = datetime.timedelta(days=8)
    refuses("an expired configuration", document, keys, "us-ca", now + week)
    refuses("a configuration that is issued in the future", document, keys, "us-ca", now - week)
    refuses("another locality", document, keys, "us-xx", now)
    refuses("an unknown key", document, {"config-2": keys[config["keyId"]]}, "us-ca", now)
    refuses("another key", document, {config["keyId"]: scalar("11" * 32).public_key()}, "us-ca", now)
    for case in json.loads(read("more.json")) + json.loads(read("grouped.json")):
        more(case)
    for case in json.loads(read("refused.json")):
        moment = datetime.datetime.fromisoformat(case["now"].replace("Z", "+00:00"))
        what = f"rule {case['rule']}: {case['what']}"
        refuses(what, json.dumps(case["document"]), keys, "us-ca", moment)
    print("vectors: " + (f"{len(failed)} differ" if failed else "all agree"))
    return 1 if failed else 0


def more(case):
    """Checks another metric, from the answer to both shares."""
    name = case["name"]
    bins = tallybox.encode(case["kind"], case["bins"], case["answer"], case.get("bits"))
    check(name + ": bins", bins, case["encoded"])
    check(name + ": n", tallybox.size(len(bins)), case["n"])
    proof = tallybox.prove(bins, case["f0"], case["g0"])
    check(name + ": proof", proof, case["proof"])
    seed = bytes.fromhex(case["seed"])
    check(name + ": generator", tallybox.generate(seed, len(proof)), case["generator"])
    first, second = tallybox.split(proof, seed)
    check(name + ": share of First", first.hex(), case["first"])
    check(name + ": share of Second", second.hex(), case["second"])
    for which, share in (("first", first), ("second", second)):
        seal = case["seal"][which]
        sealed = tallybox.seal(scalar(seal["recipientScalar"]).public_key(), share, scalar(seal["ephemeralScalar"]))
        check(f"{name}: sealed for {which}", sealed.hex(), seal["payload"])


if __name__ == "__main__":
    sys.exit(main())
