"""Who stands for a file of published records: OpenSSH signatures, as git uses them.

`ssh-keygen -Y sign` writes `SLUG.jsonl.sig` beside the records. Who may sign stands in an
`allowed_signers` file (ssh-keygen(1)): git's `gpg.ssh.allowedSignersFile`, which is the reader's
own, or else the one beside the records, which comes with them and says no more than they do.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ppr.errors import BadRequest, RunFailed

NAMESPACE = "ppr-records"
"""What a signature is for: one of git's, over the same bytes, is none of these."""

SIGNERS = "allowed_signers"


@dataclass(frozen=True)
class Signature:
    """What was found of a signature: who signed, or what is wrong, in one line."""

    signer: str = ""
    wrong: str = ""


def beside(file: Path) -> Path:
    return file.with_name(f"{file.name}.sig")


def signing_key(given: str) -> Path:
    """The key that is named, or git's `user.signingkey`.

    Raises:
        BadRequest: there is none, or it is no file.
    """
    named = given or _git("user.signingkey")
    if not named:
        raise BadRequest("--sign: no key; --sign KEY, or git config user.signingkey KEY")
    key = Path(named).expanduser()
    if not key.is_file():
        origin = "" if given else "git's user.signingkey, "
        raise BadRequest(f"--sign: {origin}{named}: no file of an OpenSSH key")
    return key


def sign(file: Path, key: Path) -> Path:
    """Sign a file; where the signature is.

    Raises:
        BadRequest: there is no ssh-keygen, or it takes no such key.
    """
    made = beside(file)
    made.unlink(missing_ok=True)  # ssh-keygen would ask whether to write over it
    try:
        _keygen("sign", "-f", str(key), "-n", NAMESPACE, str(file))
    except RunFailed as error:
        raise BadRequest(f"--sign {key}: {error}") from None
    return made


def read(file: Path) -> Signature | None:
    """What the signature beside a file says of it today; None where there is none."""
    signature = beside(file)
    if not signature.exists():
        return None
    of_it = ("-n", NAMESPACE, "-s", str(signature))
    try:
        good = _keygen("check-novalidate", *of_it, content=file)
    except BadRequest as error:
        return Signature(wrong=f"{signature}: cannot be checked: {error}")
    except RunFailed as error:
        return Signature(wrong=f"{signature}: {_why(str(error))}")
    found = re.search(r"SHA256:\S+", good)
    key = found[0] if found else "a key"
    signers = Path(_git("gpg.ssh.allowedSignersFile") or file.parent / SIGNERS).expanduser()
    if not signers.is_file():
        return Signature(wrong=f"{signature}: signed with {key}; no {signers} says whose it is")
    try:
        names = _keygen("find-principals", "-s", str(signature), "-f", str(signers))
        who = names.splitlines()[0]
        _keygen("verify", *of_it, "-f", str(signers), "-I", who, content=file)
    except (RunFailed, IndexError):
        wrong = f"{signature}: signed with {key}, which is no key of a signer in {signers}"
        return Signature(wrong=wrong)
    return Signature(signer=who)


def _why(said: str) -> str:
    if "incorrect signature" in said:
        return "the records have changed since they were signed"
    if "namespace" in said:
        return f"is no signature of records (of {NAMESPACE})"
    return f"is torn: {said}"


def _keygen(action: str, *words: str, content: Path | None = None) -> str:
    """What ssh-keygen says.

    Raises:
        BadRequest: there is none.
        RunFailed: it refuses, and why.
    """
    program = shutil.which("ssh-keygen")
    if program is None:
        raise BadRequest("no ssh-keygen on this machine; it comes with OpenSSH 8.2 or newer")
    done = subprocess.run(
        [program, "-Y", action, *words],
        input=content.read_bytes() if content else b"",
        capture_output=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines()
        raise RunFailed("; ".join(line.strip() for line in lines if line.strip()) or action)
    return done.stdout.decode(errors="replace")


def _git(key: str) -> str:
    """git's setting; empty where there is none, or no git."""
    try:
        done = subprocess.run(["git", "config", "--get", key], capture_output=True, check=False)
    except OSError:
        return ""
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""
