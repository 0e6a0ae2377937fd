"""Memory that is used again."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from candela.eo.memory import Memory, ThreadMemory


def test_an_array_of_the_same_name_lies_where_the_last_one_was():
    memory = Memory()
    first = memory.array("standard", 3, 40, 50)
    again = memory.array("standard", 2, 50, 60)
    assert first.shape == (3, 40, 50)
    assert again.shape == (2, 50, 60)
    assert first.dtype == again.dtype == np.float32
    assert np.shares_memory(first, again)
    assert not np.shares_memory(first, memory.array("fine", 3, 40, 50))


def test_a_larger_array_gets_memory_of_its_own():
    memory = Memory()
    small = memory.array("fine", 4)
    assert not np.shares_memory(small, memory.array("fine", 5))


def test_each_thread_has_its_own():
    own = ThreadMemory(2)
    first, second = own.memories
    assert first is not second
    with ThreadPoolExecutor(1) as pool:
        others = pool.submit(lambda: own.memories).result()
    assert first not in others
    assert own.memories == (first, second)
