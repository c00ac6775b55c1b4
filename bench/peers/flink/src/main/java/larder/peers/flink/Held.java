package larder.peers.flink;

import java.io.IOException;
import java.io.UncheckedIOException;
import larder.peers.Catalogue;
import larder.peers.Settings;

/** What every subtask of this JVM shares. */
final class Held {
    static final Catalogue CATALOGUE = read();

    private Held() {}

    private static Catalogue read() {
        try {
            return Catalogue.read(Settings.fromEnvironment().catalogue());
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
