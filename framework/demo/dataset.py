"""Makes the data set: the same bytes for the same size, on every machine with the same pyarrow. pyarrow's and numpy's
home.

The tables are as wide and as random as such tables are: numbers do not repeat, so no encoding makes them vanish.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from framework.demo.plan import FILE_BYTES, TABLES, Table

PAYLOAD: Final = 1000  # bytes of a wide row that no query looks into: a message as it came
PRODUCTS: Final = 1000
DAYS: Final = 365
MICROSECONDS_OF_A_YEAR: Final = DAYS * 86_400_000_000
WEIGHTS: Final = (0.8, -1.2, 0.5, 2.0, -0.7, 0.1, 1.5, -0.4)  # what the machine learning job should find
ORDERS_OF_A_GIB: Final = 3_200_000

Columns = Mapping[str, Any]


def make(folder: Path, size: int, progress: Callable[[str, int, int], None]) -> dict[str, int]:
    """Write every table as files into folder/TABLE; the bytes of each table. ``size`` in bytes is met within some
    percent.
    """
    written = {}
    for table in TABLES:
        target = folder / table.name
        target.mkdir(parents=True, exist_ok=True)
        files = list(_files(table, size))
        for number, rows in files:
            _write(table, target / f"part-{number:03}.{table.format}", number, rows, size)
            progress(table.name, number + 1, len(files))
        written[table.name] = sum(path.stat().st_size for path in target.iterdir())
    return written


def _files(table: Table, size: int) -> Iterator[tuple[int, int]]:
    """The number of each file and of its rows; at least two files, as Spark reads them at once."""
    count = max(2, -(-table.bytes(size) // FILE_BYTES))
    for number in range(count):
        yield number, table.bytes(size) // count // ROW_BYTES[table.name]


def _write(table: Table, path: Path, number: int, rows: int, size: int) -> None:
    chance = np.random.default_rng((number, TABLES.index(table)))
    columns = pa.table(dict(MAKERS[table.name](chance, rows, number, size)))
    if table.format == "csv":
        pyarrow.csv.write_csv(columns, path)
    else:
        # Parquet's defaults in Spark, but for the dictionaries, which random numbers do not have.
        pyarrow.parquet.write_table(columns, path, compression="snappy", use_dictionary=False, row_group_size=32_768)


def _events(chance: np.random.Generator, rows: int, number: int, size: int) -> Columns:
    payload = pa.Array.from_buffers(pa.binary(PAYLOAD), rows, [None, pa.py_buffer(chance.bytes(rows * PAYLOAD))])
    return {
        "event": np.arange(rows, dtype=np.int64) + number * rows,
        "user": chance.integers(0, 1 << 40, rows),
        "product": chance.integers(0, PRODUCTS, rows, dtype=np.int32),
        "day": chance.integers(0, DAYS, rows, dtype=np.int32),
        "cents": chance.integers(0, 100_000, rows),
        "payload": payload.cast(pa.binary()),
    }


def orders(size: int) -> int:
    """How many orders there are, all files together."""
    return ORDERS_OF_A_GIB * (size >> 20) // 1024


def _sales(chance: np.random.Generator, rows: int, number: int, size: int) -> Columns:
    return {
        "time": chance.integers(0, MICROSECONDS_OF_A_YEAR, rows),
        "user": chance.integers(0, 1 << 40, rows),
        "order": chance.integers(0, orders(size), rows),
        "product": chance.integers(0, PRODUCTS, rows, dtype=np.int32),
        "cents": chance.integers(0, 100_000, rows),
        "latitude": chance.random(rows),
        "longitude": chance.random(rows),
        "discount": chance.random(rows),
    }


def _features(chance: np.random.Generator, rows: int, number: int, size: int) -> Columns:
    features = chance.standard_normal((len(WEIGHTS), rows), dtype=np.float32)
    likely = 1 / (1 + np.exp(-np.dot(np.array(WEIGHTS, dtype=np.float32), features)))
    label = (chance.random(rows) < likely).astype(np.float32)
    return {"label": label, **{f"x{index}": column for index, column in enumerate(features)}}


def _orders(chance: np.random.Generator, rows: int, number: int, size: int) -> Columns:
    return {
        "order": np.arange(rows, dtype=np.int64) + number * rows,
        "user": chance.integers(0, 1 << 40, rows),
        "region": chance.integers(0, 50, rows, dtype=np.int32),
        "status": chance.integers(0, 20, rows, dtype=np.int32),
        "weight": chance.integers(1, 100_000, rows, dtype=np.int32),
    }


MAKERS: Final[Mapping[str, Callable[[np.random.Generator, int, int, int], Columns]]] = {
    "events": _events,
    "sales": _sales,
    "features": _features,
    "orders": _orders,
}
# Of a row in a file, about.
ROW_BYTES: Final[Mapping[str, int]] = {"events": 1036, "sales": 52, "features": 33, "orders": 39}
