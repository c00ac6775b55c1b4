"""Decodes records as a client does that knows nothing of Larder: fastavro, and the registry by its Confluent API.

usage: decode.py REGISTRY_URL < values as JSON lists of bytes, one a line; prints them decoded, as JSON, one a line
"""

import datetime
import io
import json
import sys
import urllib.request
import uuid

import fastavro

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
schemas = {}


def schema(registry, schema_id):
    if schema_id not in schemas:
        with urllib.request.urlopen(f"{registry}/schemas/ids/{schema_id}") as answer:
            schemas[schema_id] = fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
    return schemas[schema_id]


def plain(value):
    if isinstance(value, datetime.datetime):
        return (value - EPOCH) // datetime.timedelta(microseconds=1)
    if isinstance(value, uuid.UUID):
        return str(value)
    raise TypeError(f"unexpected {type(value)}")


for line in sys.stdin:
    record = bytes(json.loads(line))
    assert record[0] == 0, "not in the wire format"
    value = io.BytesIO(record[5:])
    event = fastavro.schemaless_reader(value, schema(sys.argv[1], int.from_bytes(record[1:5], "big")))
    assert not value.read(), "bytes follow the value"
    print(json.dumps(event, default=plain))
