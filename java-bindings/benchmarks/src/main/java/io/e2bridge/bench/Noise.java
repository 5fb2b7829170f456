package io.e2bridge.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * How quiet the machine was: the time that the same work took before each round, what others used of the processors while the
 * benchmark slept, load averages, and time that the host of a virtual machine took away.
 */
final class Noise {
    private static final int WORK = 2_000_000;
    private static final int REPEATS = 5;
    /** Of the processors' time, while the benchmark sleeps; its own pools and runtime take a little. */
    private static final double BUSY_LIMIT = 0.15;
    private static final double CALIBRATION_LIMIT = 1.25;
    private static final double STEAL_LIMIT = 0.02;

    private final List<Double> calibrations = new ArrayList<>();
    private final List<Double> busy = new ArrayList<>();
    private final double loadAtStart;
    private final long[] start;
    private long sink = 88172645463325252L;

    Noise() throws IOException {
        loadAtStart = load();
        start = ticks();
    }

    /** Before a round. The first calls also warm the loop up; forget them by {@link #clear}. */
    void look() throws IOException {
        double[] times = new double[REPEATS];
        for (int i = 0; i < REPEATS; i++) {
            times[i] = work();
        }
        Arrays.sort(times);
        calibrations.add(times[REPEATS / 2]);
        long[] before = ticks();
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(200));
        long[] after = ticks();
        busy.add(1 - (double) (after[1] - before[1]) / Math.max(1, after[0] - before[0]));
    }

    void clear() {
        calibrations.clear();
        busy.clear();
    }

    /** A fixed number of dependent steps, without memory and without calls; milliseconds. */
    private double work() {
        long begin = System.nanoTime();
        long value = sink;
        for (int i = 0; i < WORK; i++) {
            value ^= value << 13;
            value ^= value >>> 7;
            value ^= value << 17;
        }
        sink = value;
        return (System.nanoTime() - begin) / 1e6;
    }

    Report report() throws IOException {
        long[] end = ticks();
        double steal = (double) (end[2] - start[2]) / Math.max(1, end[0] - start[0]);
        return new Report(spread(calibrations), spread(busy), loadAtStart, load(), steal);
    }

    private static Series.Spread spread(List<Double> values) {
        return Series.spread(values.stream().mapToDouble(Double::doubleValue).toArray());
    }

    private static double load() throws IOException {
        return Double.parseDouble(Files.readString(Path.of("/proc/loadavg")).split(" ")[0]);
    }

    /** All, idle and stolen ticks since boot, of all processors. */
    private static long[] ticks() throws IOException {
        String line = Files.readAllLines(Path.of("/proc/stat")).getFirst();
        long[] fields = Arrays.stream(line.strip().split(" +")).skip(1).mapToLong(Long::parseLong).toArray();
        // user nice system idle iowait irq softirq steal; guests are counted in user.
        return new long[] {Arrays.stream(fields, 0, 8).sum(), fields[3] + fields[4], fields[7]};
    }

    /**
     * What was seen.
     *
     * @param calibration milliseconds that the same work took, over the rounds
     * @param busy part of the processors' time that others used while the benchmark slept, over the rounds
     * @param steal part of the processors' time that the host took
     */
    record Report(Series.Spread calibration, Series.Spread busy, double loadAtStart, double loadAtEnd, double steal) {
        /** {@return why the figures are to be read with care; empty: no reason seen} */
        List<String> complaints() {
            List<String> complaints = new ArrayList<>();
            if (calibration.ratio() > CALIBRATION_LIMIT) {
                complaints.add("the same work took up to " + Text.ratio(calibration.ratio()) + " as long in one round as in another");
            }
            if (loadAtStart > Runtime.getRuntime().availableProcessors()) {
                complaints.add("the load was " + Text.number(loadAtStart) + " before anything was measured");
            }
            if (busy.middle() > BUSY_LIMIT) {
                complaints.add("others used " + Math.round(100 * busy.middle()) + " % of the processors while the benchmark slept");
            }
            if (steal > STEAL_LIMIT) {
                complaints.add("the host took " + Text.number(100 * steal) + " % of the processors' time");
            }
            return complaints;
        }

        String text() {
            return "calibration " + spreadText(calibration, 1) + " ms; others' processor use " + spreadText(busy, 100) + " %; load " + Text.number(loadAtStart)
                    + " at the start, " + Text.number(loadAtEnd) + " at the end; steal " + Text.number(100 * steal) + " %";
        }

        private static String spreadText(Series.Spread spread, double factor) {
            return Text.number(factor * spread.least()) + " / " + Text.number(factor * spread.middle()) + " / " + Text.number(factor * spread.most());
        }
    }
}
