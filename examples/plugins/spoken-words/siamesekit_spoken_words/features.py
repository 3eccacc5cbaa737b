"""From sound to the log-mel energies that the network was trained on."""

from functools import lru_cache

import numpy as np

__all__ = ["LENGTH", "RATE", "centred", "log_mel"]

RATE = 16_000
"""Samples a second."""

LENGTH = 24_000
"""Samples that the network hears: 1.5 seconds."""

# Samples in a frame, and from one frame to the next: 25 and 10 milliseconds.
_FRAME, _STEP = 400, 160
_FFT, _BANDS = 512, 64


def centred(sound: np.ndarray, length: int = LENGTH) -> np.ndarray:
    """Return the middle of a sound, or the sound in the middle of silence.

    Parameters
    ----------
    sound : ndarray of float, shape (n,)
    length : int

    Returns
    -------
    ndarray of float, shape (length,)
    """
    surplus = len(sound) - length
    if surplus >= 0:
        start = surplus // 2
        return sound[start : start + length]
    before = -surplus // 2
    return np.pad(sound, (before, -surplus - before))


def log_mel(sound: np.ndarray) -> np.ndarray:
    """Return the logarithm of the energy in 64 mel bands, every 10 milliseconds.

    As EfficientWord-Net computes it: frames of 25 ms without a window, the last one filled with
    zeros; the squared magnitudes of an FFT of 512 points, divided by 512; triangular bands spaced
    evenly in mel between 0 and 8,000 Hz, whose corners are whole points of the FFT; energies of 0
    stand as the smallest step beside 1.

    Parameters
    ----------
    sound : ndarray of float, shape (n,)
        At 16,000 samples a second.

    Returns
    -------
    ndarray of float64, shape (1 + ceil((n - 400) / 160), 64)
        149 frames of 24,000 samples.

    References
    ----------
    .. [1] S. Davis, P. Mermelstein, "Comparison of parametric representations for monosyllabic
       word recognition in continuously spoken sentences", IEEE TASSP 28, 1980.
    """
    n_frames = 1 + max(0, -(-(len(sound) - _FRAME) // _STEP))
    filled = np.zeros((n_frames - 1) * _STEP + _FRAME)
    filled[: len(sound)] = sound
    frames = np.lib.stride_tricks.sliding_window_view(filled, _FRAME)[::_STEP]
    power = np.square(np.abs(np.fft.rfft(frames, _FFT))) / _FFT
    energy = power @ _bands().T
    return np.log(np.where(energy == 0, np.finfo(float).eps, energy))


@lru_cache(maxsize=1)
def _bands() -> np.ndarray:
    """Return the share of each point of the FFT in each band, (64, 257)."""
    highest = 2595 * np.log10(1 + RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, highest, _BANDS + 2) / 2595) - 1)
    corners = np.floor((_FFT + 1) * hertz / RATE)
    points = np.arange(_FFT // 2 + 1)
    low, middle, high = (corners[i : i + _BANDS, None] for i in range(3))
    # Low bands are narrower than a point: their rising or falling side has none, and is not asked.
    with np.errstate(divide="ignore", invalid="ignore"):
        rising = (points - low) / (middle - low)
        falling = (high - points) / (high - middle)
    bands: np.ndarray = np.where(
        (points >= low) & (points < middle),
        rising,
        np.where((points >= middle) & (points < high), falling, 0.0),
    )
    return bands
