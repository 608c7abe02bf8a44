from detres.reporter import SILENT, Reporter


def test_what_is_not_given_goes_nowhere() -> None:
    SILENT.say("a line")
    SILENT.progress(3)
    assert SILENT.terminal is None


def test_a_part_of_some_work_shows_its_progress_alone() -> None:
    said, done = [], []
    quiet = Reporter(said.append, done.append).without_lines()
    quiet.say("a line")
    quiet.progress(3)
    assert (said, done) == ([], [3])
