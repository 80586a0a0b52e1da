"""E-mail and IP addresses of persons, replaced by those of nobody.

Source: Penedo et al., The FineWeb Datasets (arXiv 2406.17557), section 3, and datatrove 0.10.1's
PIIFormatter (specs 10.1, 15.12), whose expressions, replacements and order are the defaults.

One thing differs: datatrove goes through its replacements over all documents of a process, so that
a text depends on those before it; here each document begins with the first ones.
"""

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from shared.schema import EDITS_TYPE, Column
from shared.step import Params, row_step

if TYPE_CHECKING:
    from services.quality.kernels.pii import Found
    from shared.text.segment import Segmented


class PiiParams(Params):
    """What addresses are replaced by, in turn; no replacements: they stay, and are not counted."""

    #: For e-mail addresses: example.com and example.org belong to nobody (RFC 2606).
    emails: tuple[str, ...] = ("email@example.com", "firstname.lastname@example.org")
    #: For IPv4 addresses: six that did not answer when datatrove's list was made.
    ips: tuple[str, ...] = (
        "22.214.171.124",
        "126.96.36.199",
        "188.8.131.52",
        "184.108.40.206",
        "220.127.116.11",
        "18.104.22.168",
    )
    #: Whether only globally reachable IP addresses go: a private one tells of nobody.
    public_only: bool = True


COLUMNS: Final = (
    Column("edits", EDITS_TYPE, "addresses and what replaces them"),
    Column("emails", pa.int64(), "e-mail addresses that are replaced", "addresses"),
    Column("ips", pa.int64(), "IPv4 addresses that are replaced", "addresses"),
)


@row_step("quality.pii_v1", reads=("text",), columns=COLUMNS, params=PiiParams)
def pii(rows: pa.Table, params: PiiParams) -> pa.Table:
    """Replace e-mail and public IPv4 addresses, as FineWeb does; null of a null text.

    What looks like an IP address but has an octet with a leading zero, or one that is not globally
    reachable (IANA's registry of special-purpose addresses), stays.
    """
    from services.quality.kernels.pii import EMAIL, find_addresses
    from shared.text import characters
    from shared.text.segment import segment

    texts = segment(rows["text"])
    found = find_addresses(
        texts.data,
        texts.begins,
        texts.stops,
        characters.flags(),
        bool(params.emails),
        bool(params.ips),
        params.public_only,
    )
    is_email = found.kinds == EMAIL
    total = np.concatenate(([0], np.cumsum(is_email)))[found.bounds]
    emails = np.diff(total)
    null = ~texts.valid
    return pa.table(
        {
            "edits": _edits(texts, found, params),
            "emails": pa.array(emails, mask=null),
            "ips": pa.array(np.diff(found.bounds) - emails, mask=null),
        }
    )


def _edits(texts: "Segmented", found: "Found", params: PiiParams) -> pa.ListArray:
    """The replacements of each document in turn, first those of e-mail addresses."""
    from services.quality.kernels.pii import EMAIL

    is_email = found.kinds == EMAIL
    cycle = np.where(is_email, len(params.emails), len(params.ips))
    at = found.numbers % np.maximum(cycle, 1) + np.where(is_email, 0, len(params.emails))
    new = pa.array([*params.emails, *params.ips], pa.string()).take(pa.array(at))
    begins = np.repeat(texts.begins, np.diff(found.bounds))
    spans = pa.StructArray.from_arrays(
        [
            pa.array(found.starts - begins, pa.int32()),
            pa.array(found.ends - begins, pa.int32()),
            new,
        ],
        fields=list(EDITS_TYPE.value_type),
    )
    offsets = pa.array(found.bounds.astype(np.int32), mask=np.append(~texts.valid, False))
    return pa.ListArray.from_arrays(offsets, spans)
