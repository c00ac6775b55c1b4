package larder.peers.flink;

import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicLongArray;

/** How far the job is. Everything runs in one JVM, so that this is shared by all its threads. */
final class Progress {
    /** One subtask's count is this far from the next one's, so that they share no cache line. */
    private static final int APART = 16;

    private static final AtomicLongArray DONE = new AtomicLongArray(64 * APART);
    private static final AtomicLong FIRST_SEEN = new AtomicLong();
    private static final AtomicLong LAST_COMMIT = new AtomicLong();

    private Progress() {}

    static void reset() {
        for (int i = 0; i < DONE.length(); i++) {
            DONE.set(i, 0);
        }
        FIRST_SEEN.set(0);
        LAST_COMMIT.set(0);
    }

    static void seen() {
        FIRST_SEEN.compareAndSet(0, System.nanoTime());
    }

    static void done(int subtask, long orders) {
        DONE.lazySet(subtask * APART, orders);
    }

    static void committed() {
        LAST_COMMIT.accumulateAndGet(System.nanoTime(), Math::max);
    }

    static long orders() {
        long sum = 0;
        for (int i = 0; i < DONE.length(); i += APART) {
            sum += DONE.get(i);
        }
        return sum;
    }

    /** From the first record to the last checkpoint, whose rows and transactions are committed. */
    static long nanos() {
        return LAST_COMMIT.get() - FIRST_SEEN.get();
    }
}
