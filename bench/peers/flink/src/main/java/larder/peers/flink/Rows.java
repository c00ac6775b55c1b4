package larder.peers.flink;

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Arrays;
import java.util.Map;
import java.util.UUID;
import larder.peers.Settings;
import org.apache.flink.connector.jdbc.JdbcConnectionOptions;
import org.apache.flink.connector.jdbc.JdbcExecutionOptions;
import org.apache.flink.connector.jdbc.core.datastream.sink.JdbcSink;
import org.apache.flink.util.OutputTag;

/** The Postgres half: every order a row of orders, every level a row of stock, both by JdbcSink. */
final class Rows {
    static final OutputTag<OrderRow> ORDERS =
            new OutputTag<>("orders", new Types.Plain<>(OrderRow.class, new Types.Chained<>()));
    static final OutputTag<Levels> LEVELS =
            new OutputTag<>("levels", new Types.Plain<>(Levels.class, new Types.Chained<>()));

    private static final Map<String, String> OPTIONS = Settings.options("jdbc.");
    /** Rows a batch of the sink, which is one transaction. */
    private static final int BATCH = Integer.parseInt(OPTIONS.getOrDefault("batch", "5000"));
    /** Rows a rewritten INSERT: with the driver's own default Postgres starts later on each batch. */
    private static final String REWRITE = OPTIONS.getOrDefault("rewrite", "512");
    private static final long INTERVAL_MILLIS = 200;
    /** Partitions of the orders' table; 0 for one that is whole. */
    private static final int PARTS = Integer.parseInt(OPTIONS.getOrDefault("parts", "0"));

    private static final String UPSERT_ORDER = "INSERT INTO orders (merchant_id, order_id, customer_id, customer_email,"
            + " currency, total_minor, status, lines, placed_at, source_partition, source_offset)"
            + " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            + " ON CONFLICT (merchant_id, order_id) DO UPDATE SET status = excluded.status,"
            + " source_partition = excluded.source_partition, source_offset = excluded.source_offset";

    /** One statement a merchant: in VALUES rows, one batch could hold an ingredient twice, which an upsert refuses. */
    private static final String UPSERT_STOCK = "INSERT INTO stock (merchant_id, ingredient_id, on_hand, told_low)"
            + " SELECT ?::int8, u.i, u.l, u.t FROM unnest(?::int8[], ?::int8[], ?::bool[]) u (i, l, t)"
            + " ON CONFLICT (merchant_id, ingredient_id)"
            + " DO UPDATE SET on_hand = excluded.on_hand, told_low = excluded.told_low";

    private Rows() {}

    /** Made anew for each order and never changed, so that the sink may hold it. */
    static final class OrderRow {
        long merchantId, idHigh, idLow, customerId, totalMinor, placedAt, offset;
        String email, currency, status;
        long[] lines;
        int partition;
    }

    /** The changed levels of a merchant. */
    static final class Levels {
        final long merchantId;
        long[] ingredients;
        long[] levels;
        boolean[] toldLow;
        int count;

        Levels(long merchantId, int room) {
            this.merchantId = merchantId;
            ingredients = new long[room];
            levels = new long[room];
            toldLow = new boolean[room];
        }

        void add(long ingredient, long level, boolean low) {
            ingredients[count] = ingredient;
            levels[count] = level;
            toldLow[count] = low;
            count++;
        }
    }

    static JdbcSink<OrderRow> orders() {
        return JdbcSink.<OrderRow>builder()
                .withExecutionOptions(execution())
                .withQueryStatement(UPSERT_ORDER, (statement, row) -> {
                    statement.setLong(1, row.merchantId);
                    statement.setObject(2, new UUID(row.idHigh, row.idLow));
                    statement.setLong(3, row.customerId);
                    statement.setString(4, row.email);
                    statement.setString(5, row.currency);
                    statement.setLong(6, row.totalMinor);
                    statement.setString(7, row.status);
                    statement.setObject(8, row.lines);
                    // As microseconds: the driver sends a timestamp as text.
                    statement.setLong(9, row.placedAt);
                    statement.setInt(10, row.partition);
                    statement.setLong(11, row.offset);
                })
                .buildAtLeastOnce(connection());
    }

    static JdbcSink<Levels> stock() {
        return JdbcSink.<Levels>builder()
                .withExecutionOptions(execution())
                .withQueryStatement(UPSERT_STOCK, (statement, changed) -> {
                    statement.setLong(1, changed.merchantId);
                    statement.setObject(2, Arrays.copyOf(changed.ingredients, changed.count));
                    statement.setObject(3, Arrays.copyOf(changed.levels, changed.count));
                    statement.setObject(4, Arrays.copyOf(changed.toldLow, changed.count));
                })
                .buildAtLeastOnce(connection());
    }

    /** Empty tables for a run. */
    static void recreate() throws SQLException {
        try (Connection connection = DriverManager.getConnection(url());
                Statement statement = connection.createStatement()) {
            statement.execute("DROP TABLE IF EXISTS orders, stock");
            statement.execute("CREATE TABLE orders (merchant_id int8 NOT NULL, order_id uuid NOT NULL,"
                    + " customer_id int8 NOT NULL, customer_email text, currency text NOT NULL,"
                    + " total_minor int8 NOT NULL, status text NOT NULL, lines int8[] NOT NULL,"
                    + " placed_at int8 NOT NULL, source_partition int4 NOT NULL, source_offset int8 NOT NULL,"
                    + " PRIMARY KEY (merchant_id, order_id))" + partitioned());
            for (int part = 0; part < PARTS; part++) {
                statement.execute("CREATE TABLE orders_" + part + " PARTITION OF orders FOR VALUES WITH (MODULUS "
                        + PARTS + ", REMAINDER " + part + ")");
            }
            statement.execute("CREATE TABLE stock (merchant_id int8, ingredient_id int8, on_hand int8 NOT NULL,"
                    + " told_low bool NOT NULL, PRIMARY KEY (merchant_id, ingredient_id)) WITH (fillfactor = 50)");
        }
    }

    private static String partitioned() {
        return PARTS > 0 ? " PARTITION BY HASH (merchant_id)" : "";
    }

    private static JdbcExecutionOptions execution() {
        return JdbcExecutionOptions.builder()
                .withBatchSize(BATCH)
                .withBatchIntervalMs(INTERVAL_MILLIS)
                .withMaxRetries(0)
                .build();
    }

    private static JdbcConnectionOptions connection() {
        return new JdbcConnectionOptions.JdbcConnectionOptionsBuilder()
                .withUrl(url())
                .withDriverName("org.postgresql.Driver")
                .build();
    }

    private static String url() {
        return Settings.required("PEER_JDBC_URL") + "&reWriteBatchedInserts=true&reWriteBatchedInsertsSize=" + REWRITE;
    }
}
