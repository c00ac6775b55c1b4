package larder.peers.flink;

import java.io.IOException;
import java.util.Arrays;
import larder.peers.Order;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.base.TypeSerializerSingleton;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/**
 * An order on its way to its merchant's subtask: the key, and the untouched bytes of the record in buffers that are used
 * again. It is read in full once, after the exchange.
 */
public final class Incoming {
    public long merchantId;
    public byte[] key;
    public byte[] bytes;
    public int from;
    public int length;
    public int partition;
    public long offset;

    /** Reads a record as far as the merchant. */
    public static final class Source implements KafkaRecordDeserializationSchema<Incoming> {
        private transient Order order;
        private transient Incoming incoming;

        @Override
        public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Incoming> out) {
            if (incoming == null) {
                order = new Order();
                incoming = new Incoming();
                Progress.seen();
            }
            incoming.merchantId = order.readMerchant(record.value(), Order.PREFIX);
            incoming.key = record.key();
            incoming.bytes = record.value();
            incoming.from = Order.PREFIX;
            incoming.length = record.value().length - Order.PREFIX;
            incoming.partition = record.partition();
            incoming.offset = record.offset();
            out.collect(incoming);
        }

        @Override
        public TypeInformation<Incoming> getProducedType() {
            return new Info();
        }
    }

    static final class Info extends Types.Plain<Incoming> {
        Info() {
            super(Incoming.class, Serializer.INSTANCE);
        }
    }

    /** Into buffers that are there already, where there are. */
    public static final class Serializer extends TypeSerializerSingleton<Incoming> {
        static final Serializer INSTANCE = new Serializer();

        @Override
        public boolean isImmutableType() {
            return false;
        }

        @Override
        public Incoming createInstance() {
            Incoming incoming = new Incoming();
            incoming.key = new byte[0];
            incoming.bytes = new byte[512];
            return incoming;
        }

        @Override
        public Incoming copy(Incoming of) {
            return copy(of, new Incoming());
        }

        @Override
        public Incoming copy(Incoming of, Incoming into) {
            into.merchantId = of.merchantId;
            into.key = of.key.clone();
            into.bytes = Arrays.copyOfRange(of.bytes, of.from, of.from + of.length);
            into.from = 0;
            into.length = of.length;
            into.partition = of.partition;
            into.offset = of.offset;
            return into;
        }

        @Override
        public int getLength() {
            return -1;
        }

        @Override
        public void serialize(Incoming of, DataOutputView out) throws IOException {
            out.writeLong(of.merchantId);
            out.writeInt(of.key.length << 24 | of.length);
            out.write(of.key, 0, of.key.length);
            out.write(of.bytes, of.from, of.length);
            out.writeInt(of.partition);
            out.writeLong(of.offset);
        }

        @Override
        public Incoming deserialize(DataInputView in) throws IOException {
            return deserialize(createInstance(), in);
        }

        @Override
        public Incoming deserialize(Incoming into, DataInputView in) throws IOException {
            into.merchantId = in.readLong();
            int lengths = in.readInt();
            int key = lengths >>> 24;
            int length = lengths & 0xffffff;
            if (into.key.length != key) {
                into.key = new byte[key];
            }
            in.readFully(into.key, 0, key);
            if (into.bytes.length < length) {
                into.bytes = new byte[length * 2];
            }
            in.readFully(into.bytes, 0, length);
            into.from = 0;
            into.length = length;
            into.partition = in.readInt();
            into.offset = in.readLong();
            return into;
        }

        @Override
        public void copy(DataInputView in, DataOutputView out) throws IOException {
            serialize(deserialize(in), out);
        }

        @Override
        public TypeSerializerSnapshot<Incoming> snapshotConfiguration() {
            return new Snapshot();
        }

        public static final class Snapshot extends SimpleTypeSerializerSnapshot<Incoming> {
            public Snapshot() {
                super(() -> INSTANCE);
            }
        }
    }
}
