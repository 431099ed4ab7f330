"""Time: processor seconds of this process, the least of a few tries."""

import time


def seconds(call, tries=5, at_least=0.0):
    """The least processor seconds of a call over some tries, each repeated until it has taken `at_least`.

    Processor time, since the machine may be shared; of numerical libraries this counts every thread.
    """
    call()
    best = float("inf")
    for _ in range(tries):
        calls, start = 0, time.process_time()
        while not calls or time.process_time() - start < at_least:
            call()
            calls += 1
        best = min(best, (time.process_time() - start) / calls)
    return best


def once(call):
    """The processor seconds of a single call, the first."""
    start = time.process_time()
    call()
    return time.process_time() - start
