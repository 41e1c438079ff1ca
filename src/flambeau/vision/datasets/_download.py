"""Fetch files over HTTP: mirrors, resume, checksums, a bar, and a clear word when all fail."""

from __future__ import annotations

import os
import threading
import time

from .._progress import progress_bar

_CHUNK = 1 << 16
_TIMEOUT = 30.0  # seconds without a byte
_ATTEMPTS = 3  # on each mirror, as long as the last one brought something
_MAX_BYTES = 2 << 30  # no data set here is larger; stops a server that never ends


class DownloadError(RuntimeError):
    """No mirror gave the file."""


def md5_of(path):
    """Return the MD5 of a file as 32 hex digits (an integrity check, not a signature)."""
    import hashlib

    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def check_integrity(path, md5=None):
    """True when the file exists and, if md5 is given, has that checksum."""
    return os.path.isfile(path) and (md5 is None or md5_of(path) == md5)


def download_file(urls, path, md5=None):
    """Fetch the first of `urls` that works to `path`, in a thread, with a progress bar.

    What a broken transfer left (`path`.part) is continued where the server allows it. `path`
    appears only when it is complete and its MD5 is right.

    Raises DownloadError that lists what went wrong on every mirror.
    """
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    job = _Job(list(urls), path, md5)
    thread = threading.Thread(target=job.run, name="flambeau-download", daemon=True)
    thread.start()
    _watch(job, thread)
    if job.error is not None:
        raise job.error
    if not job.complete:
        tried = "\n".join(f"  {line}" for line in job.faults)
        raise DownloadError(f"could not download {os.path.basename(path)}:\n{tried}")


def _watch(job, thread):
    """Draw the bar in the calling thread, so that Ctrl-C works; the transfer stops with it."""
    bar, shown = None, 0
    try:
        while thread.is_alive():
            thread.join(0.05)
            if bar is None and job.done:
                bar = progress_bar(job.total, os.path.basename(job.path))
            if bar is not None and job.done != shown:
                done = job.done
                bar.update(done - shown)
                shown = done
    except BaseException:
        job.stop = True
        raise
    finally:
        if bar is not None:
            bar.update(job.done - shown)
            bar.close()


class _Job:
    """One file to fetch; `done` and `total` tell the bar how far it is."""

    def __init__(self, urls, path, md5):
        self.urls, self.path, self.md5 = urls, path, md5
        self.part = path + ".part"
        self.done, self.total, self.faults = 0, None, []
        self.complete, self.stop, self.error = False, False, None

    def run(self):
        """Try every mirror; never raises, the caller reads `error` and `faults`."""
        try:
            self.complete = any(self._mirror(url) for url in self.urls)
        except BaseException as error:  # carried to the caller's thread
            self.error = error

    def _mirror(self, url):
        import http.client

        for attempt in range(_ATTEMPTS):
            before = self.done
            try:
                self._transfer(url)
                return self._accept(url)
            except (OSError, http.client.HTTPException, ValueError) as fault:
                self.faults.append(f"{url}: {type(fault).__name__}: {fault}")
                if self.stop or self.done <= before:
                    return False
                time.sleep(0.1 * (attempt + 1))
        return False

    def _transfer(self, url):
        """Fetch the rest of the file; raises when the connection ends early."""
        from urllib.request import Request, urlopen

        have = os.path.getsize(self.part) if os.path.exists(self.part) else 0
        headers = {"User-Agent": "flambeau"}
        if have:
            headers["Range"] = f"bytes={have}-"
        with self._open(urlopen, Request(url, headers=headers)) as reply:
            # A server that ignores the range sends all of it: begin again.
            span = reply.headers.get("Content-Range", "")
            resumed = reply.status == 206 and span.startswith(f"bytes {have}-")
            if reply.status == 206 and not resumed:
                raise ValueError(f"the server answered with the range {span!r}")
            start = have if resumed else 0
            length = reply.headers.get("Content-Length")
            self.total = start + int(length) if length else None
            self.done = start
            with open(self.part, "ab" if resumed else "wb") as out:
                self._copy(reply, out)

    def _open(self, urlopen, request):
        from urllib.error import HTTPError

        try:
            return urlopen(request, timeout=_TIMEOUT)
        except HTTPError as fault:
            if fault.code == 416 and os.path.exists(self.part):
                os.remove(self.part)  # the remnant is longer than the file: it is of no use
            raise

    def _copy(self, reply, out):
        while block := reply.read(_CHUNK):
            out.write(block)
            self.done += len(block)
            if self.stop:
                raise OSError("stopped")
            if self.done > _MAX_BYTES:
                raise ValueError(f"the server sent more than {_MAX_BYTES} bytes")
        if self.total is not None and self.done < self.total:
            raise OSError(f"the connection ended after {self.done} of {self.total} bytes")

    def _accept(self, url):
        """Move the finished file into place if its checksum is right."""
        found = md5_of(self.part)
        if self.md5 is not None and found != self.md5:
            os.remove(self.part)
            self.faults.append(f"{url}: wrong MD5 {found}, expected {self.md5}")
            return False
        os.replace(self.part, self.path)
        return True


def not_found(name, folder, files, faults=None):
    """Return the RuntimeError of a data set that is not there.

    files: (file name, MD5 or None) pairs that belong into `folder`.
    """
    wanted = "\n".join(f"  {file}" + (f"  (MD5 {md5})" if md5 else "") for file, md5 in files)
    cause = f"\n{faults}" if faults else ""
    advice = "" if faults else "You can use download=True to download it. "
    return RuntimeError(
        f"{name}: Dataset not found. {advice}Or put these files into "
        f"{os.path.abspath(folder)}:\n{wanted}{cause}"
    )
