package larder.peers;

/**
 * An order_created event, read in place from its Avro bytes and reused for the next one. By hand, because that is the
 * fastest there is on a JVM: no object is made, and what only travels on is never made into a string.
 */
public final class Order {
    /** Bytes before the Avro value: a zero and the schema's id. */
    public static final int PREFIX = 5;

    public byte[] bytes;
    /** Where a text stands, its length included; the e-mail's with the branch of its union. */
    public int idFrom, idTo, emailFrom, emailTo, currencyFrom, currencyTo;
    public long merchantId, customerId, totalMinor, placedAt;
    public int lines;
    public long[] products = new long[8];
    public int[] quantities = new int[8];
    public long[] prices = new long[8];
    private int at;

    /** Reads the Avro value that begins there. */
    public void read(byte[] from, int begin) {
        bytes = from;
        at = begin;
        idFrom = at;
        skipText();
        idTo = at;
        merchantId = number();
        customerId = number();
        emailFrom = at;
        if (number() != 0) {
            skipText();
        }
        emailTo = at;
        currencyFrom = at;
        skipText();
        currencyTo = at;
        readLines();
        totalMinor = number();
        placedAt = number();
    }

    /** Reads no further than the merchant, who decides where an order is handled. */
    public long readMerchant(byte[] from, int begin) {
        bytes = from;
        at = begin;
        skipText();
        merchantId = number();
        return merchantId;
    }

    /** Sixteen of the order id's digits: the first half begins at 0, the second at 19. */
    public long idHalf(int from) {
        long half = 0;
        // Its length, 36, is one byte.
        int digit = idFrom + 1 + from;
        for (int n = 0; n < 16; digit++) {
            byte b = bytes[digit];
            if (b != '-') {
                half = half << 4 | (b & 15) + (b >> 6) * 9;
                n++;
            }
        }
        return half;
    }

    /** The e-mail, or null where there is none. */
    public String email() {
        at = emailFrom;
        return number() == 0 ? null : text();
    }

    public String currency() {
        at = currencyFrom;
        return text();
    }

    private void readLines() {
        lines = 0;
        for (long block = number(); block != 0; block = number()) {
            if (block < 0) {
                block = -block;
                number();
            }
            for (; block > 0; block--) {
                if (lines == products.length) {
                    products = java.util.Arrays.copyOf(products, lines * 2);
                    quantities = java.util.Arrays.copyOf(quantities, lines * 2);
                    prices = java.util.Arrays.copyOf(prices, lines * 2);
                }
                products[lines] = number();
                quantities[lines] = (int) number();
                prices[lines] = number();
                lines++;
            }
        }
    }

    private long number() {
        long zigzag = 0;
        int shift = 0;
        byte b;
        do {
            b = bytes[at++];
            zigzag |= (long) (b & 127) << shift;
            shift += 7;
        } while (b < 0);
        return zigzag >>> 1 ^ -(zigzag & 1);
    }

    private String text() {
        int length = (int) number();
        return new String(bytes, at, length, java.nio.charset.StandardCharsets.UTF_8);
    }

    private void skipText() {
        int length = (int) number();
        at += length;
    }
}
