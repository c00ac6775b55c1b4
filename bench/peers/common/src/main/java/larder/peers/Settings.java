package larder.peers;

import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/** What the bench tells a peer, by environment variable. */
public record Settings(
        String kafka,
        String orders,
        String out,
        long count,
        int confirmedSchema,
        int rejectedSchema,
        int notifySchema,
        Path catalogue,
        Path scratch) {

    public static Settings fromEnvironment() {
        return new Settings(
                required("KAFKA_BOOTSTRAP_SERVERS"),
                required("PEER_ORDERS_TOPIC"),
                required("PEER_OUT_PREFIX"),
                Long.parseLong(required("PEER_ORDERS")),
                Integer.parseInt(required("PEER_SCHEMA_CONFIRMED")),
                Integer.parseInt(required("PEER_SCHEMA_REJECTED")),
                Integer.parseInt(required("PEER_SCHEMA_NOTIFY")),
                Path.of(required("PEER_CATALOGUE")),
                Path.of(required("PEER_SCRATCH")));
    }

    /** The same, writing its outcomes under another prefix. */
    public Settings writingTo(String prefix) {
        return new Settings(
                kafka, orders, prefix, count, confirmedSchema, rejectedSchema, notifySchema, catalogue, scratch);
    }

    public String confirmed() {
        return out + "order_confirmed";
    }

    public String rejected() {
        return out + "stock_rejected";
    }

    public String notifications() {
        return out + "notify";
    }

    /** For trying: what `PEER_OPTIONS="streams.commit.interval.ms=1000 jdbc.batch=2000"` says under a prefix. */
    public static Map<String, String> options(String prefix) {
        Map<String, String> options = new HashMap<>();
        String said = System.getenv().getOrDefault("PEER_OPTIONS", "");
        for (String option : said.trim().split(" +")) {
            int equals = option.indexOf('=');
            if (equals > 0 && option.startsWith(prefix)) {
                options.put(option.substring(prefix.length(), equals), option.substring(equals + 1));
            }
        }
        return options;
    }

    /** A variable that must be there. */
    public static String required(String name) {
        String value = System.getenv(name);
        if (value == null || value.isEmpty()) {
            throw new IllegalArgumentException(name + " is not set: run this peer by `cargo xtask bench peers`");
        }
        return value;
    }
}
