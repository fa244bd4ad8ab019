"""Makes `hub-images.parquet`, a table with images as the `datasets` library stores them on the hub.

    pip install pyarrow pillow==13.0.0
    python tests/golden/make_hub_parquet.py
"""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

HERE = Path(__file__).parent


def png(size):
    out = io.BytesIO()
    Image.new("RGB", size, (10, 20, 30)).save(out, "PNG")
    return out.getvalue()


images = pa.array(
    [{"bytes": png((4, 3)), "path": "a.png"}, {"bytes": png((5, 2)), "path": None},
     {"bytes": None, "path": "images/420.jpg"}],
    type=pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
table = pa.table({"image": images, "label": pa.array([0, 3, 7], type=pa.int64())})
pq.write_table(table, HERE / "hub-images.parquet")
