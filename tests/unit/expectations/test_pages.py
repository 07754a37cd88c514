"""Reading pages: what each key becomes, what a page need not say, and where an error is named."""

import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from expectations.contract import Contract
from expectations.errors import PageError
from expectations.names import PLAIN_NAME, RESERVED_COLUMNS
from expectations.pages import parse_page, read_page
from expectations.registry import own_contracts
from storage.views import BASE_COLUMNS

PAGE = """\
name = "flows"
title = "Flows"
source = "flows(1)"
match = ["Dur", "State"]
[form]
separators = ["comma", "tab"]
nulls = ["-"]
orders = [["*", "Label"], ["StartTime", "*", "unread", "Label"]]
[columns]
started_at = { from = "StartTime", kind = "time", formats = ["%Y/%m/%d %H:%M:%S%.f", "epoch_s"] }
duration_s = { from = ["Dur", "td"], kind = "interval", scale = 0.001 }
state = "category"
[[alike]]
kind = "count"
unit = "bytes"
columns = ["Total Length of Fwd Packets", "dbytes"]
[[alike]]
kind = "port"
columns = { src_port = "Sport", dst_port = ["Dport", "dp"] }
[labels]
column = "Label"
names = "Attack Name"
normal = ["0", "Normal*"]
strip = "."
[labels.families]
DoS = ["smurf", "neptune"]
Probe = ["scan*"]
[labels.techniques]
Probe = "T1046"
[[rules]]
name = "long_ones_send"
holds = "duration_s < 10 OR dbytes > 0"
[[bounds]]
statistic = "share.state.SF"
minimum = 0.1
"""

HERE = Path("flows.toml")


def read(text: str = PAGE) -> Contract:
    return parse_page(HERE, text.encode())


def test_columns_have_the_defaults_of_their_kinds() -> None:
    declared = read().by_name
    names = "started_at duration_s state total_length_of_fwd_packets dbytes src_port dst_port"
    assert list(declared) == [*names.split(), "label", "attack_name"]
    assert declared["started_at"].role == "identifier"
    assert (declared["started_at"].nullable, declared["started_at"].optional) == (True, True)
    length = declared["duration_s"]
    assert (length.sources, length.scale, length.unit) == (("Dur", "td"), 0.001, "s")
    assert (length.role, length.minimum, length.maximum) == ("feature", 0, None)
    assert (length.nullable, length.optional, length.severity) == (False, False, "required")
    count = declared["total_length_of_fwd_packets"]
    assert (count.sources, count.unit) == (("Total Length of Fwd Packets",), "bytes")
    assert (count.minimum, count.resolution) == (0, 1)
    assert count.meaning == "Total length of fwd packets, in bytes."
    port = declared["dst_port"]
    assert (port.sources, port.minimum, port.maximum) == (("Dport", "dp"), 0, 65_535)
    assert port.severity == "advisory"


def test_the_columns_of_labels_need_no_declaration() -> None:
    contract = read()
    label = contract.by_name["attack_name"]
    assert (label.kind, label.role, label.sources) == ("category", "label", ("Attack Name",))
    assert contract.labels is not None
    assert (contract.labels.column, contract.labels.names) == ("label", "attack_name")
    assert contract.labels.families == {"smurf": "DoS", "neptune": "DoS", "scan*": "Probe"}
    assert contract.labels.techniques == {"Probe": "T1046"}


def test_a_declared_column_of_labels_keeps_its_declaration() -> None:
    declared = PAGE.replace('state = "c', 'outcome = { from = "Label", kind = "flag" }\nstate = "c')
    contract = read(declared)
    assert contract.label == "outcome"
    assert (contract.by_name["outcome"].kind, contract.by_name["outcome"].role) == ("flag", "label")


def test_orders_are_told_in_names_of_columns() -> None:
    features = ("duration_s", "state", "total_length_of_fwd_packets", "dbytes")
    assert read().form.orders == (
        (*features, "label"),
        ("started_at", *features, "unread", "label"),
    )


def test_words_of_the_form_become_characters() -> None:
    assert read().form.separators == (",", "\t")
    assert read(PAGE.replace('["comma", "tab"]', '"blanks"')).form.separators == ("blanks",)
    assert read(PAGE.replace('["comma", "tab"]', '["^", "bar"]')).form.separators == ("^", "|")


def test_a_rule_knows_its_columns_and_needs_no_meaning() -> None:
    (rule,) = read().row_rules
    assert rule.columns == ("duration_s", "dbytes")
    assert (rule.meaning, rule.severity) == (rule.holds, "required")


def test_the_fingerprint_is_that_of_the_content() -> None:
    same = PAGE.replace("[columns]", "# a comment\n\n[columns]")
    assert read(same).fingerprint == read().fingerprint
    for old, new in (("< 10", "< 11"), ('"-"', '"?"'), ("0.001", "0.01"), ('"0", ', "")):
        assert read(PAGE.replace(old, new)).fingerprint != read().fingerprint


def test_a_windows_file_is_a_page_too() -> None:
    text = PAGE.replace("\n", "\r\n")
    assert parse_page(HERE, b"\xef\xbb\xbf" + text.encode()).fingerprint == read().fingerprint


def test_our_pages_have_at_most_the_lines_that_a_person_reads() -> None:
    sources = Path(__file__).parents[3] / "expectations" / "sources"
    lines = {path.stem: path.read_text().count("\n") for path in sources.glob("*.toml")}
    assert set(lines) == set(own_contracts())
    assert {name for name, count in lines.items() if count > 60} == {"nsl_kdd"}


def test_no_contract_may_use_a_column_of_the_views() -> None:
    assert {column.name for column in BASE_COLUMNS} <= RESERVED_COLUMNS
    assert all(PLAIN_NAME.fullmatch(name) for name in RESERVED_COLUMNS)


TIME = 'kind = "time", formats = ["%Y/%m/%d %H:%M:%S%.f", "epoch_s"]'
STATE = 'state = "category"'
HOLDS = '"duration_s < 10 OR dbytes > 0"'


def column(declaration: str) -> tuple[str, str, int]:
    """Replace the declaration of a column of the page, which is on line 12."""
    return STATE, f"state = {{ {declaration} }}", 12


WRONG: dict[str, tuple[tuple[str, str, int], str, str]] = {  # a change and its line, key, problem
    "no TOML": (('"tab"]', '"tab"', 7), "", "this is no TOML"),
    "no name": (('name = "flows"', "", 0), "", "expected the key name, found no such key"),
    "an unknown key": (("title =", "titel =", 2), "titel", "no such key (did you mean title?)"),
    "a name with a dash": (('"flows"', '"my-flows"', 1), "name", 'found "my-flows"'),
    "our own name": (('"flows"', '"unrecognised"', 1), "name", "another name"),
    "a long name": (('"flows"', f'"{"a" * 56}"', 1), "name", "at most 55"),
    "a number for a text": (('"Flows"', "3", 2), "title", "expected a text of at most 1,000"),
    "an empty match": (('["Dur", "State"]', "[]", 4), "match", "found an empty list"),
    "a key of the form": (("nulls", "nul", 7), "form.nul", "did you mean nulls?"),
    "a letter between fields": (('"tab"', '"x"', 6), "form.separators", "comma, tab, semicolon"),
    "a quote between fields": (('"tab"', "'\"'", 6), "form.separators", "comma, tab, semicolon"),
    "a number for null": (('["-"]', "[0]", 7), "form.nulls", "a text, or a list of texts"),
    "an encoding": (('nulls = ["-"]', 'encoding = "utf8"', 7), "form.encoding",
                    'one of utf-8, latin-1, cp1252 (did you mean utf-8?), found "utf8"'),
    "no trailer": (('nulls = ["-"]', "trailer_lines = 3", 7), "form.trailer_lines", "trailer too"),
    "no line of trailer": (('nulls = ["-"]', 'trailer = "S"\ntrailer_lines = 0', 8),
                           "form.trailer_lines", "from 1 to 1,000, found 0"),
    "an empty comment": (('nulls = ["-"]', 'comment = ""', 7), "form.comment", 'found ""'),
    "a separator of JSON": (("[form]", '[form]\nkind = "json"', 7), "form.separators",
                            "a form of kind json has no such key"),
    "an order with a name twice": (('"unread"', '"Dur"', 8), "form.orders", '"duration_s" twice'),
    "two orders of a length": (('"StartTime", "*", "unread"', '"*"', 8), "form.orders",
                               "two orders have 5 columns"),
    "an order without a feature": (('["*", "L', '["Dur", "L', 8), "form.orders",
                                   "lacks the column state"),
    "a capital in a column": ((STATE, 'State = "category"', 12), "columns.State", "small letters"),
    "a column of ours": ((STATE, 'row_number = "count"', 12), "columns.row_number", "of its own"),
    "no kind": (column('unit = "s"'), "columns.state", "expected the key kind"),
    "an unknown kind": (column('kind = "protocoll"'), "columns.state.kind", "you mean protocol?"),
    "an unknown short kind": ((STATE, 'state = "categry"', 12), "columns.state.kind",
                              'did you mean category?), found "categry"'),
    "an unknown key of a column": (column('kind = "count", scales = 2'), "columns.state.scales",
                                   "did you mean scale?"),
    "a key of another kind": (column('kind = "category", unit = "s"'), "columns.state.unit",
                              "of kind category has no such key"),
    "no factor": (column('kind = "number", scale = 0'), "columns.state.scale", "above 0, found 0"),
    "an endless factor": (column('kind = "number", scale = inf'), "columns.state.scale", "finite"),
    "no number": (column('kind = "number", scale = nan'), "columns.state.scale", "found nan"),
    "a resolution": (column('kind = "number", resolution = 0.3'), "columns.state.resolution",
                     "a power of ten"),
    "a text for a bound": (column('kind = "count", minimum = "0"'), "columns.state.minimum",
                           'expected a number, found "0"'),
    "bounds in the wrong order": (column('kind = "count", minimum = 2, maximum = 1'),
                                  "columns.state.minimum", "2 is above the maximum, 1"),
    "values and bounds": (column('kind = "count", values = [1], maximum = 1'),
                          "columns.state.maximum", "values or bounds, not both"),
    "values of the wrong type": (column('kind = "count", values = ["1"]'), "columns.state.values",
                                 'a list of whole numbers, found "1"'),
    "values of two types": (column('kind = "category", values = ["1", 1]'), "columns.state.values",
                            "not of both"),
    "a flag of three values": (column('kind = "flag", values = [0, 1, 2]'), "columns.state.values",
                               "0 and 1"),
    "an address for a model": (column('kind = "address", role = "feature"'), "columns.state.role",
                               "identifier or ignored"),
    "a label of no labels": (column('kind = "category", role = "label"'), "columns.state.role",
                             "only the columns that [labels] names"),
    "a feature that may lack": (column('kind = "count", optional = true, nullable = false'),
                                "columns.state.nullable", "is null there"),
    "a label that is a feature": ((STATE, 'label = { kind = "category", role = "feature" }', 12),
                                  "columns.label.role", "its role is label"),
    "a pattern of no time": ((TIME, 'kind = "time", formats = ["%Q"]', 10),
                             "columns.started_at.formats", "iso, epoch_s"),
    "a pattern without a day": ((TIME, 'kind = "time", formats = ["%b %d"]', 10),
                                "columns.started_at.formats", "tells the day"),
    "a pattern that polars refuses": ((TIME, 'kind = "time", formats = ["%Y-%m-%d %E"]', 10),
                                      "columns.started_at.formats", "that polars knows"),
    "an unknown zone": ((TIME, 'kind = "time", zone = "Europe/Berln"', 10),
                        "columns.started_at.zone", "of the IANA database"),
    "a zone that is a path": ((TIME, 'kind = "time", zone = "../../etc/passwd"', 10),
                              "columns.started_at.zone", "of the IANA database"),
    "the 13th hour": ((TIME, 'kind = "time", first_hour = 13', 10),
                      "columns.started_at.first_hour", "from 1 to 12, found 13"),
    "a format of an interval": (column('kind = "interval", formats = ["iso"]'),
                                "columns.state.formats", '"clock"'),
    "a column twice": ((STATE, 'state = "category"\ndbytes = "count"', 17), "alike[0].columns",
                       "another column with the name dbytes"),
    "a name in files twice": (column('kind = "category", from = "DUR"'), "columns.state",
                              'the columns duration_s and state both read "DUR" in files'),
    "alike of no kind": (('kind = "count"', "", 13), "alike[0]", "expected the key kind"),
    "a name that no column can have": (('"dbytes"]', '"%%%"]', 16), "alike[0].columns",
                                       'a plain name for "%%%"'),
    "two names that become one": (('"dbytes"]', '"total-length of fwd packets"]', 16),
                                  "alike[0].columns", "two of these become"),
    "no word for normal": (('normal = ["0", "Normal*"]', "", 20), "labels", "the key normal"),
    "an empty list of normal": (('["0", "Normal*"]', "[]", 23), "labels.normal", "empty list"),
    "a number for normal": (('["0", "Normal*"]', "0", 23), "labels.normal", "found 0"),
    "a value of two meanings": (('strip = "."', 'attacks = ["normal*"]', 24), "labels.attacks",
                                '"normal*" is in normal too'),
    "a missing value for normal": (('["0", "Normal*"]', '["-"]', 23), "labels.normal",
                                   '"-" is in nulls of [form] too'),
    "an attack of two families": (('["scan*"]', '["smurf"]', 27), "labels.families.Probe",
                                  '"smurf" is in the family DoS too'),
    "a technique of no family": (('Probe = "T', 'Prob = "T', 29), "labels.techniques.Prob",
                                 "did you mean Probe?"),
    "no technique": (('"T1046"', '"1046"', 29), "labels.techniques.Probe", "such as T1499"),
    "a rule of no column": ((HOLDS, '"duration > 0"', 32), "rules[0].holds",
                            "there is no column duration (did you mean duration_s?)"),
    "an unknown function": ((HOLDS, '"read_csv(state) > 0"', 32), "rules[0].holds",
                            "there is no function read_csv; the functions are abs, ceil"),
    "a number for a condition": ((HOLDS, '"duration_s + dbytes"', 32), "rules[0].holds",
                                 "expected a condition, found an expression of type Float64"),
    "a text compared with a number": ((HOLDS, '"state > 3"', 32), "rules[0].holds",
                                      "polars cannot compute it"),
    "a rule without columns": ((HOLDS, '"1 = 1"', 32), "rules[0].holds", "on columns"),
    "half a rule": ((HOLDS, '"duration_s >"', 32), "rules[0].holds", "polars cannot read it"),
    "a rule with the name of a column": (('"long_ones_send"', '"state"', 31), "rules[0].name",
                                         "another rule or column"),
    "a severity": (("[[bounds]]", 'severity = "fatal"\n[[bounds]]', 33), "rules[0].severity",
                   "one of required, advisory"),
    "an unknown statistic": (("share.state.SF", "median.state", 34), "bounds[0].statistic",
                             "share.COLUMN"),
    "a statistic of no column": (("share.state.SF", "mean.stat", 34), "bounds[0].statistic",
                                 'there is no column "stat" (did you mean state?)'),
    "the mean of a text": (("share.state.SF", "mean.state", 34), "bounds[0].statistic",
                           "are no numbers"),
    "a share of no value": (("share.state.SF", "share.state", 34), "bounds[0].statistic",
                            "share.state.VALUE"),
    "a share of a text of a number": (("share.state.SF", "share.dbytes.x", 34),
                                      "bounds[0].statistic", 'no value "x"'),
    "unseen of any": (("share.state.SF", "unseen_ratio.state", 34), "bounds[0].statistic",
                      "declares no values"),
    "a bound of nothing": (("minimum = 0.1", "", 33), "bounds[0]", "a minimum or a maximum"),
    "a bound that nothing keeps": (("minimum = 0.1", "minimum = 2\nmaximum = 1", 35),
                                   "bounds[0].minimum", "2.0 is above the maximum, 1.0"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_an_error_names_file_line_key_and_what_was_expected(what: str) -> None:
    (old, new, line), key, problem = WRONG[what]
    assert PAGE.count(old) >= 1
    with pytest.raises(PageError) as refused:
        read(PAGE.replace(old, new, 1))
    place = ", ".join(["flows.toml", *([f"line {line}"] if line else ()), *([key] if key else ())])
    told = str(refused.value)
    assert re.match(re.escape(place) + r"[^:]*: ", told), told
    assert problem in told
    assert refused.value.exit_code == 2


def test_a_page_without_features_is_refused() -> None:
    with pytest.raises(PageError, match=r"line 2, columns: there is no feature"):
        read('name = "a"\n[columns]\nsrc_ip = "address"\n')


def test_the_line_of_a_key_is_found_in_every_way_to_write_it() -> None:
    text = '# [columns]\nname = "a"\n"match" = [\n  "[x]", # ]\n  "y",\n]\n'
    text += 'title = """\n[columns]\n"""\n'
    for columns, line in (
        ("[columns]\na = 'count'\n\n'b' = { kind = 'cuont' }\n", 13),
        ("[columns.b]\nunit = 's'\nkind = 'cuont'\n", 12),
        ("columns.a = 'count'\ncolumns.b.kind = 'cuont'\n", 11),
        ("[[alike]]\nkind='count'\ncolumns=['x']\n[[alike]]\nkind='cuont'\ncolumns=['y']\n", 14),
    ):
        with pytest.raises(PageError, match=rf"line {line}, .*did you mean count"):
            read(text + columns)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff", "line 1: expected UTF-8"),
        (b"a = " + b"[" * 4_000 + b"]" * 4_000, "nested too deeply"),
        (b"a" + b".a" * 50_000 + b" = 1", "at most 10,000 characters"),
        (b"#" + b"\n#" * 600_000, "at most 1,000,000 bytes"),
        (b"a = " + b"9" * 9_000, "this is no TOML"),
        (
            b'name = "a"\n[columns]\nx = { kind = "count", maximum = 1' + b"0" * 400 + b" }",
            "finite",
        ),
        (b"", "expected the key name"),
        (b"\0", "this is no TOML"),
    ],
    ids=["bytes", "nested", "a long key", "large", "digits", "no float", "empty", "NUL"],
)
def test_no_bytes_take_long_or_end_in_another_error(content: bytes, problem: str) -> None:
    began = time.process_time()
    with pytest.raises(PageError, match=re.escape(problem)):
        parse_page(HERE, content)
    assert time.process_time() - began < 2


def test_a_page_of_many_columns_is_read_and_one_of_more_is_refused() -> None:
    def wide(count: int) -> str:
        return 'name = "a"\n[columns]\n' + "".join(f'c{at} = "count"\n' for at in range(count))

    assert len(read(wide(1_500)).features) == 1_500
    with pytest.raises(PageError, match="at most 1,500 columns"):
        read(wide(1_501))


@pytest.mark.parametrize(
    "large",
    [
        'match = [\n{}]\n[columns]\nx = "count"\n',
        '[columns]\nx = "count"\n[labels]\ncolumn = "y"\nnormal = [\n{}]\n',
        '[form]\norders = [[\n"x", {}]]\n[columns]\nx = "count"\n',
        '[columns]\nx = {{ kind = "count", values = [\n{}] }}\n',
    ],
    ids=["match", "normal", "orders", "values"],
)
def test_long_lists_take_linear_time(large: str) -> None:
    names = "".join(f'"a{at}",\n' for at in range(80_000))
    began = time.process_time()
    with suppress(PageError):
        read('name = "a"\n' + large.format(names))
    assert time.process_time() - began < 5


def test_a_page_has_at_most_500_rules() -> None:
    rules = "".join(f'[[rules]]\nname = "r{at}"\nholds = "dbytes > {at}"\n' for at in range(501))
    head = PAGE.partition("[[rules]]")[0]
    assert len(read(head + rules.rpartition("[[rules]]")[0]).row_rules) == 500
    with pytest.raises(PageError, match="at most 500 tables"):
        read(head + rules)


def test_a_page_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(PageError, match=r"none\.toml: cannot read the page: No such file"):
        read_page(tmp_path / "none.toml")


def test_lines_are_read_as_they_are(tmp_path: Path) -> None:
    path: Any = tmp_path / "flows.toml"
    path.write_text(PAGE)
    assert read_page(path) == read()
