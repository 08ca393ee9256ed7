"""The erasure code: any k columns give all, the same bytes by every arithmetic, and wrong calls are refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.spec.vectors.erasure import cases
from ropewalk.errors import Misuse
from ropewalk.spaces.pack import erasure, isal
from ropewalk.spaces.pack.erasure import LONGEST_RANGE, MOST_COLUMNS, Arithmetic, Buffer, Code
from ropewalk.spaces.pack.gf256 import BLOCK, Tables, inverse, invert, product

ISAL = isal.load()
TABLES = Tables()
DIGEST = "b53c17a7ce83cb9d85b66a22b1b5f2c03f19a560efa5f1431677ce717ebe9e0a"
ALL: list[Arithmetic] = [TABLES] if ISAL is None else [TABLES, ISAL]
every_arithmetic = pytest.mark.parametrize("arithmetic", ALL, ids=lambda arithmetic: arithmetic.name)


# ---- the slow reference: the definition, word by word ----------------------------------------------------------------


def times(a: int, b: int) -> int:
    """The product in GF(2^8): b's bits choose shifted copies of a, then the polynomial folds what sticks out."""
    total = 0
    for bit in range(8):
        if b >> bit & 1:
            total ^= a << bit
    for bit in range(14, 7, -1):
        if total >> bit & 1:
            total ^= 0x11D << (bit - 8)
    return total


RECIPROCAL = {a: b for a in range(1, 256) for b in range(1, 256) if times(a, b) == 1}


def reference(columns: Sequence[bytes], n: int, length: int) -> list[bytes]:
    """All n columns, padded."""
    k = len(columns)
    data = [column.ljust(length, b"\0") for column in columns]
    parity = []
    for i in range(k, n):
        sums = bytearray(length)
        for j in range(k):
            for at in range(length):
                sums[at] ^= times(RECIPROCAL[i ^ j], data[j][at])
        parity.append(bytes(sums))
    return data + parity


# ---- what is drawn ---------------------------------------------------------------------------------------------------

edges = st.sampled_from([0, 1, 15, 16, 31, 32, 63, 64, 65, 127, 128, 129, 255, 256, 257, 300])


@st.composite
def shapes(draw: st.DrawFn, most: int = 10) -> tuple[list[bytes], int, int]:
    """Data columns, n, and a length that some columns may fall short of."""
    k = draw(st.integers(1, most))
    n = draw(st.integers(k, k + most))
    length = draw(st.integers(0, 300) | edges)
    whole = st.binary(min_size=length, max_size=length)
    return draw(st.lists(whole | st.binary(max_size=length), min_size=k, max_size=k)), n, length


def some_bytes(number: int, size: int) -> bytes:
    return bytes((number * 89 + at * 31 + at // 251) % 256 for at in range(size))


# ---- any k of n ------------------------------------------------------------------------------------------------------


@given(shape=shapes(most=4))
def test_every_arithmetic_encodes_as_the_definition_says(shape: tuple[list[bytes], int, int]) -> None:
    columns, n, length = shape
    expected = reference(columns, n, length)[len(columns) :]
    for arithmetic in ALL:
        assert Code(len(columns), n, arithmetic=arithmetic).encode(columns, length) == expected


@given(shape=shapes(), data=st.data())
def test_any_k_columns_give_any_range_of_all_columns(shape: tuple[list[bytes], int, int], data: st.DataObject) -> None:
    columns, n, length = shape
    k = len(columns)
    start = data.draw(st.integers(0, length))
    end = data.draw(st.integers(start, length))
    used = data.draw(st.permutations(list(range(n))))[:k]
    wanted = data.draw(st.lists(st.integers(0, n - 1), max_size=n, unique=True))
    for arithmetic in ALL:
        code = Code(k, n, arithmetic=arithmetic)
        stored: list[bytes | bytearray] = [
            *columns,
            *code.encode(columns, length),
        ]  # data columns without their zeros, as stores have them
        padded = [bytes(column).ljust(length, b"\0") for column in stored]
        rebuilt = code.rebuild({index: stored[index][start:end] for index in used}, wanted, end - start)
        assert rebuilt == [padded[index][start:end] for index in wanted]
        assert all(type(column) is bytearray for column in rebuilt)


@every_arithmetic
def test_each_choice_of_k_columns_is_enough(arithmetic: Arithmetic) -> None:
    columns = [some_bytes(number, 70 - number) for number in range(4)]
    code = Code(4, 9, arithmetic=arithmetic)
    whole = dict(enumerate(reference(columns, 9, 70)))
    for used in combinations(range(9), 4):
        assert code.rebuild({index: whole[index] for index in used}, range(9), 70) == list(whole.values())


@every_arithmetic
def test_all_data_or_all_parity_can_be_lost(arithmetic: Arithmetic) -> None:
    columns = [some_bytes(number, 1000) for number in range(5)]
    code = Code(5, 10, arithmetic=arithmetic)
    parity = code.encode(columns, 1000)
    assert code.rebuild(dict(enumerate(parity, 5)), range(5), 1000) == columns
    assert code.rebuild(dict(enumerate(columns)), range(5, 10), 1000) == parity


@every_arithmetic
def test_the_largest_shape_rebuilds(arithmetic: Arithmetic) -> None:
    half = MOST_COLUMNS // 2
    columns = [some_bytes(number, 20) for number in range(half)]
    code = Code(half, MOST_COLUMNS, arithmetic=arithmetic)
    parity = code.encode(columns, 20)
    assert code.rebuild(dict(enumerate(parity, half)), range(half), 20) == columns


@every_arithmetic
def test_one_data_column_gives_parity_that_is_a_multiple_and_not_a_copy(arithmetic: Arithmetic) -> None:
    code = Code(1, 3, arithmetic=arithmetic)
    one, two = code.encode([b"\x01\x02"], 2)
    assert [one, two] == [b"\x01\x02", b"\x8e\x01"]  # 1/1 and 1/2 times the data
    assert code.rebuild({2: two}, [0, 1], 2) == [b"\x01\x02", b"\x01\x02"]


@every_arithmetic
def test_without_parity_columns_there_is_nothing_to_make_and_data_comes_back(arithmetic: Arithmetic) -> None:
    code = Code(2, 2, arithmetic=arithmetic)
    assert code.encode([b"ab", b"c"], 2) == []
    assert code.rebuild({0: b"ab", 1: b"c"}, [1, 0], 2) == [b"c\0", b"ab"]
    assert code.rebuild({0: b"ab", 1: b"c"}, [], 2) == []


@every_arithmetic
def test_of_more_than_k_columns_the_first_are_used(arithmetic: Arithmetic) -> None:
    code = Code(2, 4, arithmetic=arithmetic)
    two, three = code.encode([b"ab", b"cd"], 2)
    assert code.rebuild({3: b"??", 0: b"ab", 2: two}, [1, 3], 2) == [b"cd", three]


@every_arithmetic
def test_an_empty_range_gives_empty_columns(arithmetic: Arithmetic) -> None:
    code = Code(3, 5, arithmetic=arithmetic)
    assert code.encode([b"", b"", b""], 0) == [b"", b""]
    assert code.rebuild({2: b"", 3: b"", 4: b""}, [0, 1], 0) == [b"", b""]


@every_arithmetic
def test_columns_longer_than_a_block_and_of_uneven_lengths(arithmetic: Arithmetic) -> None:
    length = 2 * BLOCK + 77
    columns = [some_bytes(1, length), some_bytes(2, BLOCK), some_bytes(3, BLOCK + 5), b""]
    padded = [column.ljust(length, b"\0") for column in columns]
    code = Code(4, 7, arithmetic=arithmetic)
    parity = code.encode(columns, length)
    assert parity == Code(4, 7, arithmetic=TABLES).encode(padded, length)
    assert code.rebuild(dict(zip((1, 4, 5, 6), [columns[1], *parity], strict=True)), [0, 2, 3], length) == [
        padded[index] for index in (0, 2, 3)
    ]


# ---- what columns may be ---------------------------------------------------------------------------------------------

KINDS: dict[str, Callable[[bytes], Buffer]] = {
    "bytes": bytes,
    "bytearray": bytearray,
    "read-only view": memoryview,
    "writable view": lambda data: memoryview(bytearray(data)),
    "view from an odd address": lambda data: memoryview(b"x" + data)[1:],
    "view of wider items": lambda data: memoryview(data).cast("I"),
    "view of two dimensions": lambda data: memoryview(data).cast("B", (len(data) // 4, 4)),
}


@every_arithmetic
@pytest.mark.parametrize("kind", KINDS)
def test_any_buffer_of_bytes_is_taken_and_let_go(arithmetic: Arithmetic, kind: str) -> None:
    data = [some_bytes(number, 100) for number in range(3)]
    columns = [KINDS[kind](column) for column in data]
    outputs = Code(3, 5, arithmetic=arithmetic).encode(columns, 100)
    assert outputs == reference(data, 5, 100)[3:]
    assert [bytes(column) for column in columns] == data
    for buffer in [*columns, *outputs]:
        if isinstance(buffer, bytearray):
            buffer.append(0)  # a BufferError if anything still held it


# ---- wrong calls -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "n"), [(0, 0), (0, 3), (-1, 3), (3, 2), (1, MOST_COLUMNS + 1), (65, 65)])
def test_a_shape_that_cannot_be_is_refused(k: int, n: int) -> None:
    with pytest.raises(Misuse, match="want 1 <= k <= n <= 64"):
        Code(k, n)


NOT_BYTES: Any = "ab"

WRONG: dict[str, tuple[str, Callable[[Code], object]]] = {
    "too few data columns": ("got 1 data columns: want 2", lambda code: code.encode([b"a"], 1)),
    "too many data columns": ("got 3 data columns: want 2", lambda code: code.encode([b"a", b"b", b"c"], 1)),
    "a column longer than the range": ("has 2 bytes: want at most", lambda code: code.encode([b"a", b"bc"], 1)),
    "a negative length": ("range of -1 bytes", lambda code: code.encode([b"", b""], -1)),
    "too long a range": (f"want 0 to {LONGEST_RANGE}", lambda code: code.encode([b"", b""], LONGEST_RANGE + 1)),
    "a buffer with gaps": ("in one piece", lambda code: code.encode([memoryview(b"abcd")[::2], b"c"], 2)),
    "no buffer": ("in one piece", lambda code: code.encode([NOT_BYTES, b"c"], 2)),
    "too few columns to rebuild": ("got 1 columns: want 2 of 4", lambda code: code.rebuild({3: b"a"}, [0], 1)),
    "an unknown column present": ("column 4 is not", lambda code: code.rebuild({4: b"a", 0: b"b"}, [1], 1)),
    "an unknown column wanted": ("column -1 is not", lambda code: code.rebuild({0: b"a", 1: b"b"}, [-1], 1)),
    "a present column that is too long": ("has 2 bytes", lambda code: code.rebuild({0: b"a", 2: b"bc"}, [1], 1)),
    "a wrong length and nothing wanted": ("range of", lambda code: code.rebuild({0: b"", 1: b""}, [], -1)),
}


@every_arithmetic
@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_call_is_refused(arithmetic: Arithmetic, case: str) -> None:
    message, call = WRONG[case]
    with pytest.raises(Misuse, match=message):
        call(Code(2, 4, arithmetic=arithmetic))


# ---- the field and its matrices --------------------------------------------------------------------------------------


def test_inverses_are_those_of_the_definition() -> None:
    assert {value: inverse(value) for value in range(1, 256)} == RECIPROCAL


@pytest.mark.parametrize("value", [0, 256, -1])
def test_what_has_no_inverse_is_refused(value: int) -> None:
    with pytest.raises(Misuse, match="no inverse"):
        inverse(value)


def test_products_are_those_of_the_definition() -> None:
    everything = bytes(range(256))
    for factor in range(256):
        assert product(bytes([factor]), [everything]) == bytes(times(factor, value) for value in everything)


@given(st.integers(1, 8).flatmap(lambda k: st.lists(st.binary(min_size=k, max_size=k), min_size=k, max_size=k)))
def test_a_matrix_times_its_inverse_is_the_unit_or_the_matrix_is_refused(matrix: list[bytes]) -> None:
    size = len(matrix)
    try:
        inverted = invert(matrix)
    except Misuse:
        return
    assert [product(row, inverted) for row in matrix] == [erasure.generator_row(size, row) for row in range(size)]


def test_a_matrix_without_inverse_is_refused() -> None:
    with pytest.raises(Misuse, match="has no inverse"):
        invert([b"\x01\x02", b"\x02\x04"])


def test_the_matrix_of_three_of_five_is_the_one_of_the_format() -> None:
    rows = [erasure.generator_row(3, index).hex() for index in range(5)]
    assert rows == ["010000", "000100", "000001", "f48e01", "47a77a"]


# ---- which arithmetic ------------------------------------------------------------------------------------------------


def test_the_backend_is_isa_l_where_it_is_found_and_it_is_what_a_code_uses() -> None:
    assert erasure.backend() == ("tables" if ISAL is None else "isa-l")
    assert Code(3, 5).encode([b"a", b"b", b"c"], 1) == Code(3, 5, arithmetic=TABLES).encode([b"a", b"b", b"c"], 1)


class Liar(Tables):
    """An arithmetic that gets one bit wrong."""

    def prepare(self, rows: Sequence[bytes]) -> Any:
        honest = super().prepare(rows)

        def combination(columns: Sequence[memoryview], length: int) -> list[bytearray]:
            outputs = honest(columns, length)
            outputs[-1][length - 1] ^= 1
            return outputs

        return combination


def test_an_arithmetic_that_gives_other_bytes_is_not_used() -> None:
    honest: Arithmetic = Tables()
    assert erasure._proven(honest, TABLES) is honest
    assert erasure._proven(Liar(), TABLES) is TABLES
    assert erasure._proven(None, TABLES) is TABLES


# ---- threads and memory ----------------------------------------------------------------------------------------------


@every_arithmetic
def test_one_code_serves_several_threads_at_once(arithmetic: Arithmetic) -> None:
    code = Code(3, 6, arithmetic=arithmetic)
    sets = [[some_bytes(seed + number, 5000 + seed) for number in range(3)] for seed in range(8)]
    wholes = [[*columns, *code.encode(columns, len(columns[0]))] for columns in sets]

    def rebuild_all(whole: list[bytes | bytearray]) -> bool:
        return all(
            code.rebuild({index: whole[index] for index in used}, range(6), len(whole[0])) == whole
            for used in combinations(range(6), 3)
        )

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(rebuild_all, wholes))


def test_a_combination_is_prepared_once_and_few_are_kept() -> None:
    prepared: list[int] = []

    class Counting(Tables):
        def prepare(self, rows: Sequence[bytes]) -> Any:
            prepared.append(len(rows))
            return super().prepare(rows)

    counting = Counting()
    for _ in range(3):
        Code(2, 4, arithmetic=counting).encode([b"a", b"b"], 1)
    assert prepared == [2]
    for used in combinations(range(16), 2):
        Code(2, 16, arithmetic=counting).rebuild(dict.fromkeys(used, b"a"), [0], 1)
    assert len(prepared) == 121
    assert erasure._combination.cache_info().currsize == erasure.MOST_PLANS


# ---- vectors ---------------------------------------------------------------------------------------------------------


def test_the_format_has_not_changed() -> None:
    """Whoever changes this digest changes what is stored: no old pack could be rebuilt."""
    assert sha256(json.dumps(cases(), sort_keys=True).encode()).hexdigest() == DIGEST


def test_the_vectors_hold_by_the_definition_and_by_every_arithmetic() -> None:
    made: list[dict[str, Any]] = cases()
    for case in made:
        k, n, length = case["k"], case["n"], case["length"]
        data = [bytes.fromhex(column) for column in case["data"]]
        whole = reference(data, n, length)
        assert [bytes.fromhex(row) for row in case["parity_rows"]] == [
            bytes(RECIPROCAL[i ^ j] for j in range(k)) for i in range(k, n)
        ]
        assert [bytes.fromhex(column) for column in case["parity"]] == whole[k:]
        for rebuild in case["rebuilds"]:
            part = slice(rebuild["offset"], rebuild["offset"] + rebuild["length"])
            expected = [whole[index][part] for index in rebuild["wanted"]]
            assert [bytes.fromhex(column) for column in rebuild["columns"]] == expected
            for arithmetic in ALL:
                present = {index: whole[index][part] for index in rebuild["present"]}
                code = Code(k, n, arithmetic=arithmetic)
                assert code.rebuild(present, rebuild["wanted"], rebuild["length"]) == expected
