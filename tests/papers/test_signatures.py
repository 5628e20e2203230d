"""`ppr publish --sign`: who stands for published records, held against OpenSSH's own tools."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from paper_toy import invoke

from ppr.errors import BadRequest
from ppr.papers import signatures
from ppr.papers.signatures import beside, read, sign, signing_key

pytest_plugins = ("paper_tree",)

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no OpenSSH here")

WHO = "someone@example.org"


@pytest.fixture(autouse=True)
def own_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A git configuration of the test's own, and no other."""
    config = tmp_path / "gitconfig"
    config.write_text("")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.chdir(tmp_path)
    return config


def make_key(folder: Path, name: str = "key") -> Path:
    key = folder / name
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", WHO, "-f", str(key)]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    return key


def allow(folder: Path, key: Path, who: str = WHO) -> None:
    line = f"{who} {Path(f'{key}.pub').read_text()}"
    (folder / signatures.SIGNERS).write_text(line)


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    file = tmp_path / "toy.jsonl"
    file.write_text('{"a": 1}\n')
    key = make_key(tmp_path)
    sign(file, key)
    allow(tmp_path, key)
    return file


def test_a_signature_says_who_and_is_ssh_keygens_own(signed: Path) -> None:
    found = read(signed)
    assert found == signatures.Signature(signer=WHO)
    by_hand = ["ssh-keygen", "-Y", "verify", "-n", "ppr-records", "-I", WHO, "-f"]
    by_hand += [str(signed.parent / "allowed_signers"), "-s", str(beside(signed))]
    subprocess.run(by_hand, input=signed.read_bytes(), check=True, capture_output=True)


def test_a_file_without_a_signature_is_no_fault(signed: Path) -> None:
    beside(signed).unlink()
    assert read(signed) is None


def wrong(file: Path) -> str:
    found = read(file)
    assert found is not None
    assert not found.signer
    assert "\n" not in found.wrong
    assert found.wrong.startswith(str(beside(file)))
    return found.wrong


def test_a_changed_file_is_refused(signed: Path) -> None:
    signed.write_text('{"a": 2}\n')
    assert "the records have changed since they were signed" in wrong(signed)


def test_a_torn_signature_is_refused(signed: Path) -> None:
    whole = beside(signed).read_bytes()
    for part in (whole[:80], b"", whole[40:]):
        beside(signed).write_bytes(part)
        assert "is torn: " in wrong(signed)


def test_a_signature_for_another_purpose_is_refused(signed: Path, tmp_path: Path) -> None:
    beside(signed).unlink()
    words = ["ssh-keygen", "-Y", "sign", "-n", "git", "-f", str(tmp_path / "key"), str(signed)]
    subprocess.run(words, check=True, capture_output=True)
    assert "is no signature of records (of ppr-records)" in wrong(signed)


def test_an_unknown_signer_is_named_by_the_key(signed: Path, tmp_path: Path) -> None:
    allow(tmp_path, make_key(tmp_path, "other"))
    assert "signed with SHA256:" in wrong(signed)
    assert "which is no key of a signer in " in wrong(signed)
    (tmp_path / signatures.SIGNERS).unlink()
    assert "says whose it is" in wrong(signed)


def test_the_readers_own_signers_come_before_those_beside_the_records(
    signed: Path, tmp_path: Path, own_git: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    own_git.write_text(f'[gpg "ssh"]\n\tallowedSignersFile = {folder / "allowed_signers"}\n')
    allow(folder, make_key(folder))
    assert "which is no key of a signer in " in wrong(signed)
    allow(folder, tmp_path / "key", "known@example.org")
    assert read(signed) == signatures.Signature(signer="known@example.org")


def test_the_key_is_the_one_named_or_gits(tmp_path: Path, own_git: Path) -> None:
    with pytest.raises(BadRequest, match=r"^--sign: no key; --sign KEY, or git config user\.sign"):
        signing_key("")
    own_git.write_text("[user]\n\tsigningkey = nowhere\n")
    with pytest.raises(BadRequest, match=r"^--sign: git's user\.signingkey, nowhere: no file"):
        signing_key("")
    key = make_key(tmp_path)
    own_git.write_text(f"[user]\n\tsigningkey = {key}.pub\n")
    assert signing_key("") == Path(f"{key}.pub")
    assert signing_key(str(key)) == key
    with pytest.raises(BadRequest, match="^--sign: away: no file of an OpenSSH key"):
        signing_key("away")


def test_what_is_no_key_signs_nothing(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("x")
    (tmp_path / "toy.jsonl").write_text("{}\n")
    with pytest.raises(BadRequest) as error:
        sign(tmp_path / "toy.jsonl", tmp_path / "key")
    assert str(error.value).startswith(f"--sign {tmp_path / 'key'}: ")
    assert "\n" not in str(error.value)
    assert not beside(tmp_path / "toy.jsonl").exists()


def test_without_openssh_it_is_said(signed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures.shutil, "which", lambda name: None)
    assert "cannot be checked: no ssh-keygen on this machine" in wrong(signed)
    with pytest.raises(BadRequest, match="no ssh-keygen on this machine"):
        sign(signed, signed.parent / "key")


def test_published_records_are_signed_and_verified(root: Path, tmp_path: Path) -> None:
    clone, key = tmp_path / "clone", make_key(tmp_path)
    shown = invoke("publish", "toy", "--to", str(clone), "--sign", str(key))
    file = clone / "toy.jsonl"
    assert shown.output.endswith(f"signed: {file}.sig\n")
    allow(clone, key)
    verified = invoke("verify", "toy", "--results", str(clone))
    assert verified.exit_code == 0
    assert verified.output.endswith(f"verified, 1 file signed by {WHO}\n")
    # Published again, the same records keep their signature; changed ones lose it.
    invoke("publish", "toy", "--results", str(clone))
    assert beside(file).exists()
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))
    verified = invoke("verify", "toy", "--results", str(clone))
    assert verified.exit_code == 1
    assert f"OFF  {file}.sig: the records have changed since they were signed" in verified.output
    shown = invoke("publish", "toy", "--to", str(clone))
    assert f"the records are others than were signed: {file}.sig removed" in shown.output
    assert not beside(file).exists()
