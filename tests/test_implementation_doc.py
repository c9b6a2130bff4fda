"""``docs/PROTOCOL.md`` stands without ``docs/IMPLEMENTATION.md``, and their links lead somewhere.

What both say of the code is compared with it in ``test_protocol_doc.py`` and
``test_protocol_numbers_doc.py``.
"""

import re

from tests.protocol_text import IMPLEMENTATION, LIMITS, PROTOCOL, tables


def test_the_protocol_needs_no_number_of_the_other_document():
    """Nor does a number stand in both."""
    here, there = (
        {row[0] for rows in tables(text) if rows[0][:2] == ["name", "value"] for row in rows[1:]}
        for text in (PROTOCOL, IMPLEMENTATION)
    )
    assert here
    assert there
    assert len(here) + len(there) == len(LIMITS) == len(here | there)
    named = set(re.findall(r"`([\w.]+)`", PROTOCOL))
    last = {name.rpartition(".")[2] for name in here}
    assert {name.rpartition(".")[2] for name in there if name.rpartition(".")[2] in named} - last == set()


def test_links_within_and_between_the_documents_lead_somewhere():
    def anchors(text):
        titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
        return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles} | set(
            re.findall(r'<a id="([\w-]+)">', text)
        )

    texts = {"PROTOCOL.md": PROTOCOL, "IMPLEMENTATION.md": IMPLEMENTATION}
    for own, text in texts.items():
        found = re.findall(r"\]\(((?:PROTOCOL|IMPLEMENTATION)\.md)?#([\w-]+)\)", text)
        assert found
        assert [(name, to) for name, to in found if to not in anchors(texts[name or own])] == []


def test_octets_are_a_word_of_the_protocol_only():
    assert "octet" not in IMPLEMENTATION.lower()
