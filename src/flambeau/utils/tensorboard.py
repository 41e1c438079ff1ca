"""Write TensorBoard's event files, without TensorBoard: scalars, histograms, pictures, text."""

from __future__ import annotations

import os
import struct
import time
from itertools import count

import flambeau

from .._png import encode_png

__all__ = ["SummaryWriter"]

_files = count()


class SummaryWriter:
    """Logs to an event file in ``log_dir`` (default ``runs/<time>_<host><comment>``).

    View it with ``tensorboard --logdir runs``. Usable in ``with``. Steps are ``global_step``.

    >>> import flambeau as fb, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with fb.utils.tensorboard.SummaryWriter(folder) as writer:
    ...         writer.add_scalar("loss", 0.5, global_step=1)
    ...     len(os.listdir(folder))
    1
    """

    def __init__(
        self,
        log_dir=None,
        comment="",
        purge_step=None,
        max_queue=10,
        flush_secs=120,
        filename_suffix="",
    ):
        import socket

        host = socket.gethostname()
        if not log_dir:
            stamp = time.strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{stamp}_{host}{comment}")
        self.log_dir = os.fspath(log_dir)
        self._host, self._suffix, self._purge = host, filename_suffix, purge_step
        self._flush_secs = flush_secs
        self._children: dict = {}
        self._file = self._open()

    def _open(self):
        os.makedirs(self.log_dir, exist_ok=True)
        now = time.time()
        name = f"events.out.tfevents.{int(now)}.{self._host}.{os.getpid()}.{next(_files)}"
        file = open(os.path.join(self.log_dir, name + self._suffix), "wb")
        file.write(_record(_double(1, now) + _bytes(3, b"brain.Event:2")))
        if self._purge is not None:  # a SessionLog that starts anew at this step
            log = _double(1, now) + _int(2, self._purge) + _bytes(7, _int(1, 1))
            file.write(_record(log))
        self._flushed = now
        return file

    def _write(self, tag: str, kind: bytes, step, walltime) -> None:
        if self._file is None:
            self._file = self._open()
        now = time.time() if walltime is None else walltime
        value = _bytes(1, tag.encode()) + kind
        event = _double(1, now) + _int(2, int(step or 0)) + _bytes(5, _bytes(1, value))
        self._file.write(_record(event))
        if time.time() - self._flushed > self._flush_secs:
            self.flush()

    def add_scalar(
        self,
        tag,
        scalar_value,
        global_step=None,
        walltime=None,
        new_style=False,
        double_precision=False,
    ) -> None:
        """Log one number, or one-element Tensor."""
        self._write(tag, _float(2, float(scalar_value)), global_step, walltime)

    def add_scalars(self, main_tag, tag_scalar_dict, global_step=None, walltime=None) -> None:
        """Log several numbers into one chart, each in a run of its own below ``log_dir``."""
        for tag, value in tag_scalar_dict.items():
            name = f"{main_tag}_{tag}".replace("/", "_")
            if name not in self._children:
                self._children[name] = SummaryWriter(os.path.join(self.log_dir, name))
            self._children[name].add_scalar(main_tag, value, global_step, walltime)

    def add_text(self, tag, text_string, global_step=None, walltime=None) -> None:
        """Log text, shown as Markdown."""
        shape = _bytes(2, _bytes(2, _int(1, 1)))
        tensor = _int(1, 7) + shape + _bytes(8, text_string.encode())
        plugin = _bytes(9, _bytes(1, _bytes(1, b"text")))
        kind = _bytes(8, tensor) + plugin
        self._write(f"{tag}/text_summary", kind, global_step, walltime)

    def add_histogram(
        self, tag, values, global_step=None, bins="tensorflow", walltime=None, max_bins=None
    ) -> None:
        """Log the distribution of a Tensor, array or list; ``bins`` as for numpy.histogram.

        ValueError for no values.
        """
        import numpy

        if isinstance(values, flambeau.Tensor):
            values = values.detach().cpu().double().numpy()
        data = numpy.asarray(values, dtype=float).reshape(-1)
        if data.size == 0:
            raise ValueError(f"add_histogram: {tag!r} got an empty input")
        if bins == "tensorflow":
            limits = 1e-12 * 1.1 ** numpy.arange(775)
            bins = numpy.concatenate([-limits[::-1], [0.0], limits])
        counts, edges = numpy.histogram(data, bins=bins)
        used = numpy.nonzero(counts)[0]
        first, last = (max(used[0] - 1, 0), used[-1] + 1) if used.size else (0, counts.size)
        histo = b"".join(
            _double(field, float(value))
            for field, value in enumerate(
                (data.min(), data.max(), data.size, data.sum(), data.dot(data)), 1
            )
        )
        histo += _bytes(6, edges[first + 1 : last + 1].astype("<f8").tobytes())
        histo += _bytes(7, counts[first:last].astype("<f8").tobytes())
        self._write(tag, _bytes(5, histo), global_step, walltime)

    def add_image(
        self, tag, img_tensor, global_step=None, walltime=None, dataformats="CHW"
    ) -> None:
        """Log a picture: uint8, or float in [0, 1]; ``dataformats`` names the dimensions."""
        import numpy

        if isinstance(img_tensor, flambeau.Tensor):
            img_tensor = img_tensor.detach().cpu().numpy()
        image = numpy.asarray(img_tensor)
        if image.ndim != len(dataformats) or set(dataformats) not in ({*"HW"}, {*"CHW"}):
            raise AssertionError(
                f"add_image: shape {image.shape} does not fit dataformats {dataformats!r}, which "
                "must be HW, CHW or HWC"
            )
        order = [dataformats.index(d) for d in ("HWC" if "C" in dataformats else "HW")]
        image = image.transpose(order).reshape(*[image.shape[i] for i in order[:2]], -1)
        if image.dtype != numpy.uint8:
            image = (image * 255).clip(0, 255).astype(numpy.uint8)
        height, width, channels = image.shape
        picture = _int(1, height) + _int(2, width) + _int(3, channels)
        picture += _bytes(4, encode_png(image.tobytes(), width, height, channels))
        self._write(tag, _bytes(4, picture), global_step, walltime)

    def __getattr__(self, name):
        if name.startswith("add_"):
            raise NotImplementedError(
                f"SummaryWriter.{name} is not there yet; there are add_scalar, add_scalars, "
                "add_text, add_histogram and add_image"
            )
        raise AttributeError(f"'SummaryWriter' object has no attribute {name!r}")

    def get_logdir(self) -> str:
        """Return the folder of the event file."""
        return self.log_dir

    def flush(self) -> None:
        """Write everything to disk."""
        self._flushed = time.time()
        if self._file is not None:
            self._file.flush()
        for child in self._children.values():
            child.flush()

    def close(self) -> None:
        """Write everything and close; a later ``add_`` opens a new file."""
        if self._file is not None:
            self._file.close()
            self._file = None
        for child in self._children.values():
            child.close()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *exc_info) -> None:
        self.close()


# ---- protocol buffers, as far as they are needed: field number and value


def _varint(n: int) -> bytes:
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def _int(field: int, n: int) -> bytes:
    return _varint(field << 3) + _varint(n)


def _double(field: int, x: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", x)


def _float(field: int, x: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", x)


def _bytes(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


# ---- the record file: length, checksum, data, checksum (CRC-32C, rotated and shifted)


def _crc_table() -> list[int]:
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


_table: list[int] = []


def _checksum(data: bytes) -> bytes:
    if not _table:
        _table.extend(_crc_table())
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _table[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)
