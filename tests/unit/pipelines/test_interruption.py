"""Signals that are noted, then taken when it suits."""

from __future__ import annotations

import signal
import threading

import pytest

from pipelines.trainers.interruption import Interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_waits_and_the_second_strikes(number: signal.Signals) -> None:
    interruption = Interruption()
    before = signal.getsignal(number)
    with interruption.listening():
        interruption.check()
        signal.raise_signal(number)
        assert interruption.asked, "noted, and nothing was broken off"
        with pytest.raises(KeyboardInterrupt):
            interruption.check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_a_thread_leaves_the_signals_alone() -> None:
    handlers: list[object] = []

    def work() -> None:
        with Interruption().listening():
            handlers.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [before]


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        interruption = Interruption()
        with interruption.listening():
            signal.raise_signal(signal.SIGINT)
            assert not interruption.asked
    finally:
        signal.signal(signal.SIGINT, before)
