import json
from pathlib import Path

from keepface.train.journal import Journal


def test_resuming_drops_lines_after_the_checkpoint_and_a_line_cut_off_half_way(tmp_path: Path) -> None:
    path = tmp_path / "run" / "journal.jsonl"
    journal = Journal(path, 0)
    for step in range(5):
        journal.write(step, {"total": 1 / 3, "count": step})
    journal.close()
    path.write_text(path.read_text() + '{"step": 2, "tot')
    journal = Journal(path, 3)
    journal.write(3, {"total": 0.5})
    journal.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1, 2, 3]
    assert lines[2] == {"step": 2, "total": 0.333333, "count": 2} and lines[3] == {"step": 3, "total": 0.5}
