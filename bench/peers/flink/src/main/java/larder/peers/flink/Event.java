package larder.peers.flink;

import java.util.List;
import java.util.Optional;
import larder.peers.Settings;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.connector.kafka.lineage.DefaultKafkaDatasetFacet;
import org.apache.flink.connector.kafka.lineage.DefaultKafkaDatasetIdentifier;
import org.apache.flink.connector.kafka.lineage.KafkaDatasetFacet;
import org.apache.flink.connector.kafka.lineage.KafkaDatasetFacetProvider;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.kafka.clients.producer.ProducerRecord;

/** An event that goes out, to the sink in the same thread. */
final class Event {
    static final int CONFIRMED = 0;
    static final int REJECTED = 1;
    static final int NOTIFY = 2;
    static final TypeInformation<Event> TYPE = new Types.Plain<>(Event.class, new Types.Chained<>());

    int topic;
    byte[] key;
    byte[] value;

    static final class Serializer implements KafkaRecordSerializationSchema<Event>, KafkaDatasetFacetProvider {
        private final String[] topics;

        Serializer(Settings settings) {
            topics = new String[] {settings.confirmed(), settings.rejected(), settings.notifications()};
        }

        @Override
        public ProducerRecord<byte[], byte[]> serialize(Event event, KafkaSinkContext context, Long timestamp) {
            return new ProducerRecord<>(topics[event.topic], null, timestamp, event.key, event.value);
        }

        /** Pooled transaction names want to know every topic that may be written. */
        @Override
        public Optional<KafkaDatasetFacet> getKafkaDatasetFacet() {
            return Optional.of(
                    new DefaultKafkaDatasetFacet(DefaultKafkaDatasetIdentifier.ofTopics(List.of(topics))));
        }
    }
}
