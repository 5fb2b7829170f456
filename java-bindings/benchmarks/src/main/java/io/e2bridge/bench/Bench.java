package io.e2bridge.bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.e2bridge.E2BErrorCode;
import io.e2bridge.E2BException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.locks.LockSupport;

/**
 * What scripts/bench runs: all measurements by turns in small blocks, round after round, so that a slow phase of the machine hits
 * all of them alike; then the boundary by JMH; then the reports.
 */
public final class Bench {
    private static final long WARM_UP_NANOS = 250_000_000;
    /** Between two blocks: what the kernel put off during one is not to be paid by the next. */
    private static final long REST_NANOS = 20_000_000;
    /** A host that cannot isolate as asked has nothing to be measured. */
    private static final int CANNOT_ISOLATE = 3;

    private final Settings settings;
    private final Results results = new Results();
    private final Noise noise = new Noise();
    /** The alternatives: one that does not work here is left out with the reason, and fails nothing. */
    private final List<Measurement> others = new ArrayList<>();

    private Bench(Settings settings) throws IOException {
        this.settings = settings;
    }

    /** Exit status 1 when a measurement failed, 3 when this host cannot isolate; a missed target is a result. */
    public static void main(String[] arguments) throws Exception {
        int status;
        try {
            status = new Bench(Settings.of(arguments)).measure().results().failures().isEmpty() ? 0 : 1;
        } catch (E2BException e) {
            if (e.code() != E2BErrorCode.ISOLATION_UNAVAILABLE) {
                throw e;
            }
            System.err.println("bench: " + e.getMessage());
            status = CANNOT_ISOLATE;
        } catch (IllegalArgumentException e) {
            System.err.println("bench: " + e.getMessage());
            status = 2;
        }
        System.exit(status);
    }

    private Run measure() throws Exception {
        Run run;
        try (Client pooled = Client.withPools();
                Client cold = Client.withoutPools();
                Floors floors = new Floors();
                Alternatives alternatives = new Alternatives(results)) {
            Catalogue catalogue = new Catalogue(pooled, cold);
            List<Measurement> all = new ArrayList<>(catalogue.all());
            all.addAll(floors(floors, catalogue.statusDocument()));
            if (settings.alternatives()) {
                others.addAll(alternatives.all());
                all.addAll(others);
            }
            ObjectNode facts = Facts.gather(pooled, settings);
            List<Measurement> chosen = chosen(all);
            List<Row> growth = Growth.rows(settings.effort());
            boolean grows = growth.stream().anyMatch(settings::wants);
            List<Row> boundary = BoundaryRun.rows().stream().filter(settings::wants).toList();
            if (chosen.isEmpty() && boundary.isEmpty() && !grows) {
                throw new IllegalArgumentException("no row contains " + settings.only());
            }
            chosen.forEach(measurement -> measurement.rows().forEach(results::declare));
            if (grows) {
                growth.forEach(results::declare);
            }
            boundary.forEach(results::declare);
            rounds(chosen, pooled);
            Map<String, double[]> exhaustion = new LinkedHashMap<>();
            catalogue.exhaustions().forEach(pool -> exhaustion.put(pool.template(), pool.medians()));
            if (grows) {
                progress("growth, up to " + settings.effort().live().getLast() + " sandboxes alive");
                new Growth(cold, results).run(settings.effort());
            }
            if (!boundary.isEmpty()) {
                progress("the boundary alone, by JMH");
                BoundaryRun.run(settings.effort(), boundary, results);
            }
            run = new Run(settings.effort(), facts, results, noise.report(), exhaustion, alternatives.versions());
        }
        report(run);
        return run;
    }

    private static List<Measurement> floors(Floors floors, byte[] statusDocument) {
        List<Measurement> all = new ArrayList<>(floors.kernel());
        all.addAll(floors.lives());
        all.add(floors.parse(statusDocument));
        Path python = ProcessCall.find("python3");
        if (python != null) {
            all.addAll(floors.python(python.toString()));
        }
        Path node = ProcessCall.find("node");
        if (node != null) {
            all.addAll(floors.node(node.toString()));
        }
        return all;
    }

    /** Those that --only asks for and, without --alone, the floors and alternatives that they are compared with; ours, floors, the rest. */
    private List<Measurement> chosen(List<Measurement> all) {
        Set<String> ids = new TreeSet<>();
        all.stream().flatMap(measurement -> measurement.rows().stream()).filter(settings::wants).forEach(row -> {
            ids.add(row.id());
            if (settings.alone()) {
                return;
            }
            ids.addAll(row.against());
            if (row.floor() != null) {
                ids.add(row.floor());
            }
        });
        // The table shows groups together, whatever the order in which measurements were made.
        List<String> groups = all.stream().flatMap(measurement -> measurement.rows().stream()).map(Row::group).distinct().toList();
        return all.stream()
                .filter(measurement -> measurement.rows().stream().map(Row::id).anyMatch(ids::contains))
                .sorted(Comparator.comparing(measurement -> groups.indexOf(measurement.rows().getFirst().group())))
                .toList();
    }

    private void rounds(List<Measurement> chosen, Client pooled) throws Exception {
        List<Measurement> running = new ArrayList<>(chosen);
        // The first round warms up the JVM and what is measured, short blocks several times; its samples are forgotten.
        for (int round = 0; round <= settings.effort().rounds(); round++) {
            progress(round == 0 ? "warming up" : "round " + round + " of " + settings.effort().rounds());
            pooled.awaitFullPools();
            noise.look();
            // In another order each time, the same in every run: no row always follows the same one.
            List<Measurement> order = new ArrayList<>(running);
            Collections.shuffle(order, new Random(round));
            for (Measurement measurement : order) {
                pooled.awaitFullPools();
                LockSupport.parkNanos(REST_NANOS);
                try {
                    long warm = System.nanoTime() + (round == 0 ? WARM_UP_NANOS : 0);
                    do {
                        measurement.block(settings.effort(), results);
                    } while (System.nanoTime() < warm);
                } catch (Exception e) {
                    running.remove(measurement);
                    String id = measurement.rows().getFirst().id();
                    if (others.contains(measurement) || e instanceof TimedProgram.LackingException) {
                        results.skip(id, e.getMessage());
                    } else {
                        results.fail(id + ": " + e);
                    }
                }
            }
            if (round == 0) {
                results.clear();
                noise.clear();
                running.forEach(Measurement::forget);
            }
        }
    }

    private void report(Run run) throws IOException {
        System.out.print(Summary.text(run));
        Files.createDirectories(settings.output());
        Path json = settings.output().resolve("bench.json");
        Path page = settings.output().resolve("bench.html");
        new ObjectMapper().writerWithDefaultPrettyPrinter().writeValue(json.toFile(), JsonReport.of(run));
        Files.writeString(page, Page.of(run));
        System.out.println("written: " + json + ", " + page);
        if (settings.document() != null) {
            Files.writeString(settings.document(), Summary.replaceMarked(Files.readString(settings.document()), Summary.markdown(run)));
            System.out.println("written: " + settings.document());
        }
    }

    private static void progress(String text) {
        System.err.println("… " + text);
    }
}
