"""The archive around a saved object: stored zip records at 64-byte boundaries, atomic writing."""

from __future__ import annotations

import os
import zipfile
from contextlib import contextmanager

ALIGNMENT = 64
_LOCAL_HEADER = 30
_CHUNK = 1 << 24


def describe(f):
    """Return what an error calls the file f: its path, or the type of the open object."""
    if isinstance(f, (str, os.PathLike)):
        return repr(os.fspath(f))
    name = getattr(f, "name", None)
    return repr(name) if isinstance(name, str) else f"<{type(f).__name__}>"


@contextmanager
def atomic_file(path):
    """Open a new binary file that takes the place of `path` only when the block succeeds.

    A crash or an exception leaves an older file of that name as it was.
    """
    path = os.path.realpath(os.fspath(path))
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as out:  # a pipe or device: nothing to keep, nothing to rename
            yield out
        return
    temporary = f"{path}.{os.getpid()}.{os.urandom(4).hex()}.part"
    try:
        out = open(temporary, "xb")
    except FileNotFoundError:
        folder = os.path.dirname(path)
        raise RuntimeError(f"Parent directory {folder} does not exist.") from None
    try:
        with out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        if os.path.exists(path):
            os.chmod(temporary, os.stat(path).st_mode & 0o7777)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.remove(temporary)
        raise


class ArchiveWriter:
    """Writes records `top/name` uncompressed, each beginning at a multiple of 64 bytes."""

    def __init__(self, out, top):
        self.zip, self.out, self.top = zipfile.ZipFile(out, "w", zipfile.ZIP_STORED), out, top

    def write(self, name, data):
        """Add one record; data is bytes-like and is not copied."""
        data = memoryview(data).cast("B") if len(data) else memoryview(b"")
        info = zipfile.ZipInfo(f"{self.top}/{name}", (1980, 1, 1, 0, 0, 0))
        info.file_size = len(data)
        big = info.file_size >= 0xFFFFFFFF // 2
        # An "FB" extra field pads the local header; readers skip it as they do unknown ones.
        used = self.zip.fp.tell() + _LOCAL_HEADER + len(info.filename.encode()) + 4 + 20 * big
        pad = -used % ALIGNMENT
        info.extra = b"FB" + pad.to_bytes(2, "little") + b"Z" * pad
        with self.zip.open(info, "w", force_zip64=big) as record:
            for start in range(0, len(data), _CHUNK):
                record.write(data[start : start + _CHUNK])

    def close(self):
        self.zip.close()


class ArchiveReader:
    """Reads the records of a saved archive; every fault is a RuntimeError that names the file."""

    def __init__(self, f):
        self.label = describe(f)
        try:
            self.zip = zipfile.ZipFile(f)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as fault:
            if isinstance(fault, FileNotFoundError | PermissionError | IsADirectoryError):
                raise
            raise self._broken(f"not a complete zip archive ({fault})") from None
        self.records = {}
        tops = set()
        for info in self.zip.infolist():
            top, _, name = info.filename.partition("/")
            tops.add(top)
            self.records[name] = info
        if len(tops) != 1 or "data.pkl" not in self.records:
            raise self._broken("it holds no record data.pkl below one top folder")

    def _broken(self, why):
        return RuntimeError(
            f"load: {self.label} cannot be read: {why}. The file is truncated, corrupt or "
            f"of another kind; copy or download it again."
        )

    def _info(self, name):
        info = self.records.get(name)
        if info is None:
            raise self._broken(f"the record {name} is missing")
        # Saved archives are never compressed, so a record cannot be larger than its file.
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise self._broken(f"the record {name} is compressed")
        return info

    def __contains__(self, name):
        return name in self.records

    def size(self, name):
        """Return the length of a record in bytes."""
        return self._info(name).file_size

    def read(self, name):
        """Return a record as bytes, its checksum verified."""
        info = self._info(name)
        try:
            return self.zip.read(info)
        except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError) as fault:
            raise self._broken(f"the record {name} is damaged ({fault})") from None

    def read_into(self, name, target):
        """Fill a writable memoryview of bytes with a record of exactly its length."""
        info, done = self._info(name), 0
        try:
            with self.zip.open(info) as record:
                while done < len(target):
                    piece = record.read(min(_CHUNK, len(target) - done))
                    if not piece:
                        raise EOFError("the data end early")
                    target[done : done + len(piece)] = piece
                    done += len(piece)
                record.read(1)  # reaching the end makes zipfile compare the checksum
        except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError) as fault:
            raise self._broken(f"the record {name} is damaged ({fault})") from None

    def position(self, name):
        """Return where the bytes of a record begin in the file, for memory mapping."""
        info = self._info(name)
        self.zip.fp.seek(info.header_offset)
        head = self.zip.fp.read(_LOCAL_HEADER)
        if len(head) != _LOCAL_HEADER or head[:4] != b"PK\3\4":
            raise self._broken(f"the record {name} has no header where the index says")
        name_length = int.from_bytes(head[26:28], "little")
        extra_length = int.from_bytes(head[28:30], "little")
        return info.header_offset + _LOCAL_HEADER + name_length + extra_length

    def close(self):
        self.zip.close()
