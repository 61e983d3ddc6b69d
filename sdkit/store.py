"""Ensembles on disk, a zarr folder written draw by draw: larger than memory, interrupted at will.

A chunk is a file of its own with a checksum, written beside its place and renamed into it,
so that whatever ends a run leaves whole chunks and absent ones. Bytes depend on the values
alone: no dates, no order of writing. zarr encodes and reads; files are put down here, in
the caller's thread, since zarr's own threads go on writing after Ctrl-C or a full disk.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import xarray as xr

from .errors import RunError
from .scratch import locked

FORMAT = "sdkit ensemble 2"
_BLOCK = 64 * 2**20  # bytes of one output, scenario and policy, all draws, that are read at once
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PARTIAL = ".partial"
_MARKS = "sdkit_store"  # the attribute of the root that says what the folder is
_PLACED = ("scenario", "policy", "draw")
_LONGEST = 200  # bytes of a folder's name; file systems take 255, some 143

Item = tuple[int, int, int]


class Store:
    """An ensemble on disk while it is made. Use as a context manager, or `close` it.

    An item is one (chunk of draws, scenario, policy), by number: what `missing` lists and
    `write` takes.
    """

    def __repr__(self) -> str:
        return f"Store({self.path})"

    def __init__(self, path: Path, lock: int | None, memory: dict, encode: Mapping):
        self.path, self._lock, self._memory, self._encode = path, lock, memory, encode
        self._disk = _arrays(_group(path))
        self._named = _names(path)

    @classmethod
    def open(
        cls,
        path: str | Path,
        arrays: Mapping[str, tuple[Sequence[str], str, Mapping]],
        coords: Mapping[str, Sequence],
        attrs: Mapping[str, Any],
        chunk: int,
        fingerprint: Mapping[str, str],
    ) -> Store:
        """Create a store, or go on with the one that is there.

        `arrays` holds for each output its dimensions ("scenario", "policy", "draw" and any of
        its own, such as "time"), its unit and its attributes; values are float64. `coords`
        holds numbers or texts for each dimension. `chunk` is a number of draws; `fingerprint`
        holds, for each part of what decides the numbers, a text that changes with it.

        Raises RunError: R414 the path is something else, R415 it holds another ensemble, R417
        another process writes to it, R418 the disk is full, U603 it cannot be written.
        """
        path = Path(path)
        layout = json.dumps(
            [{n: [list(d), u, dict(a)] for n, (d, u, a) in arrays.items()}, dict(attrs), chunk,
             {n: np.asarray(v).tolist() for n, v in coords.items()}], default=str
        )  # fmt: skip
        marks = {
            "format": FORMAT,
            "fingerprint": dict(fingerprint),
            "layout": hashlib.sha256(layout.encode()).hexdigest(),
        }
        if long := {_quote(n): n for n in (*arrays, *coords) if unquote(_quote(n)) != n}:
            marks["names"] = long
        with _coded(path):
            if path.exists() and not path.is_dir():
                raise RunError("R414", f"{path} is a file")
            path.mkdir(exist_ok=True)
            lock = _locked(path)
            try:
                _accept(path, marks)
                for left in (*path.glob(f"*{_PARTIAL}"), *path.glob(f"*/*{_PARTIAL}")):
                    left.unlink()
                memory, encode = _skeleton(arrays, coords, {**attrs, _MARKS: marks}, chunk)
                files = {key: buffer.to_bytes() for key, buffer in memory.items()}
                root = files.pop("zarr.json")
                # The root comes first: a folder that has it is known to be a store.
                if not (path / "zarr.json").exists():
                    _put(path / "zarr.json", _root(root, complete=False))
                for key in files:
                    file = path / key
                    file.parent.mkdir(exist_ok=True)
                    if not file.exists() or file.read_bytes() != files[key]:
                        _put(file, files[key])
                return cls(path, lock, memory, encode)
            except BaseException:
                _unlock(lock)
                raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Let other processes write to the store."""
        self._lock = _unlock(self._lock)

    def missing(self) -> list[Item]:
        """Items whose values are not there in full or fail their checksum; reads every chunk."""
        return [item for item in _items(self._disk) if not self._whole(item)]

    def _whole(self, item: Item) -> bool:
        if _absent(self.path, self._disk, item):
            return False
        try:
            for array in self._disk.values():
                for _, region in _chunks(array, item):
                    array[region]
        except (ValueError, OSError):
            return False
        return True

    def write(self, item: Item, values: Mapping[str, np.ndarray]) -> None:
        """Put down one item: for each output an array (own dimensions, draws of the chunk).

        Raises RunError R418 if the disk is full and U603 if the folder cannot be written; what
        an interrupted call leaves is found by `missing`.
        """
        with _coded(self.path):
            for name, array in self._encode.items():
                dims = array.metadata.dimension_names
                whole = np.asarray(values[self._named(name)], dtype=np.float64)
                whole = np.expand_dims(whole, (dims.index("scenario"), dims.index("policy")))
                for key, region in _chunks(array, item):
                    shape = [
                        s.stop - s.start if d in _PLACED else n
                        for d, n, s in zip(dims, array.shape, region, strict=True)
                    ]
                    if list(whole.shape) != shape:  # zarr would broadcast it in silence
                        raise ValueError(f"{name}: shape {whole.shape}, not {tuple(shape)}")
                    pairs = zip(dims, region, strict=True)
                    array[region] = whole[
                        tuple(slice(None) if d in _PLACED else s for d, s in pairs)
                    ]
                    _put(self.path / name / key, self._memory.pop(f"{name}/{key}").to_bytes())

    def finish(self) -> None:
        """Read everything once more and mark the store complete; R416 if items are missing."""
        if missing := self.missing():
            raise RunError("R416", _lacking(self.path, len(missing), len(_items(self._disk))))
        with _coded(self.path):
            root = self.path / "zarr.json"
            _put(root, _root(root.read_bytes(), complete=True))

    def dataset(self) -> xr.Dataset:
        """The values so far, read on access, without dask; what is missing reads as NaN."""
        return _lazy(self.path)


def open_store(path: str | Path) -> xr.Dataset:
    """A complete ensemble, read on access, without dask.

    That every chunk is there is looked at here; its checksum is verified when it is read (zarr
    raises ValueError then, `quantiles` R416). Raises RunError: R414 there is no store, R416 it is
    not complete.
    """
    path = Path(path)
    marks = _marks(path)
    if marks is None:
        raise RunError("R414", f"{path} holds no ensemble")
    arrays = _arrays(_group(path))
    items = _items(arrays)
    absent = sum(_absent(path, arrays, item) for item in items)
    if absent or not marks["complete"]:
        raise RunError("R416", _lacking(path, absent, len(items)))
    for name, array in _group(path).arrays():
        if array.ndim == 1:  # a coordinate is one chunk, which zarr would fill in if it were gone
            try:
                array[:]
                os.stat(path / name / "c.0")
            except (ValueError, OSError):
                raise RunError("R416", f"{path}: {name} is missing or damaged") from None
    return _lazy(path)


def quantiles(dataset: xr.Dataset, q: Sequence[float], dim: str = "draw") -> xr.Dataset:
    """Exact quantiles over `dim`, as numpy.quantile has them, dimension "quantile" first.

    A NaN among the draws makes the quantile NaN: leaving it out would be another question.
    Reads one block of one output at a time, one scenario and policy, all draws. Variables
    without `dim` are left out. Raises RunError R416 where a chunk fails its checksum.
    """
    q = np.atleast_1d(np.asarray(q, dtype=float))
    result = {}
    for name, array in dataset.data_vars.items():
        if dim not in array.dims:
            continue
        others = [d for d in array.dims if d != dim]
        steps = array.encoding.get("preferred_chunks", {})
        starts = (range(0, array.sizes[d], steps.get(d, 1)) for d in others)
        found = np.empty((len(q), *(array.sizes[d] for d in others)))
        for corner in product(*starts):
            block = {d: slice(i, i + steps.get(d, 1)) for d, i in zip(others, corner, strict=True)}
            try:
                values = array.isel(block).transpose(*others, dim).to_numpy()
            except ValueError:  # zarr on a checksum
                where = dataset.encoding.get("source", "the ensemble")
                raise RunError("R416", f"{where}: a chunk of {name} fails its checksum") from None
            for index in np.ndindex(values.shape[:-1]):
                place = tuple(c + i for c, i in zip(corner, index, strict=True))
                # Sorting first (NaN goes last) halves the time and changes no number.
                found[(slice(None), *place)] = np.quantile(np.sort(values[index]), q)
        result[name] = (("quantile", *others), found, array.attrs)
    coords = {d: c for d, c in dataset.coords.items() if dim not in c.dims}
    return xr.Dataset(result, coords={"quantile": q, **coords}, attrs=dataset.attrs)


# -- the folder --------------------------------------------------------------------------


def _skeleton(arrays, coords, attrs, chunk: int) -> tuple[dict, dict]:
    """The store without values, in memory: its files by key, and its zarr arrays by folder."""
    import zarr
    from zarr.codecs import Crc32cCodec
    from zarr.storage import MemoryStore

    files: dict = {}
    made: dict = {}
    group = zarr.create_group(MemoryStore(files), attributes=attrs)

    def create(name, dims, shape, chunks, dtype, attributes):
        return group.create_array(
            _quote(name),
            shape=shape,
            chunks=chunks,
            dtype=dtype,
            fill_value=np.nan if dtype == np.float64 else None,
            # Not compressed: five outputs of the fentanyl model in chunks of 16,384 draws and 8
            # times shrank by 6 % (zstd, level 1) and 11 % (blosc, lz4, shuffled), at 570 and 740
            # MB/s against 1,700. So a size is known too, and an absent byte seen without reading.
            compressors=[Crc32cCodec()],
            dimension_names=[_quote(d) for d in dims],
            attributes=attributes,
            chunk_key_encoding={"name": "default", "separator": "."},
            # A chunk of nothing but NaN is a value too, and its absence a fault. zarr keeps
            # this in the object, not in the file: an array opened later would leave it out.
            config={"write_empty_chunks": True},
        )

    for name, values in coords.items():
        values = np.asarray(values)
        if values.dtype.kind in "UO":
            values = np.array(values.tolist(), dtype=np.dtypes.StringDType())
        create(name, (name,), values.shape, values.shape, values.dtype, {})[:] = values
    draws = len(coords["draw"])
    for name, (dims, unit, more) in arrays.items():
        shape = [len(coords[d]) for d in dims]
        sizes = {"scenario": 1, "policy": 1, "draw": min(chunk, draws)}
        own = [d for d in dims if d not in _PLACED]
        for d in own:  # the first of its own dimensions in blocks, others (rare) one by one
            most = max(1, _BLOCK // (8 * draws)) if d == own[0] else 1
            sizes[d] = min(most, len(coords[d]))
        chunks = [sizes[d] for d in dims]
        made[_quote(name)] = create(name, dims, shape, chunks, np.float64, {"units": unit, **more})
    with warnings.catch_warnings():  # that the specification does not know it yet
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(MemoryStore(files))
    return files, made


def _quote(name: str) -> str:
    """A name that is a folder's too, here and under Windows; `_names` undoes it."""
    quoted = re.sub(r'[%/\\:*?"<>|\x00-\x1f]', lambda m: f"%{ord(m[0]):02X}", name)
    if quoted in (".", ".."):
        quoted = quoted.replace(".", "%2E")
    raw = quoted.encode("utf-8", "surrogatepass")
    begin = raw[: _LONGEST - 20].decode("utf-8", "ignore")
    return quoted if len(raw) <= _LONGEST else f"{begin}~{hashlib.sha256(raw).hexdigest()[:16]}"


def _names(path: Path) -> Callable[[str], str]:
    """What the names that `_quote` made stand for: unquoted, or as the root has it where long."""
    long = (_marks(path) or {}).get("names", {})
    return lambda name: long.get(name) or unquote(name)


def _group(path: Path):
    import zarr

    return zarr.open_group(path, mode="r")


def _arrays(group) -> dict:
    """The outputs of a store by the names of their folders."""
    return {n: a for n, a in sorted(group.arrays()) if a.ndim > 1}  # coordinates have one


def _items(arrays: Mapping) -> list[Item]:
    array = next(iter(arrays.values()))
    counts = dict(zip(array.metadata.dimension_names, array.cdata_shape, strict=True))
    return list(product(*(range(counts[d]) for d in ("draw", "scenario", "policy"))))


def _chunks(array, item: Item) -> Iterator[tuple[str, tuple[slice, ...]]]:
    """The chunks of an array that belong to an item: file name and region."""
    at = dict(zip(("draw", "scenario", "policy"), item, strict=True))
    dims = array.metadata.dimension_names
    numbers = (
        [at[d]] if d in at else range(n) for d, n in zip(dims, array.cdata_shape, strict=True)
    )
    for index in product(*numbers):
        region = tuple(
            slice(i * size, min((i + 1) * size, length))
            for i, size, length in zip(index, array.chunks, array.shape, strict=True)
        )
        yield "c." + ".".join(map(str, index)), region


def _absent(path: Path, arrays: Mapping, item: Item) -> bool:
    """Whether a file of an item is not there or of another size than it has to be."""
    for name, array in arrays.items():
        size = 8 * int(np.prod(array.chunks)) + 4  # a float64 each, and the checksum
        for key, _ in _chunks(array, item):
            try:
                if os.stat(path / name / key).st_size != size:
                    return True
            except OSError:
                return True
    return False


def _lacking(path: Path, missing: int, total: int) -> str:
    count = f"{missing} of {total} chunks are missing or damaged" if missing else "not finished"
    return f"{path}: {count}"


def _lazy(path: Path) -> xr.Dataset:
    # Not decoded: a unit such as "days" would turn numbers into times.
    data = xr.open_dataset(path, engine="zarr", chunks=None, cache=False, decode_cf=False)
    del data.attrs[_MARKS]
    for name, coord in data.coords.items():
        if coord.dtype.kind in "OT":  # the same type as in a result that was never on disk
            data[name] = np.array(coord.to_numpy().tolist(), dtype=str)
    named = _names(path)
    names = {str(n): named(str(n)) for n in (*data.variables, *data.dims)}
    return data.rename({n: new for n, new in names.items() if n != new})


def _marks(path: Path) -> dict | None:
    """What the root says of the store; None if it is none of ours."""
    try:
        marks = json.loads((path / "zarr.json").read_bytes())["attributes"][_MARKS]
        return marks if marks["format"] == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _root(raw: bytes, complete: bool) -> bytes:
    """The root's text, marked; sorted, since zarr lists arrays in any order."""
    root = json.loads(raw)
    root["attributes"][_MARKS]["complete"] = complete
    return json.dumps(root, indent=2, sort_keys=True).encode()


def _accept(path: Path, marks: Mapping) -> None:
    """Refuse a folder that is neither empty nor this ensemble (R414, R415)."""
    found = _marks(path)
    if found is None:
        if (path / "zarr.json").exists() and any(path.glob("*/c.*")):
            raise RunError(
                "R414", f"{path / 'zarr.json'} is damaged, and with it what the chunks belong to"
            )
        if any(not file.name.endswith(_PARTIAL) for file in path.iterdir()):
            raise RunError("R414", f"{path} is not empty and holds no ensemble")
    elif found["fingerprint"] != marks["fingerprint"]:
        own, asked = found["fingerprint"], marks["fingerprint"]
        other = [part for part in asked if own.get(part) != asked[part]]
        raise RunError("R415", f"{path} was made with other {' and other '.join(other)}")
    elif found["layout"] != marks["layout"]:
        raise RunError("R415", f"{path}: made of other outputs, coordinates or chunks")


def _put(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(path.name + _PARTIAL)
    try:
        with part.open("wb") as file:
            file.write(data)
            if path.name == "zarr.json":  # a root lost to a power cut would lose the store
                file.flush()
                os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def _locked(path: Path) -> int | None:
    """A lock on the folder itself, which ends with the process; R417 if another holds it.

    Without locks (Windows) two writers would put down the same bytes.
    """
    try:
        return locked(path)
    except BlockingIOError:
        raise RunError("R417", f"{path} is being written by another process") from None


def _unlock(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)


@contextlib.contextmanager
def _coded(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = f"{error.filename or path}: {error.strerror or error}"
        if error.errno in _FULL:
            raise RunError("R418", f"{where}; what is written stays") from None
        raise RunError("U603", where) from None
