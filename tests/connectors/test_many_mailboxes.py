"""Many mailboxes on a bad day: the benchmark of two hundred, with twenty."""

from __future__ import annotations

from benchmarks.mailboxes import run


def test_twenty_mailboxes_with_faults_lose_double_and_mail_nothing() -> None:
    result = run(mailboxes=20, meetings=12, changes=80, workers=6, seed=3)
    assert (result.lost, result.doubled, result.mailed, result.refused) == (0, 0, 0, 0)
    assert 0 < result.peak <= 4
    assert result.faults >= 10, "green means nothing where nothing went wrong"
    assert result.calls["nothing"] == 20, "a mailbox where nothing happened costs one request"


def test_ten_mailboxes_through_ews_with_faults_lose_double_and_mail_nothing() -> None:
    result = run(mailboxes=10, meetings=6, changes=40, workers=3, seed=3, door_name="ews")
    assert (result.lost, result.doubled, result.mailed) == (0, 0, 0)
    assert result.faults >= 10, "green means nothing where nothing went wrong"
    assert result.calls["nothing"] == 10, "a mailbox where nothing happened costs one request"
    assert result.calls["creates"] <= 40 + result.faults * 3, "a lost answer is looked for by its key, and once"
