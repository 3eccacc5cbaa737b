"""Files of sound, read as what the network hears."""

import math
import os
import wave

import numpy as np
from scipy.signal import resample_poly

from siamesekit.errors import DatasetNotFoundError, InvalidDataError
from siamesekit_spoken_words.features import RATE, centred

__all__ = ["WordReader"]

# An hour at 48,000 samples a second in two channels.
_LONGEST = 2 * 48_000 * 3600


class WordReader:
    """Reads a WAV file (PCM of 8 to 32 bits, of any rate, channels averaged) as 1.5 seconds."""

    def __call__(self, path: str | os.PathLike[str]) -> np.ndarray:
        """Return the middle of a sound, or the sound in the middle of silence.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        ndarray of float32, shape (24000,)
            In [-1, 1], 16,000 samples a second.

        Raises
        ------
        DatasetNotFoundError
            If there is no such file.
        InvalidDataError
            If it is no WAV file of PCM, or is empty.
        """
        try:
            with wave.open(os.fspath(path)) as file:
                rate, channels = file.getframerate(), file.getnchannels()
                n_bytes = file.getsampwidth()
                if not 0 < file.getnframes() * channels <= _LONGEST:
                    raise InvalidDataError(f"{path} must hold up to an hour of sound, and some.")
                data = file.readframes(file.getnframes())
        except FileNotFoundError as error:
            raise DatasetNotFoundError(f"{path} is not there.") from error
        except (wave.Error, EOFError, OSError) as error:
            raise InvalidDataError(f"{path} must be a WAV file of PCM: {error}.") from error
        sound = _samples(data, n_bytes).reshape(-1, channels).mean(1)
        if rate != RATE:
            divisor = math.gcd(rate, RATE)
            sound = resample_poly(sound, RATE // divisor, rate // divisor)
        return centred(sound).astype(np.float32)


def _samples(data: bytes, n_bytes: int) -> np.ndarray:
    """Return samples in [-1, 1); those of one byte are written from 0 to 255, others signed."""
    values = np.frombuffer(data, np.uint8).reshape(-1, n_bytes)
    if n_bytes == 1:
        return values[:, 0] / 128.0 - 1
    # Behind zeros, of whatever width, each is a whole number of four bytes.
    widened = np.zeros((len(values), 4), np.uint8)
    widened[:, 4 - n_bytes :] = values
    return widened.view("<i4")[:, 0] / 2.0**31
