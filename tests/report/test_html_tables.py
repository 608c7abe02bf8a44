from __future__ import annotations

from detres.report.html_tables import Bar, html_list, html_table


def test_a_table_escapes_what_stands_in_it_and_knows_numbers() -> None:
    table = html_table(("<a>", "share", "n"), [("<script>", Bar(0.5), 1234)])
    assert "<script>" not in table
    assert '<th scope="row">&lt;script&gt;</th>' in table
    assert '<th scope="col" class="number">n</th>' in table
    assert '<td class="number">1,234</td>' in table
    assert 'style="width: 50.0%"' in table
    assert "width" not in html_table(("a", "share"), [("a", Bar(0.0))]), "a bar of nothing is none"


def test_a_table_and_a_list_of_nothing() -> None:
    assert html_table(("a",), []).endswith("<tbody></tbody></table>")
    assert html_list([]) == "<ul></ul>"
    assert html_list(["<b>"]) == "<ul><li>&lt;b&gt;</li></ul>"
