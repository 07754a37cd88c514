"""Contracts for tests: that of NSL-KDD, and small ones, written in a line."""

from typing import Final

from expectations.contract import IDENTIFIER_KINDS, Column, Contract, Form, Kind, Labels
from expectations.registry import get_contract

NSL_KDD: Final = get_contract("nsl_kdd")


def column(name: str, kind: Kind, source: str = "", **more: object) -> Column:
    """Return a column; its role follows from its kind, and only features are needed."""
    role = more.pop("role", "identifier" if kind in IDENTIFIER_KINDS else "feature")
    declared = {
        "sources": tuple(source.split("|")) if source else (),
        "optional": role != "feature",
        "nullable": role != "feature",
    }
    return Column(name=name, kind=kind, meaning="", role=role, **(declared | more))  # type: ignore[arg-type]


def contract(
    name: str,
    *columns: Column,
    form: Form | None = None,
    match: tuple[str, ...] = (),
    labels: Labels | None = None,
) -> Contract:
    """Return a contract without rules or bounds."""
    return Contract(
        name=name, title=name, source="", form=form or Form(), match=match, columns=columns,
        labels=labels,
    )  # fmt: skip


def flows(name: str = "flows", form: Form | None = None, match: tuple[str, ...] = ()) -> Contract:
    """Return a contract of flows with addresses, a time, a name and three numbers."""
    return contract(
        name,
        column("started_at", "time", "StartTime"),
        column("src_ip", "address", "SrcAddr"),
        column("proto", "protocol", "Proto|pr"),
        column("src_bytes", "count", "SrcBytes"),
        column("dst_bytes", "count", "DstBytes"),
        column("duration_s", "interval", "Dur", nullable=True),
        form=form,
        match=match,
    )
