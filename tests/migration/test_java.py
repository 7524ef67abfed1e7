"""Expressions of Java as Python writes them: the same texts match, or the expression is refused."""

import re
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.migration.java import python


@pytest.mark.parametrize(
    ("java", "here"),
    [
        (r"(?<id>[^/]+)/\k<id>", r"(?P<id>[^/]+)/(?P=id)"),
        (r"\Qa.b\E/c", r"a\.b/c"),
        (r"[\p{Alpha}_-]+", "[A-Za-z_-]+"),
        (r"\p{Digit}{2}", "[0-9]{2}"),
        (r"a/b\z", r"a/b\Z"),
        (r"[^/]++/\/x", r"[^/]++/\/x"),
        (r"(?i)/V1/\d+", r"(?ai)/V1/\d+"),
        ("/(?i:V)1", "(?a)/(?ai:V)1"),
        ("(?s).*", "(?s).*"),
        ("[[:alpha:]]", "[:alpha:]"),
        ("/[a-z-[aeiou]]", r"/[a-z\-aeiou]"),
        ("(?>a|b)(?=c)(?<!d)", "(?>a|b)(?=c)(?<!d)"),
    ],
)
def test_what_java_writes_otherwise_is_rewritten(java: str, here: str) -> None:
    assert python(java) == here
    re.compile(here)


@pytest.mark.parametrize(
    ("java", "matching", "others"),
    [
        # A class inside a class is a union.
        ("[a-z[0-9]]+", ["abc1", "7"], ["a]", "[", "A"]),
        ("[a[b[c]]d]", ["a", "b", "c", "d"], ["[", "a]"]),
        ("[a-z-[aeiou]]", ["b", "e", "-"], ["b]", "["]),
        ("[[:alpha:]]", [":", "a", "h"], ["b", "a]", "["]),
        (r"\Qx\E[[0-9]y]", ["x1", "xy"], ["x", "x1]"]),
        (r"[\[x]", ["[", "x"], ["\\"]),
        # A bracket that is first, and what stands at the edges of a range.
        ("[]a]", ["]", "a"], ["b", "[]a]"]),
        ("[^]a]", ["b"], ["]", "a"]),
        (r"[\w-x]", ["-", "x", "q"], ["/"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[-a]", ["a", "-"], ["b"]),
        ("[--]", ["-"], ["a"]),
        ("[+--]", ["+", ",", "-"], ["."]),
        ("[a^]", ["a", "^"], ["b"]),
        (r"[\^a]", ["a", "^"], ["b"]),
        ("[a&b]", ["a", "&", "b"], ["c"]),
        ("[||~~]", ["|", "~"], ["a"]),
        (r"[\Q^]-\E]", ["^", "]", "-"], ["\\", "a"]),
        (r"[^\p{Alpha}]", ["1", "/"], ["a"]),
        # What Unicode would add in Python.
        (r"\d", ["7"], ["\u0663", "\uff11"]),
        (r"\w+", ["a_1"], ["é", "\u017f"]),
        (r"[^\W]", ["a"], ["é", "-"]),
        (r"\s", [" ", "\x0b"], ["\u2003", "\x1c"]),
        ("(?i)k", ["k", "K"], ["\u212a"]),
        ("(?i:s)", ["s", "S"], ["\u017f"]),
        (r"\P{Digit}", ["a", "\u0663"], ["7"]),
        (r"\p{Punct}+", ["!/:@[`{~"], ["a"]),
        # Characters by their numbers.
        (r"\x41\u00e9\0101", ["AéA"], ["A"]),
        (r"\x{1F600}", ["\U0001f600"], ["x"]),
        (r"[\x41-\x{43}]", ["B"], ["D"]),
        (r"\t\a\e\cA\x2e", ["\t\x07\x1b\x01."], ["\t\x07\x1b\x01a"]),
        (r"[\e\t]", ["\x1b", "\t"], ["e", "t"]),
        (r"\00", ["\0"], ["0"]),
        # White space and # are themselves, and so is what is quoted.
        ("a #b", ["a #b"], ["a"]),
        (r"\Qa\d[\E+", [r"a\d[[["], ["a1["]),
        (r"\\Qa", [r"\Qa"], ["a"]),
        (r"\Qa*", ["a*"], ["aa"]),
        # Groups, and what refers to them.
        (r"(a|b)\1", ["aa", "bb"], ["ab"]),
        (r"(a)\1\x31", ["aa1"], ["a"]),
        (r"(?<n>a|b)\k<n>", ["aa"], ["ab"]),
        ("a{2}b{1,}+c{0,1}?", ["aab", "aabbc"], ["ab"]),
        (r"a\Z", ["a"], ["b"]),
        ("a}]", ["a}]"], ["a"]),
    ],
)
def test_the_same_texts_match(java: str, matching: list[str], others: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        matches = re.compile(python(java)).fullmatch
    assert [text for text in matching if not matches(text)] == []
    assert [text for text in others if matches(text)] == []


@pytest.mark.parametrize(
    "java",
    [
        *("[a-z&&[^b]]", "[^/[x]]", "[a[^b]]", "[^a[b]]"),
        *(
            r"\p{IsGreek}",
            r"[\p{L}]",
            r"\pL",
            r"\p{IsAlphabetic}",
            r"\p{N}",
            r"[\P{Alpha}]",
            r"(?i)\p{Lower}",
        ),
        *(r"\R", r"\h", r"\H", r"\v", r"\X", r"\G", r"a\b", r"\B", r"[\b]", r"\N{DIGIT ONE}", r"\y", r"[\1]"),
        *(
            "(?x)a #b",
            "(?m)^a",
            "(?d)a",
            "(?u)a",
            "(?U)a",
            "(?-i)a",
            "a(?i)b",
            "((?i)a)",
            "(?-s:.)",
            "(?i)(?s)a",
        ),
        *("(?P<n>a)", "(?#a)", "(a)(?(1)b|c)", "a{,3}", "a{x}", "{$ PATH $}/x"),
        *("(a)\\11", r"\k{n}", r"\ud83d", r"\x{110000}", r"\c1", "a\\"),
        *("[a", "[]", "[^]", "[[]a]", "[b-a]", r"[a-\d]"),
    ],
)
def test_what_python_does_not_have_or_is_not_known_is_refused(java: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        python(java)


ITEMS = st.one_of(
    st.sampled_from(
        [r"\d", r"\w", r"\-", r"\]", r"\[", r"\^", "a-f", "0-9", "-", "^", "&", ".", "$", "|", "~"]
    ),
    st.sampled_from("abcxyz017_/"),
)


@given(
    st.lists(st.lists(ITEMS, min_size=1, max_size=4), min_size=1, max_size=3), st.characters(codec="ascii")
)
def test_a_class_takes_what_one_of_its_parts_takes(parts: list[list[str]], char: str) -> None:
    classes = ["[\\x00" + "".join(part) + "]" for part in parts]
    try:
        made = python(f"[{''.join(classes)}]")
        alone = [python(one) for one in classes]
    except ValueError:
        return
    assert (re.fullmatch(made, char) is not None) == any(re.fullmatch(one, char) for one in alone)
