-- Stock by the shelf: one row holds up to 64 ingredients of a merchant, because a row is what an update costs.
--
-- Readers ask the view `stock`, which has a row an ingredient as the table before it had.

-- Whether no more is reserved of anything than there is.
CREATE FUNCTION covers(on_hand bigint[], reserved bigint[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT bool_and((level >= promised AND promised >= 0) IS TRUE) FROM unnest(on_hand, reserved) AS u (level, promised));

-- Created with its ingredients and from then on written by the stock-processor alone. An ingredient that comes later
-- gets another shelf, so that nobody else ever writes one that is there.
CREATE TABLE shelves (
    merchant_id    bigint NOT NULL REFERENCES merchants,
    shelf          integer NOT NULL,
    -- Whether the next fall below the threshold is told: one bit an ingredient, the first one's is the lowest.
    armed          bigint NOT NULL,
    -- Place by place: which ingredient, what there is of it, what of that is reserved (null: nothing of any).
    ingredient_ids bigint[] NOT NULL CHECK (cardinality(ingredient_ids) BETWEEN 1 AND 64),
    on_hand        bigint[] NOT NULL CHECK ((0 <= ALL (on_hand) AND 1000000000000 >= ALL (on_hand)) IS TRUE),
    reserved       bigint[],
    PRIMARY KEY (merchant_id, shelf),
    CHECK (cardinality(on_hand) = cardinality(ingredient_ids)),
    CHECK (cardinality(reserved) = cardinality(ingredient_ids)),
    -- One way to say each thing: the stock-processor compares what stands here with what it knows.
    CHECK (cardinality(ingredient_ids) = 64 OR armed >> cardinality(ingredient_ids) = 0),
    CHECK (reserved IS NULL OR (covers(on_hand, reserved) AND 0 < ANY (reserved)))
) WITH (fillfactor = 50); -- room for updates in place: no index covers what changes

-- Nobody asks for a shelf by what lies on it.
ALTER TABLE shelves ALTER COLUMN ingredient_ids SET STATISTICS 0, ALTER COLUMN on_hand SET STATISTICS 0, ALTER COLUMN reserved SET STATISTICS 0;

INSERT INTO shelves (merchant_id, shelf, armed, ingredient_ids, on_hand, reserved)
SELECT merchant_id, place / 64, bit_or(alert_armed::integer::bigint << (place % 64)::integer),
       array_agg(ingredient_id ORDER BY place), array_agg(on_hand ORDER BY place),
       CASE WHEN max(reserved) > 0 THEN array_agg(reserved ORDER BY place) END
FROM (SELECT *, row_number() OVER (PARTITION BY merchant_id ORDER BY ingredient_id) - 1 AS place FROM stock) AS placed
GROUP BY merchant_id, place / 64;

DROP TABLE stock;

CREATE VIEW stock AS
SELECT merchant_id, ingredient_id, level AS on_hand, coalesce(reserved[place], 0) AS reserved,
       (armed >> (place - 1)::integer) & 1 = 1 AS alert_armed
FROM shelves, unnest(ingredient_ids, on_hand) WITH ORDINALITY AS u (ingredient_id, level, place);

-- What a foreign key and a primary key said while each ingredient had a row: it is in the catalogue, and on one shelf.
-- Both fire where shelves and ingredients come and go, not where levels change.
CREATE FUNCTION shelf_has_its_own() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM unnest(NEW.ingredient_ids) AS wanted (ingredient_id)
               WHERE NOT EXISTS (SELECT FROM ingredients AS i
                                 WHERE i.merchant_id = NEW.merchant_id AND i.ingredient_id = wanted.ingredient_id)) THEN
        RAISE foreign_key_violation USING MESSAGE =
            format('shelf %s of merchant %s holds an ingredient that the merchant does not have', NEW.shelf, NEW.merchant_id);
    END IF;
    IF cardinality(NEW.ingredient_ids) > (SELECT count(DISTINCT id) FROM unnest(NEW.ingredient_ids) AS id)
       OR EXISTS (SELECT FROM shelves AS s
                  WHERE s.merchant_id = NEW.merchant_id AND s.shelf <> NEW.shelf AND s.ingredient_ids && NEW.ingredient_ids) THEN
        RAISE unique_violation USING CONSTRAINT = 'shelf_has_its_own', MESSAGE =
            format('shelf %s of merchant %s holds an ingredient that has its place already', NEW.shelf, NEW.merchant_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER shelf_has_its_own AFTER INSERT OR UPDATE OF merchant_id, shelf, ingredient_ids ON shelves
    FOR EACH ROW EXECUTE FUNCTION shelf_has_its_own();

CREATE FUNCTION ingredient_is_on_no_shelf() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM shelves WHERE merchant_id = OLD.merchant_id AND OLD.ingredient_id = ANY (ingredient_ids)) THEN
        RAISE foreign_key_violation USING MESSAGE =
            format('ingredient %s of merchant %s is on a shelf', OLD.ingredient_id, OLD.merchant_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER ingredient_is_on_no_shelf AFTER DELETE OR UPDATE OF merchant_id, ingredient_id ON ingredients
    FOR EACH ROW EXECUTE FUNCTION ingredient_is_on_no_shelf();
