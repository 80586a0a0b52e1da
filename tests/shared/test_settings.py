"""Settings: units, limits that must fit together, and that the documentation names all of them."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.settings import Settings

DOCS = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


def test_the_documentation_names_every_setting():
    section = DOCS.read_text().partition("\n## Settings\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)]
    assert sorted(named) == sorted(name.upper() for name in Settings.model_fields)


def test_environment_variables_have_units(monkeypatch):
    monkeypatch.setenv("CORPUSMILL_LEASE", "7.5")
    monkeypatch.setenv("CORPUSMILL_TICK", "PT2S")
    monkeypatch.setenv("CORPUSMILL_SOURCE_PREFIXES", "s3://a/,gs://b/c")
    conf = Settings()
    assert conf.lease == timedelta(seconds=7.5)
    assert conf.tick == timedelta(seconds=2)
    assert conf.source_prefixes == ("s3://a/", "gs://b/c")


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("TASK_TIME_LIMIT", "3600", "task_time_limit must be below visibility_timeout"),
        ("RUN_SLICE", "1800", "run_slice must be below task_time_limit"),
        ("DEDUP_MEMORY", "1000", "dedup_memory"),
        ("TRAINING_BACKEND", "slurm", "training_backend"),
    ],
)
def test_wrong_values_are_named(monkeypatch, name, value, why):
    monkeypatch.setenv(f"CORPUSMILL_{name}", value)
    with pytest.raises(ValidationError, match=why):
        Settings()
