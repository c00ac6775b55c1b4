package larder.peers;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import larder.peers.Catalogue.Merchant;

/**
 * What a peer and the bench tell each other: a line with a run's name lets it begin, a line of JSON says that it has, and
 * another one how long it took; what the peer holds then is in files or in Postgres.
 */
public final class Report {
    private static final BufferedReader COMMANDS =
            new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));

    private Report() {}

    /** The name of the next run, once it may begin; null where there is none. */
    public static String next() throws IOException {
        return COMMANDS.readLine();
    }

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
