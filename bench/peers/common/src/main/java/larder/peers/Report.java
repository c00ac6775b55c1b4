package larder.peers;

import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import larder.peers.Catalogue.Merchant;

/** What a peer tells the bench: a line of JSON at the begin and at the end of each run, and files of what it holds. */
public final class Report {
    private Report() {}

    public static void begin(String run) {
        System.out.printf("{\"begin\":\"%s\"}%n", run);
        System.out.flush();
    }

    /** Nanoseconds from the first record seen to the last outcome committed. */
    public static void end(String run, long orders, long nanos) {
        System.out.printf("{\"end\":\"%s\",\"orders\":%d,\"seconds\":%.6f}%n", run, orders, nanos / 1e9);
        System.out.flush();
    }

    /** Stock levels, one a line: merchant, ingredient, level, whether it was told to be low. */
    public static final class Levels implements AutoCloseable {
        private final BufferedWriter writer;

        public Levels(Path file) throws IOException {
            writer = Files.newBufferedWriter(file);
        }

        public void add(Merchant merchant, long[] stock) throws IOException {
            for (int place = 0; place < merchant.size(); place++) {
                writer.write(merchant.id + "\t" + merchant.ingredients[place] + "\t" + stock[place] + "\t"
                        + Decider.bit(stock, merchant.size(), place) + "\n");
            }
        }

        @Override
        public void close() throws IOException {
            writer.close();
        }
    }
}
