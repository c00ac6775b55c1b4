package larder.peers;

import java.util.Arrays;
import larder.peers.Catalogue.Merchant;
import larder.peers.Catalogue.Recipe;

/**
 * Decides orders: everything is there and is taken, or nothing is. A merchant's stock is one array of longs: a level per
 * ingredient, then the bits of what was told to be low.
 */
public final class Decider {
    private final Catalogue catalogue;
    private long[] need = new long[64];
    private boolean known;

    public Merchant merchant;
    /** The ingredients that the order needs, by place. */
    public int[] touched = new int[64];
    public int touchedCount;
    /** Those of them that fell below their threshold by it. */
    public int[] crossed = new int[64];
    public int crossedCount;

    public Decider(Catalogue catalogue) {
        this.catalogue = catalogue;
    }

    /** How many longs the bits of so many ingredients take. */
    public static int words(int ingredients) {
        return (ingredients + 63) / 64;
    }

    public static boolean bit(long[] stock, int words, int place) {
        return (stock[words + (place >> 6)] >>> place & 1) != 0;
    }

    public static void set(long[] stock, int words, int place) {
        stock[words + (place >> 6)] |= 1L << place;
    }

    /** Adds up what the order needs. Must come first. */
    public Merchant demand(Order order) {
        for (int i = 0; i < touchedCount; i++) {
            need[touched[i]] = 0;
        }
        touchedCount = 0;
        crossedCount = 0;
        known = true;
        merchant = catalogue.merchant(order.merchantId);
        if (merchant.size() > need.length) {
            need = new long[merchant.size()];
            touched = new int[merchant.size()];
            crossed = new int[merchant.size()];
        }
        for (int line = 0; line < order.lines; line++) {
            Recipe recipe = merchant.recipe(order.products[line]);
            if (recipe == null) {
                known = false;
                continue;
            }
            int[] places = recipe.places();
            long[] amounts = recipe.amounts();
            for (int i = 0; i < places.length; i++) {
                int place = places[i];
                if (need[place] == 0) {
                    touched[touchedCount++] = place;
                }
                need[place] += amounts[i] * order.quantities[line];
            }
        }
        return merchant;
    }

    /** A merchant's stock as it is at first, with room for bits of the caller's own behind it. */
    public static long[] first(Merchant merchant, int more) {
        int size = merchant.size();
        long[] stock = Arrays.copyOf(merchant.onHand, size + words(size) + more);
        for (int place = 0; place < size; place++) {
            // What is low from the start has not fallen.
            if (low(merchant, place, stock[place])) {
                set(stock, size, place);
            }
        }
        return stock;
    }

    /** Takes what the order needs from the stock, if all of it is there. */
    public boolean take(long[] stock) {
        if (!known) {
            return false;
        }
        for (int i = 0; i < touchedCount; i++) {
            if (stock[touched[i]] < need[touched[i]]) {
                return false;
            }
        }
        int size = merchant.size();
        for (int i = 0; i < touchedCount; i++) {
            int place = touched[i];
            stock[place] -= need[place];
            if (low(merchant, place, stock[place]) && !bit(stock, size, place)) {
                set(stock, size, place);
                crossed[crossedCount++] = place;
            }
        }
        return true;
    }

    /** Whether every product was known. */
    public boolean known() {
        return known;
    }

    public long needed(int place) {
        return need[place];
    }

    private static boolean low(Merchant merchant, int place, long level) {
        return level * 100 < merchant.full[place] * merchant.threshold[place];
    }
}
