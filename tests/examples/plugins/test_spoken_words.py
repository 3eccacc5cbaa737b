"""The plugin spoken-words: EfficientWord-Net's numbers, files of sound, and words in a gallery."""

import itertools
import pickle
import wave
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from _loading import load_module

from siamesekit import SiameseClassifier, registry
from siamesekit.errors import CorruptDatasetError, DatasetNotFoundError, InvalidDataError
from siamesekit.gallery import Gallery
from siamesekit.testing import check_plugin

pytest.importorskip(
    "eff_word_net", reason="brings the weights: pip install --no-deps EfficientWord-Net"
)
pytest.importorskip("onnxruntime", reason="computes the network")

PROMPTS = Path("/usr/share/asterisk/sounds")
SCRIPT = Path(__file__).resolve().parents[3] / "examples/plugins/spoken-words/one_shot_words.py"


@pytest.fixture(scope="module")
def plugin(installed_plugins: Path) -> ModuleType:
    """Return the package, as its users import it."""
    import siamesekit_spoken_words

    assert Path(siamesekit_spoken_words.__file__).is_relative_to(installed_plugins)
    return siamesekit_spoken_words


@pytest.fixture(scope="module")
def script(plugin: ModuleType) -> ModuleType:
    return load_module(SCRIPT)


def sounds(n: int, seed: int = 0) -> np.ndarray:
    """Return sounds of three chords in turn, with a little noise, (n, 24000) float32."""
    noise = np.random.default_rng(seed).normal(size=(n, 24_000)) * 0.02
    times = np.arange(24_000) / 16_000
    chords = [(220, 900), (300, 1700), (150, 2600)]
    for row, (low, high) in zip(noise, itertools.cycle(chords), strict=False):
        voice = np.sin(2 * np.pi * low * times) + 0.5 * np.sin(2 * np.pi * high * times)
        row[6_000:18_000] += 0.3 * voice[6_000:18_000]
    return noise.astype(np.float32)


def write(path: Path, values: np.ndarray, rate: int = 16_000, n_bytes: int = 2) -> Path:
    """Write sound in [-1, 1), shape (n,) or (n, channels), as PCM."""
    whole = np.round(values * 2.0 ** (8 * n_bytes - 1)).astype(np.int64)
    whole = whole + 128 if n_bytes == 1 else whole
    data = whole.reshape(-1, 1).astype("<i8").view(np.uint8)[:, :n_bytes].tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if values.ndim == 1 else values.shape[1])
        file.setsampwidth(n_bytes)
        file.setframerate(rate)
        file.writeframes(data)
    return path


def test_its_numbers_are_efficientword_nets(plugin: ModuleType) -> None:
    from eff_word_net.audio_processing import Resnet50_Arc_loss

    theirs = Resnet50_Arc_loss()
    heard = sounds(2)
    heard[1, :9_000] = 0  # silence, whose energy is none
    network = registry.create("backbones", "spoken-words").build((24_000,)).eval()
    assert type(network) is plugin.SpokenWords
    ours = network(torch.from_numpy(heard)).numpy()
    for sound, embedding in zip(heard, ours, strict=True):
        expected = theirs.compute_logfbank_features(sound)
        np.testing.assert_allclose(plugin.log_mel(sound), expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(embedding, theirs.audioToVector(sound)[0], atol=1e-5)


def test_both_parts_keep_their_contracts(plugin: ModuleType) -> None:
    check_plugin("backbones", "spoken-words")
    check_plugin("readers", "spoken-words")


@pytest.mark.parametrize("n", [1, 400, 401, 560, 561, 24_000])
def test_frames_of_any_length(plugin: ModuleType, n: int) -> None:
    energies = plugin.log_mel(np.ones(n))
    assert energies.shape == (1 + max(0, -((400 - n) // 160)), 64)
    assert np.isfinite(energies).all()


@pytest.mark.parametrize(("given", "expected"), [(3, [0, 1, 2, 3, 0]), (5, [1, 2, 3, 4, 5])])
def test_short_sounds_get_silence_around_them(
    plugin: ModuleType, given: int, expected: list[int]
) -> None:
    np.testing.assert_array_equal(plugin.centred(np.arange(1, given + 1), 5), expected)
    np.testing.assert_array_equal(plugin.centred(np.arange(8), 5), [1, 2, 3, 4, 5])


@pytest.mark.parametrize("n_bytes", [1, 2, 3, 4])
def test_files_of_every_width(plugin: ModuleType, n_bytes: int, tmp_path: Path) -> None:
    sound = sounds(1)[0] * 0.9
    read = plugin.WordReader()(write(tmp_path / "word.wav", sound, n_bytes=n_bytes))
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, sound, atol=2.0 ** (1 - 8 * n_bytes) + 1e-7)


def test_files_of_other_rates_and_of_two_channels(plugin: ModuleType, tmp_path: Path) -> None:
    times = np.arange(12_000) / 8_000
    tone = 0.5 * np.sin(2 * np.pi * 440 * times)
    read = plugin.WordReader()(write(tmp_path / "slow.wav", tone, rate=8_000))
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 16_000)
    np.testing.assert_allclose(read[200:-200], expected[200:-200], atol=5e-3)
    both = np.stack([tone, np.zeros_like(tone)], axis=1)
    read = plugin.WordReader()(write(tmp_path / "stereo.wav", both, rate=8_000))
    np.testing.assert_allclose(read[200:-200], expected[200:-200] / 2, atol=5e-3)


def test_what_is_no_sound_is_named(plugin: ModuleType, tmp_path: Path) -> None:
    read = plugin.WordReader()
    with pytest.raises(DatasetNotFoundError, match=r"absent\.wav"):
        read(tmp_path / "absent.wav")
    for content in (b"", b"RIFF", b"no sound at all"):
        (tmp_path / "text.wav").write_bytes(content)
        with pytest.raises(InvalidDataError, match=r"text\.wav must be a WAV file"):
            read(tmp_path / "text.wav")
    with pytest.raises(InvalidDataError, match="must hold"):
        read(write(tmp_path / "empty.wav", np.zeros(0)))
    with pytest.raises(InvalidDataError, match=r"sounds of shape \(n,\).*\(1, 28, 28\)"):
        plugin.SpokenWords().build((1, 28, 28))


def test_a_file_that_is_no_such_network_is_named(plugin: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"absent\.onnx"):
        plugin.SpokenWords(weights=tmp_path / "absent.onnx").build((24_000,))
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(CorruptDatasetError, match=r"text\.onnx"):
        plugin.SpokenWords(weights=tmp_path / "text.onnx").build((24_000,))


def test_a_network_goes_through_pickle(plugin: ModuleType) -> None:
    network = plugin.SpokenWords().build((24_000,)).eval()
    x = torch.from_numpy(sounds(1))
    again = pickle.loads(pickle.dumps(network))
    assert torch.equal(again(x), network(x))


def test_words_are_known_from_one_example(plugin: ModuleType) -> None:
    network = plugin.SpokenWords().build((24_000,)).eval()
    words = Gallery("cosine")
    words.enroll(network(torch.from_numpy(sounds(3))), ["low", "middle", "wide"])
    found = words.identify(network(torch.from_numpy(sounds(3, seed=1))), k=1)
    assert found.labels[:, 0].tolist() == ["low", "middle", "wide"]
    with pytest.raises(InvalidDataError, match="finite"):
        words.enroll(network(torch.zeros(1, 24_000)), ["silence"])
    assert words.classes.tolist() == ["low", "middle", "wide"]


def test_an_estimator_calibrates_and_is_saved_without_the_network(
    plugin: ModuleType, tmp_path: Path
) -> None:
    X, y = sounds(6), np.arange(6) % 3
    network = SiameseClassifier(backbone="spoken-words", head="cosine", random_state=0).fit(X, y)
    assert network.score(sounds(3, seed=1), [0, 1, 2]) == 1.0
    network.save(tmp_path / "model")
    assert sum(file.stat().st_size for file in (tmp_path / "model").iterdir()) < 1_000_000
    again = SiameseClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(X), network.predict(X))


def test_chances_are_those_of_drawing(script: ModuleType) -> None:
    scores = np.random.default_rng(0).normal(size=(7, 7)) + np.eye(7)
    for way in (2, 4, 7):
        chances = script.chances(scores, way)
        for word in range(7):
            others = [i for i in range(7) if i != word]
            draws = list(itertools.combinations(others, way - 1))
            right = [all(scores[word, word] > scores[word, i] for i in draw) for draw in draws]
            assert chances[word] == pytest.approx(np.mean(right))


def test_words_of_one_speaker_are_known_by_another(script: ModuleType) -> None:
    speakers = [PROMPTS / "it_IT_m_Carlo", PROMPTS / "it_IT_f_Menardi"]
    if not all(speaker.is_dir() for speaker in speakers):
        pytest.skip(
            "no prompts by two people: install Debian's asterisk-core-sounds-it-wav and "
            "asterisk-prompt-it-menardi-wav"
        )
    names = script.common_words(*speakers)[::15]
    read = script.WordReader()
    network = script.SpokenWords().build((24_000,)).eval()
    support, query = (
        script.embed(network, np.stack([read(speaker / name) for name in names]))
        for speaker in speakers
    )
    scores = script.cosines(query, support)
    assert script.chances(scores, 10).mean() > 0.8  # of 288: 0.93
