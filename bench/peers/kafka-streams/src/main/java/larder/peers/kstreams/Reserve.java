package larder.peers.kstreams;

import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicLong;
import larder.peers.Catalogue;
import larder.peers.Catalogue.Merchant;
import larder.peers.Decider;
import larder.peers.Order;
import larder.peers.Outcomes;
import larder.peers.Settings;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/** Takes an order's ingredients from its merchant's stock, keeps the order, and tells what became of it. */
final class Reserve implements Processor<byte[], byte[], byte[], byte[]> {
    static final String CONFIRMED = "confirmed";
    static final String REJECTED = "rejected";
    static final String NOTIFY = "notify";

    private final boolean keepOrders;
    private final AtomicLong firstSeen;
    private final Decider decider;
    private final Outcomes outcomes;
    private final Order order = new Order();
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<Long, long[]> stock;
    private KeyValueStore<byte[], byte[]> orders;

    Reserve(Settings settings, Catalogue catalogue, boolean keepOrders, AtomicLong firstSeen) {
        this.keepOrders = keepOrders;
        this.firstSeen = firstSeen;
        decider = new Decider(catalogue);
        outcomes = new Outcomes(settings);
    }

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
        this.context = context;
        stock = context.getStateStore(Main.STOCK);
        if (keepOrders) {
            orders = context.getStateStore(Main.ORDERS);
        }
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        if (firstSeen.get() == 0) {
            firstSeen.compareAndSet(0, System.nanoTime());
        }
        byte[] value = record.value();
        order.read(value, Order.PREFIX);
        Merchant merchant = decider.demand(order);
        long[] levels = stock.get(merchant.id);
        if (levels == null) {
            levels = Decider.first(merchant, 0);
        }
        boolean taken = decider.take(levels);
        long now = context.currentSystemTimeMs() * 1000;
        if (taken) {
            stock.put(merchant.id, levels);
            tell(record, CONFIRMED, outcomes.confirmed(order, now));
            for (int i = 0; i < decider.crossedCount; i++) {
                int place = decider.crossed[i];
                tell(record, NOTIFY, outcomes.low(order, decider, place, levels[place], now));
            }
        } else {
            tell(record, REJECTED, outcomes.rejected(order, decider, levels, now));
        }
        if (keepOrders) {
            keep(taken, value);
        }
    }

    /** Under the order's key, without the order's headers: they would be written again with each event. */
    private void tell(Record<byte[], byte[]> record, String sink, byte[] value) {
        context.forward(new Record<>(record.key(), value, record.timestamp()), sink);
    }

    /** By merchant and id, as it was, behind a byte that says what became of it. */
    private void keep(boolean taken, byte[] value) {
        ByteBuffer key = ByteBuffer.allocate(24);
        key.putLong(order.merchantId).putLong(order.idHalf(0)).putLong(order.idHalf(19));
        byte[] kept = new byte[value.length - Order.PREFIX + 1];
        kept[0] = (byte) (taken ? 1 : 2);
        System.arraycopy(value, Order.PREFIX, kept, 1, kept.length - 1);
        orders.put(key.array(), kept);
    }
}
