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
