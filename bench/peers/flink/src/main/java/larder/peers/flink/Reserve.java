package larder.peers.flink;

import java.util.Arrays;
import larder.peers.Catalogue;
import larder.peers.Catalogue.Merchant;
import larder.peers.Decider;
import larder.peers.Order;
import larder.peers.Outcomes;
import larder.peers.Settings;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/**
 * Takes an order's ingredients from its merchant's stock, tells what became of it, and hands the order's row and the
 * changed levels to the JDBC sinks.
 *
 * A merchant's state is its levels, the bits of what was told to be low, and the bits of the levels that changed since
 * they were last sent to Postgres. A processing-time timer exists exactly while some did.
 */
final class Reserve extends KeyedProcessFunction<Long, Incoming, Event> implements CheckpointListener {
    private final String out;
    private final long flushMillis;
    private transient ValueState<long[]> stock;
    private transient Decider decider;
    private transient Outcomes outcomes;
    private transient Order order;
    private transient Event event;
    private transient Catalogue catalogue;
    private transient int subtask;
    private transient long done;

    Reserve(String out, long flushMillis) {
        this.out = out;
        this.flushMillis = flushMillis;
    }

    @Override
    public void open(OpenContext context) {
        stock = getRuntimeContext()
                .getState(new ValueStateDescriptor<>(
                        "stock", PrimitiveArrayTypeInfo.LONG_PRIMITIVE_ARRAY_TYPE_INFO));
        catalogue = Held.CATALOGUE;
        decider = new Decider(catalogue);
        outcomes = new Outcomes(Settings.fromEnvironment().writingTo(out));
        order = new Order();
        event = new Event();
        subtask = getRuntimeContext().getTaskInfo().getIndexOfThisSubtask();
    }

    @Override
    public void processElement(Incoming incoming, Context context, Collector<Event> out) throws Exception {
        order.read(incoming.bytes, incoming.from);
        Merchant merchant = decider.demand(order);
        int size = merchant.size();
        int words = Decider.words(size);
        long[] levels = stock.value();
        if (levels == null) {
            levels = Decider.first(merchant, words);
            // Every level is sent once, and a last time when the bounded input ends.
            for (int place = 0; place < size; place++) {
                Decider.set(levels, size + words, place);
            }
            tick(context);
            context.timerService().registerEventTimeTimer(Long.MAX_VALUE);
        }
        boolean taken = decider.take(levels);
        long now = System.currentTimeMillis() * 1000;
        if (taken) {
            if (clean(levels, size + words)) {
                tick(context);
            }
            for (int i = 0; i < decider.touchedCount; i++) {
                Decider.set(levels, size + words, decider.touched[i]);
            }
            stock.update(levels);
            tell(Event.CONFIRMED, incoming.key, outcomes.confirmed(order, now), out);
            for (int i = 0; i < decider.crossedCount; i++) {
                int place = decider.crossed[i];
                tell(Event.NOTIFY, incoming.key, outcomes.low(order, decider, place, levels[place], now), out);
            }
        } else {
            stock.update(levels);
            tell(Event.REJECTED, incoming.key, outcomes.rejected(order, decider, levels, now), out);
        }
        context.output(Rows.ORDERS, row(incoming, taken));
        Progress.done(subtask, ++done);
    }

    @Override
    public void onTimer(long at, OnTimerContext context, Collector<Event> out) throws Exception {
        long[] levels = stock.value();
        Merchant merchant = catalogue.merchant(context.getCurrentKey());
        int size = merchant.size();
        int dirty = size + Decider.words(size);
        Rows.Levels changed = new Rows.Levels(merchant.id, size);
        for (int place = 0; place < size; place++) {
            if (Decider.bit(levels, dirty, place)) {
                changed.add(merchant.ingredients[place], levels[place], Decider.bit(levels, size, place));
            }
        }
        if (changed.count > 0) {
            Arrays.fill(levels, dirty, levels.length, 0);
            stock.update(levels);
            context.output(Rows.LEVELS, changed);
        }
    }

    /** Comes after the chained sink has committed its transaction. */
    @Override
    public void notifyCheckpointComplete(long checkpoint) {
        Progress.committed();
    }

    private void tick(Context context) {
        var timers = context.timerService();
        timers.registerProcessingTimeTimer((timers.currentProcessingTime() / flushMillis + 1) * flushMillis);
    }

    private static boolean clean(long[] levels, int from) {
        for (int i = from; i < levels.length; i++) {
            if (levels[i] != 0) {
                return false;
            }
        }
        return true;
    }

    /** One event is used for all: the producer copies what is in it before it returns. */
    private void tell(int topic, byte[] key, byte[] value, Collector<Event> out) {
        event.topic = topic;
        event.key = key;
        event.value = value;
        out.collect(event);
    }

    private Rows.OrderRow row(Incoming incoming, boolean taken) {
        Rows.OrderRow row = new Rows.OrderRow();
        row.merchantId = order.merchantId;
        row.idHigh = order.idHalf(0);
        row.idLow = order.idHalf(19);
        row.customerId = order.customerId;
        row.email = order.email();
        row.currency = order.currency();
        row.totalMinor = order.totalMinor;
        row.status = taken ? "confirmed" : "rejected";
        row.lines = new long[order.lines * 3];
        for (int line = 0; line < order.lines; line++) {
            row.lines[line * 3] = order.products[line];
            row.lines[line * 3 + 1] = order.quantities[line];
            row.lines[line * 3 + 2] = order.prices[line];
        }
        row.placedAt = order.placedAt;
        row.partition = incoming.partition;
        row.offset = incoming.offset;
        return row;
    }
}
