package larder.peers.flink;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import larder.peers.Report;
import larder.peers.Settings;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.TransactionNamingStrategy;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.core.execution.CheckpointType;
import org.apache.flink.runtime.jobgraph.JobGraph;
import org.apache.flink.runtime.jobmaster.JobResult;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * order_created → by merchant → stock in keyed state → order_confirmed, stock_rejected, notify in one Kafka transaction a
 * checkpoint, order rows and levels into Postgres. The same job several times in one JVM: the first is the cold one.
 */
public final class Main {
    private static final int PARALLELISM = Runtime.getRuntime().availableProcessors();
    private static final long FLUSH_MILLIS = 200;

    private Main() {}

    /** Each run writes its events under the prefix and its name. */
    public static void main(String[] args) throws Exception {
        Settings settings = Settings.fromEnvironment();
        Files.createDirectories(settings.scratch());
        // Loaded before the clock starts.
        Held.CATALOGUE.merchant(0);
        for (String run = Report.next(); run != null; run = Report.next()) {
            drain(run, settings.writingTo(settings.out() + run + "."));
        }
        // What Flink leaves running is nobody's loss.
        System.exit(0);
    }

    private static void drain(String run, Settings settings) throws Exception {
        Rows.recreate();
        Progress.reset();
        Path scratch = settings.scratch().resolve(run);
        Files.createDirectories(scratch);
        Configuration configuration = configuration(scratch);
        JobGraph job = job(settings, configuration);
        MiniClusterConfiguration cluster = new MiniClusterConfiguration.Builder()
                .setNumTaskManagers(1)
                .setNumSlotsPerTaskManager(PARALLELISM)
                .setConfiguration(configuration)
                .build();
        Report.begin(run);
        try (MiniCluster flink = new MiniCluster(cluster)) {
            flink.start();
            flink.submitJob(job).get();
            CompletableFuture<JobResult> result = flink.requestJobResult(job.getJobID());
            while (Progress.orders() < settings.count() && !result.isDone()) {
                Thread.sleep(5);
            }
            closeNow(flink, job, result);
            result.get().toJobExecutionResult(Main.class.getClassLoader());
            if (Progress.orders() != settings.count()) {
                throw new IllegalStateException(Progress.orders() + " orders of " + settings.count() + " are handled");
            }
            Report.end(run, settings.count(), Progress.nanos());
        }
        delete(scratch);
    }

    /**
     * All input is handled: asks for checkpoints until the job has ended, instead of idling up to a second for the next one.
     * A request that meets the job's end is never answered.
     */
    private static void closeNow(MiniCluster flink, JobGraph job, CompletableFuture<JobResult> result)
            throws InterruptedException {
        while (!result.isDone()) {
            try {
                CompletableFuture.anyOf(flink.triggerCheckpoint(job.getJobID(), CheckpointType.FULL), result)
                        .get();
                result.get(50, TimeUnit.MILLISECONDS);
            } catch (TimeoutException notYet) {
                continue;
            } catch (ExecutionException refused) {
                // Another checkpoint is under way, or the job has just ended.
                Thread.sleep(20);
            }
        }
    }

    private static JobGraph job(Settings settings, Configuration configuration) {
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment(configuration);
        environment.setParallelism(PARALLELISM);
        Properties consumer = new Properties();
        consumer.put("isolation.level", "read_committed");
        consumer.put("max.poll.records", "10000");
        consumer.put("max.partition.fetch.bytes", "4194304");
        consumer.put("receive.buffer.bytes", "1048576");
        consumer.put("register.consumer.metrics", "false");
        consumer.putAll(Settings.options("consumer."));
        KafkaSource<Incoming> source = KafkaSource.<Incoming>builder()
                .setBootstrapServers(settings.kafka())
                .setTopics(settings.orders())
                .setGroupId(settings.out())
                .setProperties(consumer)
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setBounded(OffsetsInitializer.latest())
                .setDeserializer(new Incoming.Source())
                .build();
        Properties producer = new Properties();
        producer.put("compression.type", "lz4");
        producer.put("linger.ms", "5");
        producer.put("batch.size", "262144");
        producer.put("transaction.timeout.ms", "120000");
        producer.put("register.producer.metrics", "false");
        producer.putAll(Settings.options("producer."));
        KafkaSink<Event> events = KafkaSink.<Event>builder()
                .setBootstrapServers(settings.kafka())
                .setRecordSerializer(new Event.Serializer(settings))
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                .setTransactionalIdPrefix(settings.out())
                .setTransactionNamingStrategy(TransactionNamingStrategy.POOLING)
                .setKafkaProducerConfig(producer)
                .build();

        SingleOutputStreamOperator<Event> reserved = environment
                .fromSource(source, WatermarkStrategy.noWatermarks(), "orders", new Incoming.Info())
                .uid("orders")
                .keyBy(incoming -> incoming.merchantId, org.apache.flink.api.common.typeinfo.Types.LONG)
                .process(new Reserve(settings.out(), FLUSH_MILLIS), Event.TYPE)
                .uid("reserve")
                .name("reserve");
        reserved.sinkTo(events).uid("events");
        reserved.getSideOutput(Rows.ORDERS).sinkTo(Rows.orders()).uid("order-rows").name("order-rows");
        reserved.getSideOutput(Rows.LEVELS).sinkTo(Rows.stock()).uid("stock-rows").name("stock-rows");
        return environment.getStreamGraph().getJobGraph();
    }

    private static Configuration configuration(Path scratch) {
        Map<String, String> settings = new HashMap<>();
        settings.put("execution.runtime-mode", "STREAMING");
        settings.put("pipeline.object-reuse", "true");
        settings.put("pipeline.generic-types", "false");
        settings.put("pipeline.auto-watermark-interval", "0");
        settings.put("execution.checkpointing.interval", "1 s");
        settings.put("execution.checkpointing.mode", "EXACTLY_ONCE");
        settings.put("execution.checkpointing.storage", "filesystem");
        settings.put("execution.checkpointing.dir", scratch.resolve("checkpoints").toUri().toString());
        settings.put("state.backend.type", "hashmap");
        // A run that fails must fail loudly.
        settings.put("restart-strategy.type", "none");
        settings.put("execution.buffer-timeout.interval", "100 ms");
        settings.put("taskmanager.memory.network.min", "128m");
        settings.put("taskmanager.memory.network.max", "128m");
        settings.put("taskmanager.memory.managed.size", "64m");
        settings.put("taskmanager.memory.segment-size", "64kb");
        settings.put("source.reader.element.queue.capacity", "2");
        settings.put("rest.bind-port", "0");
        settings.put("rest.port", "0");
        settings.put("io.tmp.dirs", scratch.toString());
        settings.putAll(Settings.options("flink."));
        return Configuration.fromMap(settings);
    }

    private static void delete(Path folder) throws IOException {
        try (var paths = Files.walk(folder)) {
            paths.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
        }
    }
}
