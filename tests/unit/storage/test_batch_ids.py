"""One content under two contracts is two batches, and those of nsl_kdd keep their ids."""

import hashlib

from storage.batch_ids import name_batch, stored_content

CONTENT = hashlib.sha256(b"duration,src_bytes\n0,1\n").hexdigest()


def test_a_batch_of_the_first_contract_has_the_hash_of_its_content() -> None:
    assert name_batch("nsl_kdd", CONTENT) == CONTENT
    assert stored_content(CONTENT, CONTENT) is None


def test_the_id_of_any_other_contract_depends_on_contract_and_content() -> None:
    expected = hashlib.sha256(b"argus\n" + CONTENT.encode()).hexdigest()
    assert name_batch("argus", CONTENT) == expected
    assert name_batch("zeek", CONTENT) != expected
    assert name_batch("argus", "0" * 64) != expected
    assert stored_content(expected, CONTENT) == CONTENT
