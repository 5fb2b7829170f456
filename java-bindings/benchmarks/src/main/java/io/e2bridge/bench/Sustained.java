package io.e2bridge.bench;

import io.e2bridge.CodeResult;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** Callers that create a sandbox, run code in it and terminate it, over and over, as fast as they can. */
final class Sustained implements Measurement {
    private final Client client;
    private final Snippet snippet;
    private final int callers;
    private final Row row;
    private double processorMicros;
    private long cycles;

    Sustained(Client client, Snippet snippet, int callers, Row row) {
        this.client = client;
        this.snippet = snippet;
        this.callers = callers;
        this.row = row;
    }

    @Override
    public List<Row> rows() {
        return List.of(row);
    }

    @Override
    public void block(Effort effort, Results results) throws Exception {
        try (ExecutorService threads = Executors.newFixedThreadPool(callers)) {
            List<Future<double[]>> answers = new ArrayList<>();
            double used = ProcessorTime.used();
            long begin = System.nanoTime();
            long end = begin + (long) (effort.sustainedSeconds() * 1e9);
            for (int i = 0; i < callers; i++) {
                answers.add(threads.submit(() -> cyclesUntil(end)));
            }
            double[] samples = new double[0];
            for (Future<double[]> answer : answers) {
                double[] more = answer.get();
                int count = samples.length;
                samples = Arrays.copyOf(samples, count + more.length);
                System.arraycopy(more, 0, samples, count, more.length);
            }
            // Until the last caller's last cycle has ended: all that was counted was done in this time.
            results.series(row.id()).add(samples, (System.nanoTime() - begin) / 1e9);
            processorMicros += ProcessorTime.used() - used;
            cycles += samples.length;
            if (Double.isFinite(processorMicros)) {
                results.remark(row.id(), "processor time of a cycle, its part of the refill included: " + Text.number(processorMicros / cycles) + " µs");
            }
        }
    }

    @Override
    public void forget() {
        processorMicros = 0;
        cycles = 0;
    }

    /** At least one cycle, whatever the time. */
    private double[] cyclesUntil(long end) {
        double[] samples = new double[64];
        int count = 0;
        do {
            if (count == samples.length) {
                samples = Arrays.copyOf(samples, 2 * count);
            }
            long begin = System.nanoTime();
            String sandbox = client.create(snippet.template());
            CodeResult answer = client.e2b().runE2BCode(sandbox, snippet.language(), snippet.code());
            client.terminate(sandbox);
            samples[count++] = (System.nanoTime() - begin) / 1e3;
            snippet.check(answer);
        } while (System.nanoTime() < end);
        return Arrays.copyOf(samples, count);
    }
}
