"""What the tests share: they stay offline, and find the upstream files where those lie."""

import os
from pathlib import Path

import pytest

# set before transformers and wandb are imported; a hub id then fails at once
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "offline"

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir():
    """The directory of the upstream files, or a skip that says why."""
    directory = Path(os.environ.get("H2H_DATA_DIR", REPOSITORY.parent / "shared" / "data"))
    if not directory.is_dir():
        pytest.skip(f"needs the upstream files: no directory {directory} (set H2H_DATA_DIR)")
    return directory


@pytest.fixture
def tiny_nsmc(tmp_path):
    """A data directory with 240 + 61 made-up reviews in NSMC's format, labels easy to learn."""
    directory = tmp_path / "data"
    write_tiny_nsmc(directory, train=240, test=61)
    return directory


def write_tiny_nsmc(directory, train, test):
    """Writes files in NSMC's format; lengths vary, and a word gives the label away."""
    (directory / "nsmc").mkdir(parents=True)
    for name, start, count in (("train", 1000, train), ("test", 900000, test)):
        lines = ["id\tdocument\tlabel"]
        for number in range(count):
            word = "좋아요" if number % 2 else "별로다"
            filler = " ".join(f"영화{(number * 7 + place) % 13}" for place in range(number % 11))
            lines.append(f"{start + number}\t{filler} {word}\t{number % 2}")
        path = directory / "nsmc" / f"ratings_{name}.txt"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
