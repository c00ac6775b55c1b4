package larder.peers;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.UUID;
import larder.peers.Catalogue.Merchant;

/** Writes what became of an order in the product's own events: order_confirmed, stock_rejected, notify. */
public final class Outcomes {
    private final Settings settings;
    private byte[] out = new byte[512];
    private int at;

    public Outcomes(Settings settings) {
        this.settings = settings;
    }

    public byte[] confirmed(Order order, long nowMicros) {
        begin(settings.confirmedSchema());
        copy(order.bytes, order.idFrom, order.idTo);
        number(order.merchantId);
        number(order.customerId);
        copy(order.bytes, order.emailFrom, order.emailTo);
        number(order.totalMinor);
        copy(order.bytes, order.currencyFrom, order.currencyTo);
        number(nowMicros);
        return Arrays.copyOf(out, at);
    }

    public byte[] rejected(Order order, Decider decider, long[] stock, long nowMicros) {
        begin(settings.rejectedSchema());
        copy(order.bytes, order.idFrom, order.idTo);
        number(order.merchantId);
        text(decider.known() ? "insufficient_stock" : "unknown_product");
        for (int i = 0; decider.known() && i < decider.touchedCount; i++) {
            int place = decider.touched[i];
            if (stock[place] < decider.needed(place)) {
                // A block of one.
                number(1);
                number(decider.merchant.ingredients[place]);
                number(decider.needed(place));
                number(stock[place]);
            }
        }
        number(0);
        number(nowMicros);
        return Arrays.copyOf(out, at);
    }

    public byte[] low(Order order, Decider decider, int place, long level, long nowMicros) {
        Merchant merchant = decider.merchant;
        begin(settings.notifySchema());
        String event = new UUID(order.idHalf(0), order.idHalf(19)) + "/" + merchant.ingredients[place];
        text(UUID.nameUUIDFromBytes(event.getBytes(StandardCharsets.US_ASCII)).toString());
        number(merchant.id);
        text(merchant.name);
        number(merchant.ingredients[place]);
        text(merchant.names[place]);
        text(merchant.units[place]);
        number(level + decider.needed(place));
        number(level);
        number(merchant.full[place]);
        number(merchant.threshold[place]);
        number(merchant.recipients.length);
        for (String recipient : merchant.recipients) {
            text(recipient);
        }
        number(0);
        number(nowMicros);
        return Arrays.copyOf(out, at);
    }

    private void begin(int schema) {
        at = 0;
        out[at++] = 0;
        out[at++] = (byte) (schema >>> 24);
        out[at++] = (byte) (schema >>> 16);
        out[at++] = (byte) (schema >>> 8);
        out[at++] = (byte) schema;
    }

    private void number(long value) {
        room(10);
        long zigzag = value << 1 ^ value >> 63;
        while ((zigzag & ~127L) != 0) {
            out[at++] = (byte) (zigzag & 127 | 128);
            zigzag >>>= 7;
        }
        out[at++] = (byte) zigzag;
    }

    private void text(String value) {
        byte[] utf8 = value.getBytes(StandardCharsets.UTF_8);
        number(utf8.length);
        copy(utf8, 0, utf8.length);
    }

    private void copy(byte[] from, int begin, int end) {
        room(end - begin);
        System.arraycopy(from, begin, out, at, end - begin);
        at += end - begin;
    }

    private void room(int more) {
        if (at + more > out.length) {
            out = Arrays.copyOf(out, (at + more) * 2);
        }
    }
}
