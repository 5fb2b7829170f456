package io.e2bridge.bench;

import io.e2bridge.E2BException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;

/** What each operation takes, and each sandbox has for itself, while more and more of them are alive. Once, after the rounds. */
final class Growth {
    static final List<String> OPERATIONS = List.of("create", "status", "list", "terminate");

    private static final String GROUP = "growth: live sandboxes of base, made without a pool";
    private static final int BLOCKS = 5;
    private static final int SANDBOXES = 5;
    private static final int STATUS_CALLS = 500;
    private static final int LIST_CALLS = 4;
    private static final int WARM_UP_CALLS = 20_000;

    private final Client client;
    private final Results results;
    private final List<String> live = new ArrayList<>();

    Growth(Client client, Results results) {
        this.client = client;
        this.results = results;
    }

    static List<Row> rows(Effort effort) {
        List<Row> rows = new ArrayList<>();
        for (String operation : OPERATIONS) {
            effort.live().forEach(count -> rows.add(Row.of(id(operation, count), GROUP, operation + (operation.equals("list") ? " of all, " : ", ") + count + " alive")));
        }
        effort.live().forEach(count -> rows.add(Row.of(id("memory", count), GROUP, "private memory of each, " + count + " alive").in(Unit.MEBIBYTES)));
        return rows;
    }

    static String id(String operation, int count) {
        return "growth." + operation + "." + count;
    }

    /** Ends at the host's limit, which is then said. */
    void run(Effort effort) throws IOException {
        warmUp();
        Set<Long> before = Memory.descendants();
        try {
            for (int count : effort.live()) {
                while (live.size() < count) {
                    live.add(client.create("base"));
                }
                for (int block = 0; block < BLOCKS; block++) {
                    operations(count);
                }
                memory(count, before);
            }
        } catch (E2BException e) {
            results.skip("growth beyond " + live.size() + " live sandboxes", e.getMessage());
        } finally {
            live.forEach(client::terminate);
        }
    }

    /** The JVM, and the processes that all sandboxes of a client share. */
    private void warmUp() {
        String sandbox = client.create("base");
        for (int i = 0; i < WARM_UP_CALLS; i++) {
            client.e2b().getE2BSandboxStatus(sandbox);
        }
        client.terminate(sandbox);
    }

    private void operations(int count) {
        List<String> more = new ArrayList<>();
        timed("create", count, SANDBOXES, i -> more.add(client.create("base")));
        timed("status", count, STATUS_CALLS, i -> client.e2b().getE2BSandboxStatus(live.get(i % live.size())));
        timed("list", count, LIST_CALLS, i -> client.e2b().listE2BSandboxes());
        timed("terminate", count, SANDBOXES, i -> client.terminate(more.get(i)));
    }

    private void timed(String operation, int count, int calls, Consumer<Integer> call) {
        double[] samples = new double[calls];
        for (int i = 0; i < calls; i++) {
            long begin = System.nanoTime();
            call.accept(i);
            samples[i] = (System.nanoTime() - begin) / 1e3;
        }
        results.series(id(operation, count)).add(samples);
    }

    private void memory(int count, Set<Long> before) throws IOException {
        Set<Long> added = Memory.descendants();
        added.removeAll(before);
        double mebibytes = Memory.privateMebibytes(added);
        if (!Double.isNaN(mebibytes)) {
            results.series(id("memory", count)).add(new double[] {mebibytes / count});
        }
    }

    /** {@return by operation the medians over the numbers of live sandboxes, as far as they were reached} */
    static Map<String, double[]> curves(Effort effort, Results results) {
        Map<String, double[]> curves = new TreeMap<>();
        for (String operation : OPERATIONS) {
            double[] medians = effort.live().stream().map(count -> id(operation, count)).filter(results::has).mapToDouble(id -> results.series(id).median()).toArray();
            if (medians.length > 0) {
                curves.put(operation, medians);
            }
        }
        return curves;
    }
}
