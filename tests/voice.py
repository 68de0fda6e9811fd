"""What a softphone says and hears: tests/telephone.py's sound, with G.722."""


import av
import numpy as np

from rtp.recording import Decoder
from tests.telephone import CODES, NAMES, Telephone


class Voice(Telephone):
    """A telephone of tests/telephone.py that speaks G.722 too."""

    def say(self, hz: int) -> None:
        if self.kind != 9:
            super().say(hz)
            return
        self.hz = hz
        at = np.arange(16_000) / 16_000
        frame = av.AudioFrame.from_ndarray(
            (np.sin(2 * np.pi * hz * at) * 8000).astype(np.int16)[None], "s16", "mono")
        frame.sample_rate = 16_000
        encoder = av.CodecContext.create("g722", "w")
        encoder.sample_rate, encoder.format, encoder.layout = 16_000, "s16", "mono"
        self._tone = b"".join(bytes(packet) for packet in
                              [*encoder.encode(frame), *encoder.encode(None)])

    def sound(self, since: float = 0.0) -> np.ndarray:
        """What it was sent, at 8 000 samples a second."""
        parts = [Decoder(NAMES[9], 16_000).decode(payload)[::2] if kind == 9
                 else Decoder(NAMES[kind], 8000).decode(payload)
                 for at, kind, _, payload in list(self.got) if at > since
                 and (kind in CODES or kind == 9)]
        return np.concatenate(parts).astype(float) if parts else np.zeros(0)


def tones(sound: np.ndarray, loud: float = 700) -> set[int]:
    """The tones in it, in steps of 20 Hz; tests use multiples of 100, which other steps are not."""
    if len(sound) < 800:
        return set()
    level = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) / len(sound) * 4
    hz = np.fft.rfftfreq(len(sound), 1 / 8000)[level > loud]
    return {round(float(each) / 20) * 20 for each in hz}
