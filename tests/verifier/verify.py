#!/usr/bin/env python3
"""Checks what enact signs, with nothing of enact: receipts, checkpoints, and a store's leaf hashes against them.

    verify.py PUBLIC_KEYS receipt FILE        a receipt, without the log
    verify.py PUBLIC_KEYS checkpoint FILE     a checkpoint
    verify.py PUBLIC_KEYS log STORE           the checkpoints that are kept with a store, and the leaf hashes of its sealed volumes

Needs Python 3.8 and its standard library. Formats: docs/audit.md and docs/receipts.md; C2SP signed-note and tlog-checkpoint; RFC 6962 for
the tree; RFC 8032 for Ed25519; RFC 8785 for JSON. Exit 0: all holds. Exit 1: something does not, and what is said.
"""

import base64
import datetime
import hashlib
import hmac
import json
import pathlib
import struct
import sys

# ---- Ed25519 (RFC 8032, section 5.1.7) ----

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def point_add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def point_mul(times, p):
    q = (0, 1, 1, 0)
    while times:
        if times & 1:
            q = point_add(q, p)
        p, times = point_add(p, p), times >> 1
    return q


def point_decode(raw):
    y, sign = int.from_bytes(raw, "little") & (2**255 - 1), raw[31] >> 7
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - x2) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = point_decode(bytes([0x58]) + bytes([0x66]) * 31)


def has_signed(key, text, signature):
    a, r = point_decode(key), point_decode(signature[:32]) if len(signature) == 64 else None
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + text).digest(), "little") % L
    left, right = point_mul(s, BASE), point_add(r, point_mul(h, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


# ---- signed notes and checkpoints (C2SP) ----


class Bad(Exception):
    pass


def need(holds, what):
    if not holds:
        raise Bad(what)


def unbase64(text):
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Bad(f"it is not base64: {text!r}") from None


def read_key(line):
    name, digits, raw = line.split("+", 2)
    raw = unbase64(raw)
    need(raw[:1] == b"\x01" and len(raw) == 33, f"the key of {name} is no Ed25519 key")
    short = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    need(short.hex() == digits, f"the key of {name} has another hash")
    return name, short, raw[1:]


def read_keys(path):
    lines = [line.strip() for line in pathlib.Path(path).read_text("utf-8").splitlines()]
    return [read_key(line) for line in lines if line and not line.startswith("#")]


def verify_signatures(text, lines, keys, log):
    """That a trusted key of the log has signed the text; gives those that have."""
    signers = []
    for line in lines:
        need(line.startswith("\u2014 ") and line.count(" ") == 2, f"it is no signature: {line!r}")
        _, name, raw = line.split(" ")
        raw = unbase64(raw)
        for key in keys:
            if key[:2] == (name, raw[:4]):
                need(has_signed(key[2], text.encode(), raw[4:]), f"the signature of {name} is not one of this text")
                need(name == log, f"it is signed by {name}, and is of {log}")
                signers.append(key)
    need(signers, "no key that is trusted has signed it")
    return signers


def read_checkpoint(note, keys):
    """Its log, size and root, the key that it hands over to, and who signed it."""
    text, _, signatures = note.rpartition("\n\n")
    lines = text.split("\n")
    need(len(lines) >= 3 and all(lines) and signatures.endswith("\n"), "it has not the form of a checkpoint")
    origin, size, root = lines[0], lines[1], unbase64(lines[2])
    need(size.isdecimal() and str(int(size)) == size and len(root) == 32, "it has not the form of a checkpoint")
    successors = [read_key(line[len("successor "):]) for line in lines[3:] if line.startswith("successor ")]
    need(len(successors) <= 1, "it hands over to more than one key")
    signers = verify_signatures(text + "\n", signatures[:-1].split("\n"), keys, origin)
    if successors:
        verify_signatures(text + "\n", signatures[:-1].split("\n"), successors, origin)
    return origin, int(size), root, successors, signers


# ---- the tree (RFC 6962) ----


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_by_path(leaf, index, size, path):
    """The root that a leaf and the hashes beside its way up give; None where there are too many or too few of them."""
    place, last, root = index, size - 1, leaf
    for beside in path:
        if last == 0:
            return None
        if place & 1 or place == last:
            root = node(beside, root)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            root = node(root, beside)
        place, last = place >> 1, last >> 1
    return root if last == 0 else None


class Tree:
    def __init__(self):
        self.size, self.roots = 0, []

    def push(self, leaf):
        self.roots.append(leaf)
        self.size += 1
        for _ in range((self.size & -self.size).bit_length() - 1):
            right, left = self.roots.pop(), self.roots.pop()
            self.roots.append(node(left, right))

    def root(self):
        if not self.roots:
            return hashlib.sha256(b"").digest()
        root = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            root = node(left, root)
        return root


# ---- receipts ----


def canonical(value):
    """RFC 8785, of what has whole numbers alone and names of ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def read_json(text):
    def unique(pairs):
        need(len(dict(pairs)) == len(pairs), "a name stands twice in an object")
        return dict(pairs)

    return json.loads(text, object_pairs_hook=unique)


def digests(statement):
    yield "input", statement["input"]
    yield "output", statement["output"]
    for action in statement["actions"]:
        at = f"actions.{action['seq']}"
        yield f"{at}.params", action["params"]
        yield f"{at}.output", action["output"]
        for number, attempt in enumerate(action["attempts"], 1):
            yield f"{at}.attempts.{number}.pre_state", attempt["pre_state"]
            if attempt["undo"]:
                yield f"{at}.attempts.{number}.undo.params", attempt["undo"]["params"]


def verify_event(statement, number, event, path, size, root):
    where = f"the event at position {event['position']}"
    header, payload = unbase64(event["header"]), unbase64(event["payload"])
    need(len(header) == 72 and header[:4] == b"ENR1" and len(payload) == 32, f"{where} has not the form of an event")
    run, event_seq, position, micros = header[12:28], *struct.unpack("<QQQ", header[28:52])
    said = statement["run_id"].replace("-", ""), number, event["position"]
    need((run.hex(), event_seq, position) == said and event["event_seq"] == number, f"{where} has another header")
    at = datetime.datetime.fromtimestamp(micros // 1_000_000, datetime.timezone.utc)
    need(event["at"] == f"{at:%Y-%m-%dT%H:%M:%S}.{micros % 1_000_000:06}Z", f"{where} was at another time")
    leaf = hashlib.sha256(b"\x00" + header + payload).digest()
    need(root_by_path(leaf, position - 1, size, path) == root, f"{where} is not in the log")


def receipt(keys, path):
    text = pathlib.Path(path).read_text("utf-8")
    read = read_json(text)
    statement, log = read["statement"], read["statement"]["log"]
    need(statement["type"] == "enact.receipt.v1", "it is of another form")
    need(text.rstrip("\n") == canonical(read), "it is not in its canonical form")
    digest = base64.b64encode(hashlib.sha256(canonical(statement).encode()).digest()).decode()
    signed = ["enact.receipt.v1", log, statement["run_id"], str(len(statement["events"])), digest]
    verify_signatures("\n".join(signed) + "\n", read["signatures"], keys, log)
    origin, size, root, _, _ = read_checkpoint(read["checkpoint"], keys)
    need(origin == log, "its checkpoint is of another log")
    hashes = [unbase64(text) for text in read["proof"]["hashes"]]
    paths = [[hashes[place] for place in path] for path in read["proof"]["paths"]]
    need(len(paths) == len(statement["events"]) > 0, "there is not one path for each event")
    for number, (event, path) in enumerate(zip(statement["events"], paths), 1):
        verify_event(statement, number, event, path, size, root)
    known = dict(digests(statement))
    for part in read.get("disclosed", []):
        salted = hmac.new(unbase64(part["salt"]), part["content"].encode(), "sha256").hexdigest()
        need(salted == known.get(part["label"]), f"{part['label']} is not what the digest is of")
    return f"run {statement['run_id']} by {statement['user']}: {statement['status']}, {len(paths)} events in {log} of {size}"


# ---- the log ----


def log(keys, store):
    store, tree, origin, count = pathlib.Path(store), Tree(), None, 0
    kept = store.joinpath("checkpoints").read_text("utf-8").split("\n")
    leaves = b"".join(path.read_bytes() for path in sorted(store.glob("volumes/*.leaves")))
    need(len(leaves) % 32 == 0, "the leaf hashes are cut off")
    before, trusted = 0, list(keys)
    for line in filter(None, kept):
        read = read_json(line)
        origin, size, root, successors, signers = read_checkpoint(read["note"], trusted)
        need(size >= before, "the checkpoints are not in order")
        subtrees = Tree()
        subtrees.size, subtrees.roots = size, [unbase64(text) for text in read["subtrees"]]
        need(subtrees.root() == root, f"the subtrees of the checkpoint of {size} do not have its root")
        while tree.size < size and tree.size * 32 < len(leaves):
            tree.push(leaves[tree.size * 32 : tree.size * 32 + 32])
        if tree.size == size:
            need(tree.root() == root, f"the events up to {size} are not those that were signed")
            count += 1
        if successors:
            trusted = [key for key in trusted if key not in signers] + successors
        before = size
    return f"{origin}: {count} checkpoints have the root of the leaf hashes, which are {len(leaves) // 32}; the last is of {before}"


def checkpoint(keys, path):
    origin, size, _, _, _ = read_checkpoint(pathlib.Path(path).read_text("utf-8"), keys)
    return f"{origin}: {size} events"


def main(arguments):
    what = {"receipt": receipt, "checkpoint": checkpoint, "log": log}
    if len(arguments) != 3 or arguments[1] not in what:
        sys.exit(__doc__)
    try:
        print("holds:", what[arguments[1]](read_keys(arguments[0]), arguments[2]))
    except Bad as bad:
        sys.exit(f"does not hold: {bad}")
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        sys.exit(f"does not hold: it has another form ({error!r})")


if __name__ == "__main__":
    main(sys.argv[1:])
