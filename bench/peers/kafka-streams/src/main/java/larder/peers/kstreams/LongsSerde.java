package larder.peers.kstreams;

import java.nio.ByteBuffer;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serializer;

/** An array of longs, eight bytes each. */
final class LongsSerde implements Serde<long[]> {
    @Override
    public Serializer<long[]> serializer() {
        return (topic, longs) -> {
            if (longs == null) {
                return null;
            }
            ByteBuffer bytes = ByteBuffer.allocate(longs.length * Long.BYTES);
            bytes.asLongBuffer().put(longs);
            return bytes.array();
        };
    }

    @Override
    public Deserializer<long[]> deserializer() {
        return (topic, bytes) -> {
            if (bytes == null) {
                return null;
            }
            long[] longs = new long[bytes.length / Long.BYTES];
            ByteBuffer.wrap(bytes).asLongBuffer().get(longs);
            return longs;
        };
    }
}
