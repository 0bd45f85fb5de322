"""Work in threads, in order, a little ahead of who takes the results."""

import collections
import concurrent.futures
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 2  # Items that wait, for each worker: memory stays flat.


def map_ahead(
    function: Callable[[T], R], items: Iterable[T], *, workers: int | None = None
) -> Iterator[R]:
    """Maps in threads, in order, a few items ahead of the one that is taken.

    Args:
        function: What is done with an item.
        items: The items.
        workers: Threads; None takes one a core.

    Yields:
        What the function returns for each item.
    """
    workers = workers or os.cpu_count() or 1
    waiting = iter(items)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        futures = collections.deque(
            pool.submit(function, item)
            for item in itertools.islice(waiting, _AHEAD * workers)
        )
        try:
            while futures:
                yield futures.popleft().result()
                futures.extend(
                    pool.submit(function, item) for item in itertools.islice(waiting, 1)
                )
        finally:
            for future in futures:
                future.cancel()
