"""The queue of work that threads share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from evaluation.worklist import Worklist


def test_take_waits_for_items_that_may_be_returned() -> None:
    work = Worklist("ab")
    assert (work.take(), work.take()) == ("a", "b")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(work.take)
        work.done()
        work.done(again="a")
        assert waiting.result(timeout=60) == "a"
        last = pool.submit(work.take)
        work.done()
        assert last.result(timeout=60) is None


def test_clear_removes_the_items_that_nobody_took() -> None:
    work = Worklist("abc")
    assert work.take() == "a"
    assert work.clear() == ["b", "c"]
    work.done()
    assert work.take() is None
