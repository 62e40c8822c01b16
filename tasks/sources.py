"""Where files come from: bundled, a folder at hand, else upstream, once, checksum verified."""

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests

logger = logging.getLogger(__name__)


BUNDLED_DIR = Path(__file__).resolve().parent / "data"


class DataError(ValueError):
    """Data that can't be found, fetched or read; the message names the file and the cure."""


@dataclass(frozen=True)
class SourceFile:
    """A file of a task.

    Attributes:
        path: Its place in a data folder, such as `nsmc/ratings_train.txt`.
        url: Its upstream address.
        sha256: Its checksum.
    """

    path: str
    url: str
    sha256: str


@dataclass(frozen=True)
class BundledFile:
    """A file that comes with this package.

    Attributes:
        path: Its place in `tasks/data`.
    """

    path: str


def sha256(path: Path) -> str:
    """Computes a file's checksum.

    Args:
        path: The file.

    Returns:
        The hexadecimal digest.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_dir() -> Path:
    """Names the folder downloads are kept in: `HEAD2HEAD_CACHE`, else in the user's cache."""
    return Path(os.environ.get("HEAD2HEAD_CACHE", Path.home() / ".cache" / "head2head"))


def find(source: SourceFile | BundledFile, data_dir: Path | None) -> Path:
    """Finds a file in `data_dir`, else downloads it once and verifies its checksum.

    Args:
        source: The file; a bundled one is where this package is.
        data_dir: A folder that may hold it under `source.path`.

    Returns:
        Where it is.

    Raises:
        DataError: If `data_dir` is no folder, the download fails, or the checksum is wrong.
    """
    if isinstance(source, BundledFile):
        return BUNDLED_DIR / source.path
    if data_dir is not None:
        if not data_dir.is_dir():
            raise DataError(f"--data_dir {data_dir}: no such folder")
        path = data_dir / source.path
        if path.is_file():
            if sha256(path) != source.sha256:
                logger.warning("%s differs from the upstream file (sha256)", path)
            return path
    target = cache_dir() / source.path
    try:
        pooch.retrieve(
            source.url,
            known_hash=f"sha256:{source.sha256}",
            fname=target.name,
            path=target.parent,
            progressbar=True,
        )
    except ValueError as error:
        raise DataError(
            f"{source.path}: what {source.url} gave has another sha256 than expected; nothing "
            "was kept. Get the file elsewhere and name its folder with --data_dir"
        ) from error
    except (OSError, requests.RequestException) as error:
        raise DataError(
            f"{source.path} is not here and {source.url} can't be downloaded "
            f"({type(error).__name__}). Download it where there is a network, put it at "
            f"DIR/{source.path} and pass --data_dir DIR"
        ) from error
    return target
