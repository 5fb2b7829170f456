package io.e2bridge.bench;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** More sandboxes are taken at once than the pool holds; then the time until it is full again. */
final class Exhaustion implements Measurement {
    private final Client client;
    private final String template;
    private final Row beyond;
    private final Row recovery;
    private final List<List<Double>> byPosition = new ArrayList<>();

    Exhaustion(Client client, String template, Row beyond, Row recovery) {
        this.client = client;
        this.template = template;
        this.beyond = beyond;
        this.recovery = recovery;
    }

    @Override
    public List<Row> rows() {
        return List.of(beyond, recovery);
    }

    @Override
    public void block(Effort effort, Results results) {
        client.awaitFullPool(template);
        int target = client.pool(template).path("target").asInt();
        int take = 4 * Math.max(1, target);
        long hits = client.pool(template).path("hits").asLong();
        double[] times = new double[take];
        List<String> taken = new ArrayList<>();
        try {
            for (int i = 0; i < take; i++) {
                long begin = System.nanoTime();
                taken.add(client.create(template));
                times[i] = (System.nanoTime() - begin) / 1e3;
            }
            long last = System.nanoTime();
            client.awaitFullPool(template);
            results.series(recovery.id()).add(new double[] {(System.nanoTime() - last) / 1e3});
        } finally {
            taken.forEach(client::terminate);
        }
        hits = client.pool(template).path("hits").asLong() - hits;
        double[] afterwards = Arrays.copyOfRange(times, target, take);
        results.series(beyond.id()).add(afterwards);
        results.remark(beyond.id(), "pool of " + target + ", " + take + " taken at once, " + hits + " of them out of the pool");
        remember(times);
    }

    @Override
    public void forget() {
        byPosition.clear();
    }

    private void remember(double[] times) {
        for (int i = 0; i < times.length; i++) {
            if (byPosition.size() <= i) {
                byPosition.add(new ArrayList<>());
            }
            byPosition.get(i).add(times[i]);
        }
    }

    String template() {
        return template;
    }

    /** {@return for the first, second, … sandbox taken the median time of its create, in µs} */
    double[] medians() {
        return byPosition.stream()
                .mapToDouble(times -> Series.percentile(times.stream().mapToDouble(Double::doubleValue).sorted().toArray(), 50))
                .toArray();
    }
}
