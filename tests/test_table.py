"""The comparison table: figures, what is said beside them, and bytes."""

import csv
import io
import random

import pytest

from experiments.record import RunRecord, read_records, write_record
from reports.references import REFERENCES
from reports.table import build_table, changed_tables, update_readme, write_table

PRETRAINED = {
    "name": "some/encoder",
    "weights": "pretrained",
    "config": {"model_type": "electra"},
    "revision": None,
    "weights_sha256": "0123456789abcdef",
    "tokenizer_sha256": "aa",
}
RANDOM = {
    "name": "electra, 4 layers, hidden 256",
    "weights": "random",
    "config": {"model_type": "electra", "hidden_size": 256},
    "revision": None,
    "weights_sha256": None,
    "tokenizer_sha256": "bb",
}


def make_record(head="fc", seed=1, accuracy=0.8, *, encoder=RANDOM, **changed):
    """A completed record of `<head>_nsmc_scratch`; a failed one when `error` is given."""
    failed = "error" in changed
    fields = {
        "experiment": f"{head}_nsmc_scratch",
        "task": "nsmc",
        "task_version": 1,
        "encoder": encoder,
        "head": {"name": head},
        "head_level": "sequence",
        "seed": seed,
        "max_length": 128,
        "partial": False,
        "config_hash": head,
        "parameters": {"encoder": 5000000, "head": 66306},
        "data": {"files": [], "train_rows": 135000, "validation_rows": 15000, "test_rows": 50000},
        "training_arguments": {"num_train_epochs": 1.0},
        "environment": {},
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:10:00+00:00",
        "status": "failed" if failed else "completed",
        "metrics": {}
        if failed
        else {"validation": {"accuracy": 0.1}, "test": {"accuracy": accuracy}},
        "runtime": {}
        if failed
        else {
            "train_seconds": 600.0,
            "train_samples_per_second": 225.0,
            "resumed_at_step": None,
            "device": "CPU",
            "precision": "fp32",
        },
    }
    if not failed:
        fields["parameters"]["trainable"] = 5066306
    fields["runtime"] |= changed.pop("runtime", {})
    return RunRecord(**(fields | changed))


def row_of(table, experiment):
    """The Markdown cells of one experiment's row, by column."""
    lines = [line for line in table.markdown().splitlines() if line.startswith("|")]
    heading = next(line for line in lines if "experiment" in line)
    (row,) = [line for line in lines if f"| `{experiment}` |" in line]
    split = [[cell.strip() for cell in line.split("|")[1:-1]] for line in (heading, row)]
    return dict(zip(*split, strict=True))


def table_of(*records):
    return build_table(list(records), list(dict.fromkeys(r.experiment for r in records)))


def test_mean_and_sample_deviation_over_seeds():
    # sample deviation of 1, 2, 4 is sqrt(7 / 3) = 1.52753
    table = table_of(
        make_record(seed=3, accuracy=0.84),
        make_record(seed=1, accuracy=0.81),
        make_record(seed=2, accuracy=0.82),
    )
    row = row_of(table, "fc_nsmc_scratch")
    assert row["test accuracy"] == "0.82333 ± 0.01528 (n=3)"
    assert row["each seed"] == "1: 0.81000, 2: 0.82000, 3: 0.84000"
    assert row["head"] == "`fc`"
    assert row["head parameters"] == "66,306"
    assert row["notes"] == ""


def test_one_seed_has_no_deviation():
    table = table_of(make_record(accuracy=0.90644))
    assert row_of(table, "fc_nsmc_scratch")["test accuracy"] == "0.90644 (n=1)"


def test_seconds_and_rates_are_medians_and_resumed_runs_have_no_seconds():
    def timed(seed, seconds, rate, **runtime):
        timing = {"train_seconds": seconds, "train_samples_per_second": rate}
        return make_record(seed=seed, runtime=timing | runtime)

    table = table_of(timed(1, 100.0, 10.0), timed(2, 900.0, 30.0), timed(3, 200.0, 20.0))
    row = row_of(table, "fc_nsmc_scratch")
    assert (row["training s"], row["samples/s"]) == ("200.0", "20.0")
    table = table_of(timed(1, 100.0, 10.0), timed(2, 9.0, 30.0, resumed_at_step=500))
    row = row_of(table, "fc_nsmc_scratch")
    assert (row["training s"], row["samples/s"]) == ("100.0", "10.0")
    table = table_of(timed(1, 9.0, 30.0, resumed_at_step=500))
    assert row_of(table, "fc_nsmc_scratch")["training s"] == ""


def test_rows_stand_in_the_order_asked_for_and_no_others():
    records = [make_record(head) for head in ("bilstm", "cnn", "fc", "seed_cnn")]
    names = ["fc_nsmc_scratch", "bilstm_nsmc_scratch", "cnn_nsmc_scratch"]
    rows = list(csv.DictReader(io.StringIO(build_table(records, names).csv())))
    assert [row["experiment"] for row in rows] == names


def test_failed_cells_are_counted_shown_and_not_averaged():
    table = table_of(
        make_record(seed=1, accuracy=0.8),
        make_record(seed=2, error="RuntimeError: out of\nmemory"),
        make_record("cnn", seed=1, error="FloatingPointError: loss is nan"),
    )
    row = row_of(table, "fc_nsmc_scratch")
    assert row["test accuracy"] == "0.80000 (n=1)"
    assert row["notes"] == "**1 failed**: seed 2"
    row = row_of(table, "cnn_nsmc_scratch")
    assert row["test accuracy"] == "none completed"
    assert row["each seed"] == row["training s"] == row["samples/s"] == ""
    text = table.markdown()
    assert "Failed (2):" in text
    assert "- `fc_nsmc_scratch` seed 2: RuntimeError: out of memory" in text
    rows = list(csv.DictReader(io.StringIO(table.csv())))
    assert [(row["n"], row["mean"], row["failed_seeds"]) for row in rows] == [
        ("1", "0.80000", "2"),
        ("0", "", "1"),
    ]


def test_a_partial_run_says_so_and_how_much_it_saw():
    data = {"files": [], "train_rows": 6000, "validation_rows": 2000, "test_rows": 2000}
    partial = make_record("cnn", partial=True, data=data)
    table = table_of(make_record(), partial)
    assert row_of(table, "fc_nsmc_scratch")["notes"] == (
        "135,000 training and 50,000 test examples, 1 epoch"
    )
    assert row_of(table, "cnn_nsmc_scratch")["notes"] == (
        "**partial**; 6,000 training and 2,000 test examples, 1 epoch"
    )
    (row,) = csv.DictReader(io.StringIO(table_of(partial).csv()))
    assert row["partial"] == "true"


def test_mixed_configurations_and_frozen_encoders_are_noted():
    parameters = {"encoder": 5000000, "head": 66306, "trainable": 66306}
    table = table_of(
        make_record(seed=1, config_hash="old"),
        make_record(seed=2),
        make_record("cnn", parameters=parameters),
    )
    assert row_of(table, "fc_nsmc_scratch")["notes"] == "**2 configurations mixed**"
    assert row_of(table, "cnn_nsmc_scratch")["notes"] == "encoder frozen"


def test_how_a_run_was_launched_is_a_configuration_too():
    for runtime in ({"precision": "bf16"}, {"batch_per_update": 128}):
        table = table_of(make_record(seed=1), make_record(seed=2, runtime=runtime))
        notes = row_of(table, "fc_nsmc_scratch")["notes"]
        assert notes == "**2 configurations mixed**"


def test_a_run_cut_short_by_steps_says_so():
    arguments = {"num_train_epochs": 1.0, "max_steps": 1000}
    table = table_of(make_record(training_arguments=arguments))
    assert "50,000 test examples, 1,000 steps" in table.markdown()


def test_encoders_are_never_in_one_table():
    records = [
        make_record(),
        make_record(encoder=PRETRAINED, experiment="fc_nsmc"),
        make_record("cnn"),
        make_record("cnn", encoder=PRETRAINED, experiment="cnn_nsmc"),
        # the same name, other weights
        make_record(
            seed=2, encoder=PRETRAINED | {"weights_sha256": "f" * 16}, experiment="fc_nsmc"
        ),
        # the same encoder, saved by another version
        make_record(seed=3, encoder=PRETRAINED | {"config": {}}, experiment="fc_nsmc"),
    ]
    names = ["fc_nsmc_scratch", "fc_nsmc", "cnn_nsmc", "cnn_nsmc_scratch"]
    table = build_table(records, names)
    assert [[(row.experiment, len(row.figures)) for row in s.rows] for s in table.sections] == [
        [("fc_nsmc_scratch", 1), ("cnn_nsmc_scratch", 1)],
        [("fc_nsmc", 2), ("cnn_nsmc", 1)],
        [("fc_nsmc", 1)],
    ]
    titles = [line for line in table.markdown().splitlines() if line.startswith("**")]
    shared = "5,000,000 parameters; 135,000 training and 50,000 test examples, 1 epoch"
    assert titles[:3] == [
        f"**electra, 4 layers, hidden 256 (random weights)**: {shared}",
        f"**some/encoder (pretrained, weights 01234567)**: {shared}",
        f"**some/encoder (pretrained, weights ffffffff)**: {shared}",
    ]


def test_published_figures_stand_below_marked_and_never_among_ours():
    table = table_of(make_record())
    ours, published = table.markdown().split("**Published by others**")
    assert "published" not in ours.lower()
    assert "| KoELECTRA-base | BiLSTM | 0.90758 (published) | GitHub " in published
    rows = [line for line in published.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == len(REFERENCES["nsmc"])
    assert all("(published)" in row and "GitHub" in row for row in rows)
    assert "KoBERT" not in table.csv()


@pytest.mark.real_data
def test_published_figures_are_those_of_the_data_page(data_dir):
    page = (data_dir / "README.md").read_text(encoding="utf-8")
    for reference in REFERENCES["nsmc"]:
        assert reference.figure in page
        assert reference.encoder in page
        assert reference.source.split(";")[0].split(",")[0] in page


def test_experiments_without_a_record_are_named():
    table = build_table([make_record()], ["cnn_nsmc_scratch", "fc_nsmc_scratch"])
    assert "No record yet: `cnn_nsmc_scratch`." in table.markdown()
    assert build_table([], ["fc_nsmc"]).markdown() == "No record yet: `fc_nsmc`."


def test_records_of_two_tasks_make_no_table():
    with pytest.raises(ValueError, match="korsts, nsmc"):
        build_table([make_record(), make_record("cnn", task="korsts")], ["fc_nsmc_scratch"])


def test_bytes_do_not_depend_on_the_order_of_records(tmp_path):
    records = [
        make_record(head, seed, 0.8 + 0.1 / (7 * seed + position))
        for seed in (1, 2, 10)
        for position, head in enumerate(["fc", "cnn", "bilstm"])
    ]
    records.append(make_record(seed=3, error="x | y"))
    names = [record.experiment for record in records[:3]]
    contents = set()
    for shuffle in range(5):
        random.Random(shuffle).shuffle(records)
        written = write_table(build_table(records, names), tmp_path / "nsmc")
        assert [path.name for path in written] == ["table.md", "table.csv"]
        contents.add(tuple(path.read_bytes() for path in written))
    assert len(contents) == 1
    assert b"\r" not in b"".join(contents.pop())


def test_bytes_survive_writing_and_reading_the_records(tmp_path):
    records = [make_record(seed=seed, accuracy=1 / (seed + 1)) for seed in (1, 2, 3)]
    records.append(make_record(seed=4, error="x"))
    for record in records:
        write_record(record, tmp_path)
    table = table_of(*read_records(tmp_path, "nsmc"))
    assert table.markdown() == table_of(*records).markdown()
    assert table.csv() == table_of(*records).csv()


def test_a_bar_in_a_name_does_not_break_the_grid():
    table = table_of(make_record(runtime={"device": "CPU | GPU"}))
    assert "| CPU \\| GPU, fp32 |" in table.markdown()


def test_changed_tables_are_found(tmp_path):
    readme, directory = tmp_path / "README.md", tmp_path / "results" / "nsmc"
    readme.write_text("# Title\n<!-- table:nsmc -->\nold\n<!-- /table:nsmc -->\nend\n")
    table = table_of(make_record())
    files = [directory / "table.md", directory / "table.csv"]
    assert changed_tables(table, directory, readme) == [*files, readme]
    write_table(table, directory)
    update_readme(readme, table.markdown())
    assert changed_tables(table, directory, readme) == []
    other = table_of(make_record(accuracy=0.80001))
    assert changed_tables(other, directory, readme) == [*files, readme]
    files[1].write_text(table.csv().replace("\n", "\r\n"), newline="")
    assert changed_tables(table, directory, readme) == [files[1]]


def test_update_readme_replaces_only_what_stands_between_the_marks(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(
        "a\n<!-- table:nsmc -->\nold\n<!-- /table:nsmc -->\nb 한국어\n", encoding="utf-8"
    )
    for _ in range(2):
        update_readme(readme, "| new |")
    expected = "a\n<!-- table:nsmc -->\n\n| new |\n\n<!-- /table:nsmc -->\nb 한국어\n"
    assert readme.read_text(encoding="utf-8") == expected
    update_readme(readme, "| other |", task="korsts")
    assert readme.read_text(encoding="utf-8") == expected


def test_a_page_without_marks_is_left_alone_with_a_warning(tmp_path, caplog):
    readme = tmp_path / "README.md"
    readme.write_text("<!-- table:nsmc -->\nno end\n")
    update_readme(readme, "| new |")
    assert readme.read_text() == "<!-- table:nsmc -->\nno end\n"
    assert "<!-- table:nsmc -->" in caplog.text
    update_readme(tmp_path / "none.md", "| new |")
    assert not (tmp_path / "none.md").exists()
    assert readme in changed_tables(table_of(make_record()), tmp_path, readme)
