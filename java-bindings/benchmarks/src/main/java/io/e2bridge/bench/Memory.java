package io.e2bridge.bench;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Collectors;

/**
 * Memory of a sandbox: what the processes that came with it have for themselves (Private_Clean and Private_Dirty of smaps_rollup),
 * and what its control group is charged with, where it has one.
 */
final class Memory implements Measurement {
    private final Client client;
    private final String template;
    private final int sandboxes;
    /** Runs in each sandbox while it is looked at; null: nothing. */
    private final Snippet busy;
    private final Row row;
    private final Row group;

    Memory(Client client, String template, int sandboxes, Snippet busy, Row row, Row group) {
        this.client = client;
        this.template = template;
        this.sandboxes = sandboxes;
        this.busy = busy;
        this.row = row;
        this.group = group;
    }

    @Override
    public List<Row> rows() {
        return List.of(row, group);
    }

    @Override
    public void block(Effort effort, Results results) throws IOException {
        client.awaitFullPools();
        Set<Long> before = descendants();
        List<String> made = new ArrayList<>();
        try (ExecutorService callers = Executors.newCachedThreadPool()) {
            for (int i = 0; i < sandboxes; i++) {
                made.add(client.create(template));
            }
            client.awaitFullPools();
            if (busy != null) {
                made.forEach(sandbox -> callers.submit(() -> client.e2b().runE2BCode(sandbox, busy.language(), busy.code())));
            }
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(50));
            // The pool is as full as before: as many processes came as there are sandboxes more.
            Set<Long> added = descendants();
            added.removeAll(before);
            look(added, results);
        } finally {
            made.forEach(client::terminate);
        }
    }

    private void look(Set<Long> added, Results results) throws IOException {
        double mebibytes = privateMebibytes(added);
        if (Double.isNaN(mebibytes)) {
            results.skip(row.id(), "the kernel shows the memory of a sandbox's processes to root only");
            return;
        }
        results.series(row.id()).add(new double[] {mebibytes / sandboxes});
        results.remark(row.id(), Text.number(added.size() / (double) sandboxes) + " processes for each sandbox");
        Set<Path> groups = new TreeSet<>();
        for (long process : added) {
            Path of = memoryGroup(process);
            if (of != null) {
                groups.add(of);
            }
        }
        if (groups.size() >= sandboxes) {
            double bytes = 0;
            for (Path of : groups) {
                bytes += Long.parseLong(Files.readString(of).strip());
            }
            results.series(group.id()).add(new double[] {bytes / (1 << 20) / groups.size()});
        }
    }

    /** {@return every process below this one} */
    static Set<Long> descendants() {
        return ProcessHandle.current().descendants().map(ProcessHandle::pid).collect(Collectors.toCollection(TreeSet::new));
    }

    /** {@return what these processes have for themselves, those left out that ended since; NaN when the kernel does not show it} */
    static double privateMebibytes(Set<Long> processes) throws IOException {
        double kibibytes = 0;
        for (long process : processes) {
            try {
                kibibytes += Files.readAllLines(Path.of("/proc/" + process + "/smaps_rollup")).stream()
                        .filter(line -> line.startsWith("Private_Clean:") || line.startsWith("Private_Dirty:"))
                        .mapToDouble(line -> Double.parseDouble(line.replaceAll("[^0-9]", "")))
                        .sum();
            } catch (AccessDeniedException e) {
                return Double.NaN;
            } catch (IOException e) {
                // It ended since it was listed, or while it was read (ESRCH).
                if (ProcessHandle.of(process).isPresent()) {
                    throw e;
                }
            }
        }
        return kibibytes / 1024;
    }

    /** The file with the bytes charged to the process's group; null when no memory controller counts it. */
    private static Path memoryGroup(long process) throws IOException {
        List<String> lines;
        try {
            lines = Files.readAllLines(Path.of("/proc/" + process + "/cgroup"));
        } catch (NoSuchFileException ended) {
            return null;
        }
        for (String line : lines) {
            String[] parts = line.split(":", 3);
            Path file = parts[1].isEmpty()
                    ? Path.of("/sys/fs/cgroup" + parts[2] + "/memory.current")
                    : Path.of("/sys/fs/cgroup/memory" + parts[2] + "/memory.usage_in_bytes");
            boolean counts = parts[1].isEmpty() || List.of(parts[1].split(",")).contains("memory");
            if (counts && Files.isReadable(file)) {
                return file;
            }
        }
        return null;
    }
}
