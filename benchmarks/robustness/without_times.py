"""Files of a data set less the times in them: what two builds of the same pictures have in common to the byte."""

from __future__ import annotations

import io
import re

import pyarrow as pa
import pyarrow.parquet as pq

# Files of a data set that are of one machine and one moment.
OF_A_RUN = (".lock", ".decisions.lock", ".unchanged.json", ".eye_orders.jsonl")
_SECONDS = re.compile(rb', "seconds": [0-9.e-]+')


def without_times(name: str, content: bytes) -> bytes:
    """The content of a file. name: of the file; the journal's lines and the manifest's rows have the seconds of a pair.

    content: as it is on the disk; a damaged manifest stays as it is.
    """
    if name.endswith("journal.jsonl"):
        return _SECONDS.sub(b"", content)
    if name.endswith("manifest.parquet"):
        try:
            table = pq.read_table(io.BytesIO(content))
        except (pa.ArrowException, OSError):
            return content
        buffer = io.BytesIO()
        pq.write_table(table.select([column for column in table.column_names if column != "seconds"]), buffer)
        return buffer.getvalue()
    return content
