"""A function that has to start first lets its event wait: what it imports stays small."""

from __future__ import annotations

import pytest

from tools import import_times

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("job", import_times.jobs())
def test_a_handler_is_imported_within_its_bar(job: str) -> None:
    """The fastest of several, since a busy machine slows every import down."""
    import_times.runs(job, times=1)  # writes byte code
    assert min(handler for handler, _ in import_times.runs(job)) <= import_times.BAR_MS


def test_an_import_that_takes_long_is_seen() -> None:
    slow = "import builtins, time; load = builtins.__import__\n"
    slow += "def late(name, *rest):\n    while name == 'jobs' and time.process_time() < 2: pass\n    return load(name, *rest)\n"
    slow += "builtins.__import__ = late"
    [(handler, _)] = import_times.runs("analytics", before=slow, times=1)
    assert handler > import_times.BAR_MS
