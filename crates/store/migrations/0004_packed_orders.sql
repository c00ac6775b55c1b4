-- What an order consists of, packed: three bytea instead of three bigint[], a third of the bytes and of the work to write.
--
-- The integers are the same and stand in the same order, each as Avro writes a long: zig-zag, then seven bits a byte, the
-- lowest first. A person reads them with `longs`, or asks the view `orders_unpacked`.

-- The integers in packed bytes.
CREATE FUNCTION longs(packed bytea) RETURNS bigint[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    found bigint[] := '{}';
    bits  bigint := 0;
    shift integer := 0;
    byte  integer;
BEGIN
    FOR at IN 0 .. octet_length(packed) - 1 LOOP
        byte := get_byte(packed, at);
        bits := bits | ((byte & 127)::bigint << shift);
        IF byte >= 128 THEN
            shift := shift + 7;
        ELSE
            -- The lowest bit is the sign; the shift brings in a copy of the highest one, which does not belong there.
            found := found || (((bits >> 1) & 9223372036854775807) # -(bits & 1));
            bits := 0;
            shift := 0;
        END IF;
    END LOOP;
    IF shift > 0 THEN
        RAISE data_exception USING MESSAGE = 'the last of the packed integers is cut off';
    END IF;
    RETURN found;
END $$;

-- The integers as packed bytes.
CREATE FUNCTION packed_longs(longs bigint[]) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    packed bytea := '';
    long   bigint;
    bits   bigint;
BEGIN
    FOREACH long IN ARRAY longs LOOP
        bits := (long << 1) # (long >> 63);
        WHILE bits & -128 <> 0 LOOP
            packed := packed || set_byte('\x00', 0, ((bits & 127) | 128)::integer);
            bits := (bits >> 7) & 144115188075855871;
        END LOOP;
        packed := packed || set_byte('\x00', 0, bits::integer);
    END LOOP;
    RETURN packed;
END $$;

-- Everything is rewritten once: let the stock-processor stop for that long.
ALTER TABLE orders
    ALTER COLUMN lines TYPE bytea USING packed_longs(lines),
    ALTER COLUMN demand TYPE bytea USING packed_longs(demand),
    ALTER COLUMN shortfalls TYPE bytea USING packed_longs(shortfalls);

COMMENT ON COLUMN orders.lines IS 'longs(lines): product, quantity, unit price, …';
COMMENT ON COLUMN orders.demand IS 'longs(demand): ingredient, amount, …';
COMMENT ON COLUMN orders.shortfalls IS 'longs(shortfalls): ingredient, needed, available, …';

-- Orders for people to read.
CREATE VIEW orders_unpacked AS
SELECT merchant_id, order_id, customer_id, customer_email, currency, total_minor, status, reason, longs(lines) AS lines,
       longs(demand) AS demand, longs(shortfalls) AS shortfalls, request_hash, placed_at, decided_at, source_partition, source_offset
FROM orders;
