"""Naver sentiment movie corpus v1.0: 150,000 / 50,000 film reviews, negative or positive."""

from tasks.sources import SourceFile
from tasks.text_classification import TextClassification

UPSTREAM = "https://raw.githubusercontent.com/e9t/nsmc/master"

NSMC = TextClassification(
    name="nsmc",
    version=1,
    train=SourceFile(
        "nsmc/ratings_train.txt",
        f"{UPSTREAM}/ratings_train.txt",
        "e03b7d14e9e41be8d464a28057cd25d7396c53e67aa7fd5f7e552c59b0ee2940",
    ),
    test=SourceFile(
        "nsmc/ratings_test.txt",
        f"{UPSTREAM}/ratings_test.txt",
        "8ac9f64052f11dbf6ae0acb5e038f03d90a76f0eda7820cfb3a92d02edfcebda",
    ),
    id_column="id",
    text_column="document",
    label_column="label",
    label_names=("negative", "positive"),
)
