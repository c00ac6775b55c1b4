package larder.peers;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Merchants with their recipes and their first stock, held in memory; read once, before the clock starts. */
public final class Catalogue {
    private final Map<Long, Merchant> merchants = new HashMap<>();

    /** What a product takes: of the ingredient at a place in {@link Merchant#ingredients}, so much. */
    public record Recipe(int[] places, long[] amounts) {}

    /** Arrays of one length belong together; places are indexes into them. */
    public static final class Merchant {
        public final long id;
        public final String name;
        public final String[] recipients;
        public final long[] ingredients;
        public final String[] names;
        public final String[] units;
        public final long[] onHand;
        public final long[] full;
        public final int[] threshold;
        private long[] products;
        private Recipe[] recipes;

        private Merchant(List<String[]> rows) {
            int n = rows.size();
            id = Long.parseLong(rows.get(0)[0]);
            name = rows.get(0)[1];
            recipients = rows.get(0)[2].split(",");
            ingredients = new long[n];
            names = new String[n];
            units = new String[n];
            onHand = new long[n];
            full = new long[n];
            threshold = new int[n];
            for (int i = 0; i < n; i++) {
                String[] row = rows.get(i);
                ingredients[i] = Long.parseLong(row[3]);
                names[i] = row[4];
                units[i] = row[5];
                onHand[i] = Long.parseLong(row[6]);
                full[i] = Long.parseLong(row[7]);
                threshold[i] = Integer.parseInt(row[8]);
            }
        }

        /** The recipe of a product, or null where the merchant has none such. */
        public Recipe recipe(long product) {
            int at = java.util.Arrays.binarySearch(products, product);
            return at < 0 ? null : recipes[at];
        }

        /** How many ingredients there are. */
        public int size() {
            return ingredients.length;
        }
    }

    /** Reads ingredients.tsv and recipes.tsv of a folder; both are sorted by id. */
    public static Catalogue read(Path folder) throws IOException {
        Catalogue catalogue = new Catalogue();
        Map<Long, List<String[]>> rows = grouped(folder.resolve("ingredients.tsv"));
        rows.forEach((id, of) -> catalogue.merchants.put(id, new Merchant(of)));
        Map<Long, List<String[]>> lines = grouped(folder.resolve("recipes.tsv"));
        lines.forEach((id, of) -> setRecipes(catalogue.merchants.get(id), of));
        return catalogue;
    }

    public Merchant merchant(long id) {
        return merchants.get(id);
    }

    private static void setRecipes(Merchant merchant, List<String[]> lines) {
        TreeMap<Long, List<String[]>> byProduct = new TreeMap<>();
        for (String[] line : lines) {
            byProduct.computeIfAbsent(Long.parseLong(line[1]), product -> new ArrayList<>()).add(line);
        }
        merchant.products = byProduct.keySet().stream().mapToLong(Long::longValue).toArray();
        merchant.recipes = byProduct.values().stream()
                .map(of -> new Recipe(
                        of.stream()
                                .mapToInt(line ->
                                        java.util.Arrays.binarySearch(merchant.ingredients, Long.parseLong(line[2])))
                                .toArray(),
                        of.stream().mapToLong(line -> Long.parseLong(line[3])).toArray()))
                .toArray(Recipe[]::new);
    }

    private static Map<Long, List<String[]>> grouped(Path file) throws IOException {
        Map<Long, List<String[]>> rows = new HashMap<>();
        try (BufferedReader reader = Files.newBufferedReader(file)) {
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                String[] row = line.split("\t");
                rows.computeIfAbsent(Long.parseLong(row[0]), merchant -> new ArrayList<>()).add(row);
            }
        }
        return rows;
    }
}
