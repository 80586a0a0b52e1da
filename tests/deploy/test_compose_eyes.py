"""What compose.yaml mounts into Prometheus and Grafana."""

import json
import shutil
import subprocess

import yaml

from shared.worker import SERVICES
from tests.deploy.rule_file import DASHBOARDS, ROOT, RULES
from tests.tools import program

DEPLOY = ROOT / "deploy"
PROVISIONING = DEPLOY / "grafana" / "provisioning"


def test_promtool_accepts_the_configuration(tmp_path):
    """With the rule file beside it, as compose mounts it."""
    shutil.copy(DEPLOY / "prometheus.yml", tmp_path)
    shutil.copy(RULES, tmp_path / "rules.yaml")
    done = subprocess.run(
        [program("promtool"), "check", "config", str(tmp_path / "prometheus.yml")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 rule files found" in done.stdout


def test_every_service_is_scraped():
    jobs = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    found = {n for job in jobs for sd in job["dns_sd_configs"] for n in sd["names"]}
    assert found == {"gateway", *SERVICES}
    assert {sd["port"] for job in jobs for sd in job["dns_sd_configs"]} == {9100}


def test_grafana_gets_a_source_and_the_folder_of_dashboards():
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yaml").read_text())[
        "datasources"
    ]
    assert source["type"] == "prometheus"
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "corpusmill.yaml").read_text())[
        "providers"
    ]
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
    for path in DASHBOARDS:
        variable = json.loads(path.read_text())["templating"]["list"][0]
        assert variable["query"] == source["type"]
