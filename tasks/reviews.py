"""Short reviews of films, series, books, food and apps, written for this project."""

from tasks.sources import BundledFile
from tasks.text_classification import TextClassification

REVIEWS = TextClassification(
    name="reviews",
    version=1,
    train=BundledFile("reviews.tsv"),
    test=None,
    id_column="id",
    text_column="text",
    label_column="label",
    label_names=("negative", "positive"),
)
