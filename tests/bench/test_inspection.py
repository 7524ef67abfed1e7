"""The study of inspection, made small."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.inspect import sidecar
from gateway.inspect.reader import files
from tests.bench import inspection, logfile
from tests.bench.inspection import CLOSED
from tests.bench.question import TOOLS, WEIR, AnswerError, Study


def test_a_log_is_asked_and_a_page_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfile, "_POOL", 60)
    path, work = tmp_path / "page.md", tmp_path / "log"
    work.mkdir()
    for number in range(CLOSED + 1):  # what `prepare` writes, in this process
        logfile.write(
            work / (f"requests.log.{CLOSED - number}" if number < CLOSED else "requests.log"),
            number * 100,
            100,
        )
    records = 100 * (CLOSED + 1)
    words = ["--records", str(records), "--rounds", "1", "--work", str(work), "--report", str(path)]
    result = CliRunner().invoke(inspection.main, words)
    assert result.exit_code in (0, 1), result.output  # how long it takes is no matter of tests
    assert "must be no more than 5 s" in result.stdout
    page = path.read_text()
    assert "| records by reason | `weir logs top`, with sidecars | 1,700 |" in page
    assert "sidecars of 1,600 records" in page
    assert path.with_suffix(".svg").read_text().startswith("<svg")
    assert all(file.suffix == ".zst" for file in files(work / "requests.log")[1:])
    assert len(list(sidecar.directory(work / "requests.log").iterdir())) == CLOSED


def test_tools_that_do_not_agree_make_no_page() -> None:
    study = Study("", "", {}, {}, 1, records=3)
    told = {tool: {"passed": 3} for tool in TOOLS}
    inspection.agree(study, inspection.QUESTIONS[0], told)
    with pytest.raises(AnswerError, match="of 3 records"):
        inspection.agree(study, inspection.QUESTIONS[0], told | {WEIR: {"passed": 2}})
    with pytest.raises(AnswerError, match="jq says"):
        inspection.agree(study, inspection.QUESTIONS[0], told | {"jq": {"passed": 2}})
