package larder.peers.kstreams;

import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicLong;
import larder.peers.Catalogue;
import larder.peers.Report;
import larder.peers.Settings;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.Stores;

/**
 * order_created → stock and orders in RocksDB, with their changelogs → order_confirmed, stock_rejected, notify; one
 * Kafka transaction a commit (exactly_once_v2).
 */
public final class Main {
    static final String STOCK = "stock";
    static final String ORDERS = "orders";

    private Main() {}

    public static void main(String[] args) throws Exception {
        Settings settings = Settings.fromEnvironment();
        Catalogue catalogue = Catalogue.read(settings.catalogue());
        boolean keepOrders = !"false".equals(System.getenv("PEER_KEEP_ORDERS"));
        AtomicLong firstSeen = new AtomicLong();
        String application = settings.out() + UUID.randomUUID();
        String run = Report.next();

        Report.begin(run);
        KafkaStreams streams = new KafkaStreams(
                topology(settings, catalogue, keepOrders, firstSeen), properties(settings, application));
        streams.setUncaughtExceptionHandler((Throwable error) -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
            return null;
        });
        streams.start();
        long end = waitUntilCommitted(settings, application);
        Report.end(run, settings.count(), end - firstSeen.get());

        tellWhatIsHeld(settings, catalogue, keepOrders, streams);
        streams.close();
    }

    private static Topology topology(Settings settings, Catalogue catalogue, boolean keepOrders, AtomicLong firstSeen) {
        ByteArraySerializer bytes = new ByteArraySerializer();
        Topology topology = new Topology();
        topology.addSource("order_created", new ByteArrayDeserializer(), new ByteArrayDeserializer(), settings.orders())
                .addProcessor("reserve", () -> new Reserve(settings, catalogue, keepOrders, firstSeen), "order_created")
                // A merchant's levels change with every order: the cache keeps all but the last of a commit from RocksDB and
                // the changelog.
                .addStateStore(
                        Stores.keyValueStoreBuilder(
                                        Stores.persistentKeyValueStore(STOCK), Serdes.Long(), new LongsSerde())
                                .withCachingEnabled(),
                        "reserve")
                .addSink(Reserve.CONFIRMED, settings.confirmed(), bytes, bytes, "reserve")
                .addSink(Reserve.REJECTED, settings.rejected(), bytes, bytes, "reserve")
                .addSink(Reserve.NOTIFY, settings.notifications(), bytes, bytes, "reserve");
        if (keepOrders) {
            // Each order is written once: a cache would hold it for nothing.
            topology.addStateStore(
                    Stores.keyValueStoreBuilder(
                                    Stores.persistentKeyValueStore(ORDERS), Serdes.ByteArray(), Serdes.ByteArray())
                            .withCachingDisabled(),
                    "reserve");
        }
        return topology;
    }

    private static Properties properties(Settings settings, String application) {
        Properties properties = new Properties();
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, application);
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, settings.kafka());
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, Runtime.getRuntime().availableProcessors());
        properties.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        properties.put(StreamsConfig.STATE_DIR_CONFIG, settings.scratch().toString());
        properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
        properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L << 20);
        properties.put(StreamsConfig.ROCKSDB_CONFIG_SETTER_CLASS_CONFIG, Rocks.class);
        properties.put(StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG, StreamsConfig.OPTIMIZE);
        properties.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        properties.put(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, 5000);
        properties.put(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG, 4 << 20);
        properties.put(ProducerConfig.COMPRESSION_TYPE_CONFIG, "lz4");
        properties.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 5);
        properties.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
        properties.putAll(Settings.options("streams."));
        return properties;
    }

    /** Offsets are part of the transaction that holds the outcomes: when all are committed, everything is. */
    private static long waitUntilCommitted(Settings settings, String application) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", settings.kafka()))) {
            while (true) {
                long committed = 0;
                Map<TopicPartition, OffsetAndMetadata> offsets = admin.listConsumerGroupOffsets(application)
                        .partitionsToOffsetAndMetadata()
                        .get();
                long now = System.nanoTime();
                for (OffsetAndMetadata offset : offsets.values()) {
                    committed += offset == null ? 0 : offset.offset();
                }
                if (committed >= settings.count()) {
                    return now;
                }
                Thread.sleep(50);
            }
        }
    }

    private static void tellWhatIsHeld(
            Settings settings, Catalogue catalogue, boolean keepOrders, KafkaStreams streams) throws Exception {
        var stock = streams.store(
                StoreQueryParameters.fromNameAndType(STOCK, QueryableStoreTypes.<Long, long[]>keyValueStore()));
        try (var rows = stock.all();
                var levels = new Report.Levels(settings.scratch().resolve("levels.tsv"))) {
            while (rows.hasNext()) {
                var row = rows.next();
                levels.add(catalogue.merchant(row.key), row.value);
            }
        }
        if (keepOrders) {
            long confirmed = 0;
            long rejected = 0;
            var orders = streams.store(
                    StoreQueryParameters.fromNameAndType(ORDERS, QueryableStoreTypes.<byte[], byte[]>keyValueStore()));
            try (var rows = orders.all()) {
                while (rows.hasNext()) {
                    if (rows.next().value[0] == 1) {
                        confirmed++;
                    } else {
                        rejected++;
                    }
                }
            }
            System.out.printf("{\"rows_confirmed\":%d,\"rows_rejected\":%d}%n", confirmed, rejected);
        }
    }
}
