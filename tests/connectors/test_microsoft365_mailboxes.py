"""Many mailboxes on a bad day: the benchmark of two hundred, with twenty."""

from __future__ import annotations

from benchmarks.mailboxes import run


def test_twenty_mailboxes_with_faults_lose_double_and_mail_nothing() -> None:
    result = run(mailboxes=20, meetings=12, changes=80, workers=6, seed=3)
    assert (result.lost, result.doubled, result.mailed, result.refused) == (0, 0, 0, 0)
    assert result.peak <= 4
    assert result.faults >= 10, "green means nothing where nothing went wrong"
    assert result.calls["nothing"] == 20, "a mailbox where nothing happened costs one request"
