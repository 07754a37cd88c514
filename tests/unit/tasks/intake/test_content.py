import gzip
import hashlib
import os
from pathlib import Path

import pytest
import zstandard

from expectations.errors import InputRejectedError
from tasks.intake.content import (
    ZST_FEED_BYTES,
    DamagedContentError,
    hash_content,
    read_content,
)

TEXT = b"duration,service\n1,http\n2,ftp\n"


@pytest.mark.parametrize(
    "stored",
    [
        gzip.compress(TEXT),
        gzip.compress(TEXT[:5]) + gzip.compress(TEXT[5:]),
        zstandard.compress(TEXT),
        zstandard.compress(TEXT[:5]) + zstandard.compress(TEXT[5:]),
    ],
    ids=["gzip", "gzip in two members", "zstandard", "zstandard in two frames"],
)
def test_content_hashes_alike_however_it_is_compressed_and_named(
    tmp_path: Path, stored: bytes
) -> None:
    plain, compressed = tmp_path / "plain.gz", tmp_path / "compressed.csv"
    plain.write_bytes(TEXT)
    compressed.write_bytes(stored)
    assert hash_content(plain) == hash_content(compressed)
    assert hash_content(compressed).size_bytes == len(TEXT)


@pytest.mark.parametrize(
    "damage",
    [
        gzip.compress(TEXT)[:-9],
        gzip.compress(TEXT)[:-8] + b"\0" * 8,
        gzip.compress(TEXT) + b"rubbish",
        zstandard.compress(TEXT)[:-1],
        zstandard.compress(TEXT) + zstandard.compress(TEXT)[:7],
        zstandard.compress(TEXT) + b"rubbish",
    ],
    ids=["gz cut", "gz checksum", "gz tail", "zst cut", "zst cut in frame 2", "zst tail"],
)
def test_damaged_compression_rejects_the_file(tmp_path: Path, damage: bytes) -> None:
    source = tmp_path / "night.csv"
    source.write_bytes(damage)
    with pytest.raises(InputRejectedError, match=r"night\.csv.*cut short or damaged"):
        hash_content(source)


@pytest.mark.parametrize(
    ("start", "named"),
    [(b"PK\x03\x04..", "a zip archive"), (b"BZh9", "bzip2"), (b"\xff\xfed\0", "UTF-16")],
)
def test_formats_that_are_not_read_are_named(tmp_path: Path, start: bytes, named: str) -> None:
    source = tmp_path / "night.csv"
    source.write_bytes(start)
    with pytest.raises(InputRejectedError, match=named):
        hash_content(source)


def test_parquet_with_an_encrypted_footer_is_named(tmp_path: Path) -> None:
    source = tmp_path / "night.parquet"
    source.write_bytes(b"PARE\x15\x04" + bytes(40) + b"PARE")
    with pytest.raises(DamagedContentError, match=r"it is encrypted Parquet.*deliver it decrypted"):
        hash_content(source)


def test_a_column_whose_name_begins_like_a_format_is_text(tmp_path: Path) -> None:
    source = tmp_path / "night.csv"
    source.write_bytes(b"PARENT,service\n1,http\n")
    assert hash_content(source).size_bytes == 22


# What a frame of zstandard needs.


def compress_long(window_log: int) -> bytes:
    options = zstandard.ZstdCompressionParameters(window_log=window_log, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=options).compressobj()
    return compressor.compress(TEXT) + compressor.flush()


@pytest.mark.parametrize("first", [b"", zstandard.compress(TEXT)], ids=["alone", "second frame"])
def test_a_window_as_long_as_zstd_reads_is_read_and_a_longer_one_is_named(
    tmp_path: Path, first: bytes
) -> None:
    source = tmp_path / "night.csv"
    source.write_bytes(first + compress_long(27))
    assert hash_content(source).size_bytes == len(TEXT) * (2 if first else 1)
    for window_log, size in ((28, "256 MiB"), (30, "1 GiB")):
        source.write_bytes(first + compress_long(window_log))
        with pytest.raises(
            DamagedContentError, match=rf"window of {size} .* without --long"
        ) as told:
            hash_content(source)
        assert "again" not in str(told.value), "the file is whole"


def test_a_dictionary_that_is_needed_is_named(tmp_path: Path) -> None:
    samples = [b"%d,http,duration,service" % number * 3 for number in range(3_000)]
    dictionary = zstandard.train_dictionary(2_000, samples)
    source = tmp_path / "night.csv"
    source.write_bytes(zstandard.ZstdCompressor(dict_data=dictionary).compress(TEXT))
    with pytest.raises(
        DamagedContentError, match=rf"needs the dictionary {dictionary.dict_id()} .* without a dict"
    ) as told:
        hash_content(source)
    assert "again" not in str(told.value), "the file is whole"


def test_skippable_frames_and_checksums_are_no_trouble(tmp_path: Path) -> None:
    skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
    summed = zstandard.ZstdCompressor(write_checksum=True).compress(TEXT)
    source = tmp_path / "night.csv"
    source.write_bytes(skippable + summed + skippable)
    assert hash_content(source).size_bytes == len(TEXT)
    source.write_bytes(summed[:-1] + bytes([summed[-1] ^ 1]))
    with pytest.raises(DamagedContentError, match=r"damaged .*Deliver the whole file again"):
        hash_content(source)


def test_a_folder_a_pipe_and_nothing_are_rejected(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, reason in [
        (tmp_path, "a folder"),
        (tmp_path / "pipe", "not a regular file"),
        (tmp_path / "absent", "no such file"),
    ]:
        with pytest.raises(InputRejectedError, match=reason):
            hash_content(path)


def test_a_file_that_grows_while_it_is_read_is_rejected(tmp_path: Path) -> None:
    source = tmp_path / "night.csv"
    source.write_bytes(TEXT)
    pieces = read_content(source, piece_bytes=4)
    next(pieces)
    with source.open("ab") as file:
        file.write(b"3,smtp\n")
    with pytest.raises(InputRejectedError, match="changed while it was read"):
        list(pieces)


def test_a_bomb_comes_in_pieces_of_bounded_size(tmp_path: Path) -> None:
    source = tmp_path / "bomb.zst"
    source.write_bytes(zstandard.compress(bytes(64 << 20)))
    assert source.stat().st_size > ZST_FEED_BYTES
    assert max(map(len, read_content(source))) <= 32 << 20


def test_a_content_is_hashed_at_the_sizes_asked_for(tmp_path: Path) -> None:
    source = tmp_path / "night.csv"
    source.write_bytes(gzip.compress(TEXT))
    found = hash_content(source, [0, 3, 17, len(TEXT), 10_000, 3])
    assert found.prefixes == {size: hashlib.sha256(TEXT[:size]).hexdigest() for size in (3, 17)}, (
        "only a longer content begins with a shorter one"
    )
    assert found.sha256 == hashlib.sha256(TEXT).hexdigest()


def test_a_content_past_the_limit_is_refused_with_the_setting_to_raise(tmp_path: Path) -> None:
    source = tmp_path / "bomb.csv.gz"
    source.write_bytes(gzip.compress(bytes(3 << 20)))
    assert hash_content(source, limit_bytes=3 << 20).size_bytes == 3 << 20
    with pytest.raises(DamagedContentError, match=r"3,145,727 bytes.*NOCTULE_MAX_FILE_BYTES"):
        hash_content(source, limit_bytes=(3 << 20) - 1)
