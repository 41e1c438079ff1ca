"""Short-time Fourier transform and its inverse."""

from __future__ import annotations

import flambeau as fb

from ._register import composite


def _window(name, window, n_fft, win_length, like):
    win_length = n_fft if win_length is None else win_length
    if not 0 < win_length <= n_fft:
        raise RuntimeError(
            f"{name}: expected 0 < win_length <= n_fft, but got "
            f"win_length={win_length} "
            f"and n_fft={n_fft}"
        )
    if window is None:
        window = fb.ones(
            win_length,
            dtype=like.real.dtype if like.is_complex() else like.dtype,
            device=like.device,
        )
    elif window.dim() != 1 or window.numel() != win_length:
        raise RuntimeError(
            f"{name}: expected a 1D window tensor of size equal to win_length="
            f"{win_length}, but got window with size {list(window.shape)}"
        )
    left = (n_fft - win_length) // 2
    if win_length < n_fft:
        window = fb.constant_pad_nd(window, (left, n_fft - win_length - left))
    return window


@composite(method=True)
def stft(
    input,
    n_fft,
    hop_length=None,
    win_length=None,
    window=None,
    center=True,
    pad_mode="reflect",
    normalized=False,
    onesided=None,
    return_complex=None,
    align_to_window=None,
):
    """Short-time Fourier transform of `(L,)` or `(B, L)`: `(..., freq, frames)`, complex.

    >>> import flambeau as fb
    >>> tuple(fb.stft(fb.ones(16), 4, return_complex=True, window=fb.ones(4)).shape)
    (3, 17)
    """
    hop = n_fft // 4 if hop_length is None else hop_length
    if return_complex is None:
        if not input.is_complex() and not (window is not None and window.is_complex()):
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real "
                "inputs, "
                "and will further require that return_complex=True in a future "
                "release"
            )
        return_complex = True
    if not (input.is_floating_point() or input.is_complex()):
        raise RuntimeError(
            f"stft: expected a tensor of floating point or complex values, got {input.dtype}"
        )
    if input.dim() not in (1, 2):
        raise RuntimeError(f"stft: expected a 1D or 2D tensor, got {input.dim()}D")
    if center and align_to_window is not None:
        raise RuntimeError("stft: align_to_window should only be set when center = false.")
    x = input if input.dim() == 2 else input.unsqueeze(0)
    if center:
        p = n_fft // 2
        x = fb.nn.functional.pad(x.unsqueeze(1), (p, p), pad_mode).squeeze(1)
    length = x.shape[-1]
    if not 0 < n_fft <= length:
        raise RuntimeError(f"stft: expected 0 < n_fft < {length}, but got n_fft={n_fft}")
    if hop <= 0:
        raise RuntimeError(f"stft: expected hop_length > 0, but got hop_length={hop}")
    win = _window("stft", window, n_fft, win_length, x)
    frames = x.unfold(-1, n_fft, hop) * win
    is_complex = frames.is_complex()
    onesided = not is_complex if onesided is None else onesided
    if is_complex and onesided:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    f = fb.fft.rfft if onesided else fb.fft.fft
    out = f(frames, norm="ortho" if normalized else "backward").transpose(1, 2)
    out = out if input.dim() == 2 else out.squeeze(0)
    return out if return_complex else fb.view_as_real(out)


@composite(method=True)
def istft(
    input,
    n_fft,
    hop_length=None,
    win_length=None,
    window=None,
    center=True,
    normalized=False,
    onesided=None,
    length=None,
    return_complex=False,
):
    """Inverse of `stft` by windowed overlap-add (Griffin & Lim 1984, eq. 6): `(..., L)`."""
    hop = n_fft // 4 if hop_length is None else hop_length
    win_len = n_fft if win_length is None else win_length
    if not input.is_complex():
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from "
            "stft "
            "with return_complex=True."
        )
    if input.numel() == 0 or input.dim() not in (2, 3):
        raise RuntimeError(
            f"istft: expected a non-empty tensor with 2 or 3 dims, got shape {list(input.shape)}"
        )
    onesided = input.shape[-2] != n_fft if onesided is None else onesided
    want = n_fft // 2 + 1 if onesided else n_fft
    if input.shape[-2] != want:
        raise RuntimeError(
            "istft: expected the frequency dimension (3rd to the last) of the "
            "input "
            f"tensor to be {want} for onesided={onesided}, got {input.shape[-2]}"
        )
    if not 0 < hop <= win_len or not 0 < win_len <= n_fft:
        raise RuntimeError(
            f"istft: expected 0 < hop_length <= win_length <= n_fft, got {hop}, {win_len}, {n_fft}"
        )
    if return_complex and onesided:
        raise RuntimeError("istft: cannot have onesided input with return_complex=True")
    spec = (input if input.dim() == 3 else input.unsqueeze(0)).transpose(1, 2)
    norm = "ortho" if normalized else "backward"
    if return_complex:
        frames = fb.fft.ifft(spec, norm=norm)
    else:
        if window is not None and window.is_complex():
            raise RuntimeError("istft: complex windows are incompatible with return_complex=False")
        half = spec if onesided else spec[..., : n_fft // 2 + 1]
        frames = fb.fft.irfft(half, n=n_fft, norm=norm)
    win = _window("istft", window, n_fft, win_length, frames)
    n_frames = frames.shape[1]
    total = n_fft + hop * (n_frames - 1)
    at = (
        fb.arange(n_frames, device=frames.device).unsqueeze(1) * hop
        + fb.arange(n_fft, device=frames.device)
    ).reshape(-1)
    y = fb.zeros(frames.shape[0], total, dtype=(frames * win).dtype, device=frames.device)
    y = y.index_add(1, at, (frames * win).reshape(frames.shape[0], -1))
    w2 = (win * win).expand(n_frames, n_fft).reshape(-1)
    env = fb.zeros(total, dtype=w2.dtype, device=w2.device).index_add(0, at, w2)
    start = n_fft // 2 if center else 0
    end = start + length if length is not None else total - (n_fft // 2 if center else 0)
    cut = min(end, total)
    y, env = y[:, start:cut], env[start:cut]
    if env.numel() and float(env.abs().min()) < 1e-11:
        raise RuntimeError(
            "istft: window overlap add min: 1e-11 is not reached; the window leaves "
            "samples uncovered"
        )
    y = y / env
    if end > total:
        y = fb.constant_pad_nd(y, (0, end - total))
    return y if input.dim() == 3 else y.squeeze(0)
