package io.e2bridge.bench;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The samples of one row, block by block. Blocks of all rows were taken by turns, so that they saw the same machine. */
final class Series {
    /** The least, the middle and the largest of one figure over the blocks. */
    record Spread(double least, double middle, double most) {
        /** {@return the largest over the least; 1 is a quiet machine} */
        double ratio() {
            return most / least;
        }
    }

    private final List<double[]> blocks = new ArrayList<>();
    private final List<Double> blockSeconds = new ArrayList<>();
    private double[] sorted;

    /** Adds a block of calls made one after another: it lasted as long as its calls did. */
    void add(double[] samples) {
        add(samples, Arrays.stream(samples).sum() / 1e6);
    }

    /** Adds a block of calls that took {@code seconds} together, by however many callers. */
    void add(double[] samples, double seconds) {
        if (samples.length > 0) {
            blocks.add(samples);
            blockSeconds.add(seconds);
            sorted = null;
        }
    }

    boolean isEmpty() {
        return blocks.isEmpty();
    }

    int count() {
        return blocks.stream().mapToInt(block -> block.length).sum();
    }

    List<double[]> blocks() {
        return List.copyOf(blocks);
    }

    /** {@return all samples, least first} */
    double[] sorted() {
        if (sorted == null) {
            sorted = blocks.stream().flatMapToDouble(Arrays::stream).sorted().toArray();
        }
        return sorted;
    }

    double median() {
        return percentile(50);
    }

    double percentile(double percent) {
        return percentile(sorted(), percent);
    }

    double mean() {
        return Arrays.stream(sorted()).average().orElse(Double.NaN);
    }

    /** {@return calls per second} */
    double rate() {
        return count() / blockSeconds.stream().mapToDouble(Double::doubleValue).sum();
    }

    /** {@return the medians of the blocks} */
    Spread medians() {
        return spread(blocks.stream().mapToDouble(block -> percentile(Arrays.stream(block).sorted().toArray(), 50)).toArray());
    }

    /** {@return the rates of the blocks} */
    Spread rates() {
        double[] rates = new double[blocks.size()];
        for (int i = 0; i < rates.length; i++) {
            rates[i] = blocks.get(i).length / blockSeconds.get(i);
        }
        return spread(rates);
    }

    static Spread spread(double[] values) {
        double[] ordered = Arrays.stream(values).sorted().toArray();
        return new Spread(percentile(ordered, 0), percentile(ordered, 50), percentile(ordered, 100));
    }

    /** {@return the nearest rank: the least sample that {@code percent} of all do not exceed; NaN of nothing} */
    static double percentile(double[] ordered, double percent) {
        if (ordered.length == 0) {
            return Double.NaN;
        }
        int rank = (int) Math.ceil(percent / 100 * ordered.length);
        return ordered[Math.clamp(rank - 1, 0, ordered.length - 1)];
    }
}
